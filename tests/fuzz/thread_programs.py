"""Programs of single threads: their statements as text of `T`, and what they do, thread by thread in lock step.

Expressions are Python text that both worlds read: `s0[95 - tx] + n`. A thread has variables and the elements of shared
arrays of one element per thread; statements of all threads of a range ("tile" statements) run once for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np


class _Clipped:
    """An array that threads index which do not take part: they read some element."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def __getitem__(self, index: Any) -> np.ndarray:
        return self._values[np.clip(index, 0, len(self._values) - 1)]


class _Input:
    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def __getitem__(self, index: tuple[Any, Any]) -> np.ndarray:
        return self._values[index[0]][np.clip(index[1], 0, self._values.shape[1] - 1)]


class _Functions:
    max, min = np.maximum, np.minimum


@dataclass
class Threads:
    """The state of one CTA: variables and shared arrays, by name."""

    count: int
    block: int
    names: dict[str, Any]
    shared: tuple[str, ...]
    source: np.ndarray

    def value(self, text: str, count: int | None = None, **more: Any) -> np.ndarray:
        known = {k: _Clipped(v) if k in self.shared else v for k, v in self.names.items()}
        known |= {"T": _Functions, "tx": np.arange(self.count), "bx": self.block, "A": _Input(self.source), **more}
        return np.broadcast_to(np.asarray(eval(text, {}, known)), (count or self.count,)).astype(np.int64)


class Statement(Protocol):
    def lines(self, depth: int) -> Iterator[str]: ...
    def run(self, threads: Threads, mask: np.ndarray) -> None: ...


@dataclass
class Line(Statement):
    """A statement that only orders threads: here they are in lock step."""

    text: str

    def lines(self, depth: int) -> Iterator[str]:
        yield "    " * depth + self.text

    def run(self, threads: Threads, mask: np.ndarray) -> None:
        """Nothing to do."""


@dataclass
class Assign(Statement):
    name: str
    text: str

    def lines(self, depth: int) -> Iterator[str]:
        yield f"{'    ' * depth}{self.name} = {self.text}"

    def run(self, threads: Threads, mask: np.ndarray) -> None:
        threads.names[self.name] = np.where(mask, threads.value(self.text), threads.names[self.name])


@dataclass
class Store(Statement):
    array: str
    index: str
    text: str

    def lines(self, depth: int) -> Iterator[str]:
        yield f"{'    ' * depth}{self.array}[{self.index}] = {self.text}"

    def run(self, threads: Threads, mask: np.ndarray) -> None:
        index, value = threads.value(self.index), threads.value(self.text)
        threads.names[self.array][index[mask]] = value[mask]


@dataclass
class Shuffle(Statement):
    name: str
    distance: int

    def lines(self, depth: int) -> Iterator[str]:
        yield f"{'    ' * depth}{self.name} = T.shfl_xor({self.name}, {self.distance})"

    def run(self, threads: Threads, mask: np.ndarray) -> None:
        threads.names[self.name] = threads.names[self.name][np.arange(threads.count) ^ self.distance]


@dataclass
class Parallel(Statement):
    """`count` elements of an array, from `start` on, by a loop that threads share."""

    array: str
    start: int
    count: int
    text: str  # of i

    def lines(self, depth: int) -> Iterator[str]:
        yield f"{'    ' * depth}for i in T.Parallel({self.count}):"
        yield f"{'    ' * depth}    {self.array}[{self.start} + i] = {self.text}"

    def run(self, threads: Threads, mask: np.ndarray) -> None:
        value = threads.value(self.text, self.count, i=np.arange(self.count))
        threads.names[self.array][self.start : self.start + self.count] = value


@dataclass
class Copy(Statement):
    """A part of an array from another one, or from the input (`source` is "")."""

    array: str
    source: str
    start: int
    stop: int

    def lines(self, depth: int) -> Iterator[str]:
        part = f"{self.start}:{self.stop}"
        source = f"{self.source}[{part}]" if self.source else f"A[bx, {part}]"
        yield f"{'    ' * depth}T.copy({source}, {self.array}[{part}])"

    def run(self, threads: Threads, mask: np.ndarray) -> None:
        source = threads.names[self.source] if self.source else threads.source[threads.block]
        threads.names[self.array][self.start : self.stop] = source[self.start : self.stop]


@dataclass
class Branch(Statement):
    condition: str
    yes: list[Statement]
    no: list[Statement] = field(default_factory=list)

    def lines(self, depth: int) -> Iterator[str]:
        yield f"{'    ' * depth}if {self.condition}:"
        yield from lines(self.yes, depth + 1)
        if self.no:
            yield f"{'    ' * depth}else:"
            yield from lines(self.no, depth + 1)

    def run(self, threads: Threads, mask: np.ndarray) -> None:
        holds = threads.value(self.condition).astype(bool)
        run(self.yes, threads, mask & holds)
        run(self.no, threads, mask & ~holds)


@dataclass
class Loop(Statement):
    """A counted loop, or with `variable` one with a condition over a variable of the thread."""

    name: str
    trips: str
    body: list[Statement]
    variable: bool = False

    def lines(self, depth: int) -> Iterator[str]:
        indent = "    " * depth
        if self.variable:
            yield f'{indent}{self.name} = T.alloc_var("int32", init=0)'
        yield indent + (
            f"while {self.name} < {self.trips}:" if self.variable else f"for {self.name} in T.serial({self.trips}):"
        )
        yield from lines(self.body, depth + 1)
        if self.variable:
            yield f"{indent}    {self.name} = {self.name} + 1"

    def run(self, threads: Threads, mask: np.ndarray) -> None:
        trips, trip = threads.value(self.trips), 0
        while (inside := mask & (trip < (threads.value(self.trips) if self.variable else trips))).any():
            threads.names[self.name] = np.full(threads.count, trip)
            run(self.body, threads, inside)
            trip += 1


def lines(body: list[Statement], depth: int) -> Iterator[str]:
    for statement in body:
        yield from statement.lines(depth)


def run(body: list[Statement], threads: Threads, mask: np.ndarray) -> None:
    """Run statements in the threads of a mask."""
    if mask.any():
        for statement in body:
            statement.run(threads, mask)


@dataclass
class ThreadProgram:
    """A kernel of `blocks` CTAs: shared arrays start as copies of the CTA's row of A, and end in rows of B, the
    variables of the threads before them."""

    threads: int
    blocks: int
    n: int
    variables: tuple[str, ...]
    shared: tuple[str, ...]
    body: list[Statement]

    @property
    def rows(self) -> int:
        return len(self.variables) + len(self.shared)

    def text(self) -> str:
        t, blocks = self.threads, self.blocks
        head = [
            "@T.prim_func",
            f'def main(A: T.Tensor(({blocks}, {t}), "int32"), B: T.Tensor(({blocks}, {self.rows}, {t}), "int32"), '
            "n: T.int32):",
            f"    with T.Kernel({blocks}, threads={t}) as bx:",
            "        tx = T.get_thread_binding()",
            *(f'        {name} = T.alloc_shared(({t},), "int32")' for name in self.shared),
            *(f'        {name} = T.alloc_var("int32", init=0)' for name in self.variables),
            *(f"        T.copy(A[bx, :], {name})" for name in self.shared),
        ]
        end = [f"        B[bx, {row}, tx] = {name}" for row, name in enumerate(self.variables)]
        first = len(self.variables)
        end += [f"        T.copy({name}, B[bx, {first + row}, :])" for row, name in enumerate(self.shared)]
        return "\n".join([*head, *lines(self.body, 2), *end, ""])

    def expected(self, source: np.ndarray) -> np.ndarray:
        """B, of A."""
        out = np.empty((self.blocks, self.rows, self.threads), np.int32)
        for block in range(self.blocks):
            names: dict[str, Any] = {name: np.zeros(self.threads, np.int64) for name in self.variables}
            names |= {name: source[block].astype(np.int64) for name in self.shared}
            threads = Threads(self.threads, block, {**names, "n": self.n}, self.shared, source.astype(np.int64))
            run(self.body, threads, np.ones(self.threads, np.bool_))
            out[block] = np.stack([threads.names[name] for name in (*self.variables, *self.shared)])
        return out
