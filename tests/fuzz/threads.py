"""`python -m tests.fuzz.threads --count N --seed S`: random programs of single threads, on simulated machines.

Threads part and meet in them: branches on whole warps, on parts of warps and on data, loops of run-time and per-thread
length, exchange through shared arrays, parallel loops and copies in branches of warps. Where threads of one program may
see each other's elements is decided by where a statement stands ("all" threads, a range of warps, or some of a warp,
which keep to elements of their own), so that each program has one meaning. The oracle is `thread_programs`.
"""

from __future__ import annotations

import argparse
import itertools
import linecache
import random
from collections import Counter
from dataclasses import dataclass, field
from math import gcd
from typing import Any

import numpy as np

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tests.fuzz.check import Outcome
from tests.fuzz.thread_programs import (
    Assign,
    Branch,
    Copy,
    Line,
    Loop,
    Parallel,
    Shuffle,
    Statement,
    Store,
    ThreadProgram,
)
from tilelang_mlir import knobs
from tilelang_mlir.errors import TileError, UnsupportedError
from tilelang_mlir.target import parse_target

_COUNT = itertools.count()
_SOME = range(0)  # the threads of a branch that are not known, or no whole warps


def generate(seed: int, warp: int = 32) -> ThreadProgram:
    """The program of a seed, for warps of so many threads."""
    choose = random.Random(seed)
    threads = choose.choice((32, 64, 96, 128, 128, 160, 256)) * warp // 32
    variables, shared = (tuple(f"{letter}{i}" for i in range(choose.choice((1, 2, 3)))) for letter in "vs")
    body = _Writer(choose, threads, variables, shared, warp).body(range(threads), 6)
    return ThreadProgram(threads, choose.choice((1, 2, 3)), choose.choice((1, 2, 3, 5)), variables, shared, body)


@dataclass
class _Writer:
    random: random.Random
    threads: int
    variables: tuple[str, ...]
    shared: tuple[str, ...]
    warp: int
    loops: int = 0
    counters: list[str] = field(default_factory=list)  # of the loops around
    depth: int = 0

    def body(self, where: range, count: int) -> list[Statement]:
        self.depth += 1
        found = [self.statement(where) for _ in range(self.random.randrange(1, count + 1))]
        self.depth -= 1
        return found

    def statement(self, where: range) -> Statement:
        choose, deep = self.random, self.depth > 3
        kinds: dict[Any, float] = {self.assign: 3, self.store: 4, self.load: 4, self.branch: 0 if deep else 2}
        kinds[self.loop] = 0 if deep else 2
        if where:
            kinds |= {self.barrier: 1.5, self.parallel: 2, self.copy: 1.5, self.warps: 0 if deep else 2}
        if where == range(self.threads):
            kinds[self.shuffle] = 1
        return choose.choices(list(kinds), list(kinds.values()))[0](where)

    def expression(self, depth: int = 0) -> str:
        leaves = ["tx", "bx", "n", str(self.random.randrange(1, 9)), *self.variables, *self.counters]
        leaves += [] if depth else ["A[bx, tx]"]
        a = self.random.choice(leaves)
        if depth > 1 or self.random.random() < 0.3:
            return a
        b = self.expression(depth + 1)
        forms = (f"({a} + {b})", f"({a} * {b} % 13)", f"(({a} + {b}) % 7)", f"T.max({a}, {b})", f"T.min({a}, {b})")
        return self.random.choice(forms)

    def index(self, where: range) -> str:
        """An element for each thread of a range, another one than its own; its own among unknown threads."""
        if not where:
            return "tx"
        first, count, shift = where.start, len(where), self.random.randrange(len(where))
        factor = self.random.choice((1, 3, 5, 7))
        factor = factor if gcd(factor, count) == 1 else 1
        return self.random.choice(
            ("tx", f"{first + where.stop - 1} - tx", f"{first} + ((tx - {first}) * {factor} + {shift}) % {count}")
        )

    def assign(self, where: range) -> Statement:
        return Assign(self.random.choice(self.variables), f"{self.expression()} % 97")

    def load(self, where: range) -> Statement:
        text = f"({self.random.choice(self.shared)}[{self.index(where)}] + {self.expression()}) % 97"
        return Assign(self.random.choice(self.variables), text)

    def store(self, where: range) -> Statement:
        return Store(self.random.choice(self.shared), self.index(where), f"{self.expression()} % 97")

    def barrier(self, where: range) -> Statement:
        return Line("T.sync_threads()")

    def shuffle(self, where: range) -> Statement:
        return Shuffle(self.random.choice(self.variables), self.random.choice((1, 2, 4, 8, 16)))

    def parallel(self, where: range) -> Statement:
        start, (array, other) = where.start, self.random.choices(self.shared, k=2)
        count = self.random.choice((len(where), len(where) // 2, 7, 1))
        texts = ["i * 3 % 11", f"A[bx, {start} + i]"]
        if array != other:
            texts += [f"{other}[{start + count - 1} - i]", f"{other}[{start} + i]"]
        return Parallel(array, start, count, f"({self.random.choice(texts)} + i) % 97")

    def copy(self, where: range) -> Statement:
        array, other = self.random.choices(self.shared, k=2)
        stop = where.start + self.random.choice((len(where), len(where) // 2))
        return Copy(array, "" if array == other else other, where.start, stop)

    def warps(self, where: range) -> Statement:
        """A branch on whole warps of a range."""
        if len(where) <= self.warp:
            return self.barrier(where)
        edge = self.random.randrange(where.start + self.warp, where.stop, self.warp)
        low, high = range(where.start, edge), range(edge, where.stop)
        condition, yes, no = self.random.choice(((f"tx < {edge}", low, high), (f"tx >= {edge}", high, low)))
        return Branch(condition, self.body(yes, 3), self.body(no, 3) if self.random.random() < 0.5 else [])

    def branch(self, where: range) -> Statement:
        """A branch on a thread, on data, or on what is the same in all threads."""
        choose, t = self.random, self.threads
        if where and choose.random() < 0.3:
            return Branch(choose.choice(("bx == 0", "n > 2", "A[bx, 0] > 20")), self.body(where, 3))
        condition = choose.choice((
            f"tx < {choose.randrange(1, t)}", f"tx % {choose.choice((2, 3, 4))} == 0", f"tx == {choose.randrange(t)}",
            f"{choose.choice(self.variables)} > {choose.randrange(10)}", f"tx // 32 == {choose.randrange(t // 32)}",
            "A[bx, tx] > 20", "tx < n * 8",
        ))  # fmt: skip
        return Branch(condition, self.body(_SOME, 3), self.body(_SOME, 3) if choose.random() < 0.4 else [])

    def loop(self, where: range) -> Statement:
        name, self.loops = f"k{self.loops}", self.loops + 1
        even = bool(where) and self.random.random() < 0.6
        trips = ("2", "n", "bx + 1", "n - 1") if even else ("tx % 3", "n", "tx // 32")
        self.counters.append(name)
        body = self.body(where if even else _SOME, 3)
        self.counters.pop()
        return Loop(name, self.random.choice(trips), body, variable=self.random.random() < 0.3)


def check(program: ThreadProgram, target: str) -> Outcome:
    """Compile a program and compare what the simulator computes; kinds as those of `tests.fuzz.check`."""
    text, file = program.text(), f"<threads {next(_COUNT)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(True), file)
    names: dict[str, Any] = {"T": T}
    source = np.random.default_rng(0).integers(0, 40, (program.blocks, program.threads)).astype(np.int32)
    want = program.expected(source)
    got = np.full_like(want, -1)
    with knobs.overrides({"TILELANG_SIM_CHECKED": True}):
        try:
            exec(compile(text, file, "exec"), names)
            tilelang.compile(names["main"], target=target)(source, got, program.n)
        except UnsupportedError as error:
            return Outcome("rejected", str(error))
        except TileError as error:
            return Outcome(type(error).__name__, str(error))
    wrong = np.argwhere(got != want)
    return Outcome("mismatch", f"{len(wrong)} elements, the first at {wrong[0]}") if len(wrong) else Outcome("ok")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.threads", description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--target", default="sim:sm_90a")
    options = parser.parse_args()
    kinds: Counter[str] = Counter()
    for seed in range(options.seed, options.seed + options.count):
        outcome = check(program := generate(seed, parse_target(options.target).warp_size), options.target)
        kinds[outcome.kind] += 1
        if outcome.failed:
            print(f"seed {seed}: {outcome.kind}\n{outcome.detail}\n{program.text()}", flush=True)
    print(", ".join(f"{count} {kind}" for kind, count in kinds.most_common()))
    return int(any(Outcome(kind).failed for kind in kinds))


if __name__ == "__main__":
    raise SystemExit(main())
