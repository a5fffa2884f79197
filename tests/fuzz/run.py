"""`python -m tests.fuzz.run --count N --seed S`: run many programs, summarise, save what fails.

Programs run in a child process, so that a crash of the compiler is a finding like others. Each kind of failure is cut
down and saved as Python source, at most `--keep` programs per kind.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from tests.fuzz.check import Outcome, check
from tests.fuzz.generate import generate
from tests.fuzz.program import Program
from tests.fuzz.shrink import shrink

BLOCK = 100  # programs per child process


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--save", type=Path, default=Path("fuzz-failures"), help="folder for failing programs")
    parser.add_argument("--target", default="", help="architecture that all programs are for, such as sm_100a")
    parser.add_argument("--keep", type=int, default=3, help="programs cut down and saved per kind of failure")
    options = parser.parse_args(arguments)
    started = time.perf_counter()
    kinds: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for seed, outcome in outcomes(range(options.seed, options.seed + options.count), options.target):
        kinds[outcome.kind] += 1
        if outcome.kind in ("rejected", "invalid"):
            reasons[f"{outcome.kind}: {_reason(outcome)}"] += 1
        elif outcome.failed:
            print(f"seed {seed}: {outcome.kind}: {_reason(outcome)}", flush=True)
            if kinds[outcome.kind] <= options.keep:
                save(generate(seed, target=options.target), outcome, options.save)
    print(f"{options.count} programs in {time.perf_counter() - started:.0f} s: "
          + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()))  # fmt: skip
    for reason, count in reasons.most_common():
        print(f"  {count} {reason}")
    return int(any(Outcome(kind).failed for kind in kinds))


def outcomes(seeds: Sequence[int], target: str = "") -> Iterator[tuple[int, Outcome]]:
    """Check the programs of seeds in child processes; a child that dies gives `crash` for the program it was at."""
    processes = multiprocessing.get_context("fork")
    while seeds:
        part, finished = list(seeds[:BLOCK]), 0
        receive, send = processes.Pipe(duplex=False)
        child = processes.Process(target=_child, args=(part, target, send))
        child.start()
        send.close()
        try:
            while finished < len(part):
                yield receive.recv()
                finished += 1
        except EOFError:
            yield part[finished], Outcome("crash", "the process died")
            finished += 1
        child.join()
        seeds = seeds[finished:]


def _child(seeds: list[int], target: str, send: Connection) -> None:
    for seed in seeds:
        send.send((seed, check(generate(seed, target=target))))
    send.close()


def save(program: Program, outcome: Outcome, folder: Path) -> Path:
    """Cut a failing program down and write it with what went wrong; crashes are written whole."""
    if outcome.kind != "crash":
        program = shrink(program, lambda smaller: check(smaller).kind == outcome.kind)
        outcome = check(program)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{outcome.kind.replace(' ', '-')}-{program.seed}.py"
    head = "".join(
        f"# {line}\n" for line in (f"target {program.target}", outcome.kind, *outcome.detail.splitlines()[-12:])
    )
    path.write_text(f"{head}import tilelang_mlir as tilelang\nimport tilelang_mlir.language as T\n\n\n{program.text()}")
    return path


def _reason(outcome: Outcome) -> str:
    """The last line of the error that says something: without location, hints and notes."""
    lines = [line for line in outcome.detail.splitlines() if "Error: " in line] or outcome.detail.splitlines()
    last = lines[-1].rsplit("Error: ", 1)[-1] if lines else ""
    return re.sub(r"^<fuzz [^>]*>:\d+:\d+: ", "", last)[:160]


if __name__ == "__main__":
    sys.exit(main())
