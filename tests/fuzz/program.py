"""A generated program: kernels of the tile language as text, in a form that can be cut down.

A kernel's body is a tree of `Node`s. Names are unique, and what a program declares is what its remaining text mentions,
so removing any node leaves a program (perhaps one that reads what nothing wrote; the evaluator says so).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Tensor:
    """A parameter. `sizes` has the numbers, `spelling` the shape as written (symbols for dynamic sizes)."""

    name: str
    sizes: tuple[int, ...]
    spelling: tuple[str, ...]
    dtype: str
    fill: str  # random, poison or zero

    def declaration(self) -> str:
        return f'{self.name}: T.Tensor(({", ".join(self.spelling)},), "{self.dtype}")'


@dataclass(frozen=True)
class Scalar:
    """A number passed by value."""

    name: str
    dtype: str
    value: float

    def declaration(self) -> str:
        return f"{self.name}: T.{self.dtype}"


@dataclass
class Node:
    """A statement, or with a body a loop or branch."""

    line: str
    body: list[Node] = field(default_factory=list)

    def lines(self, depth: int) -> Iterator[str]:
        yield "    " * depth + self.line
        for inner in self.body:
            yield from inner.lines(depth + 1)


@dataclass
class KernelText:
    """One `T.Kernel`: `grid` in numbers, `extents` as written."""

    grid: tuple[int, int]
    extents: tuple[str, str]
    threads: int
    allocations: dict[str, str]
    body: list[Node]

    def lines(self, depth: int) -> list[str]:
        body = [line for node in self.body for line in node.lines(depth + 1)]
        used = words("\n".join(body))
        head = "    " * depth + f"with T.Kernel({', '.join(self.extents)}, threads={self.threads}) as (bx, by):"
        pad = "    " * (depth + 1)
        made = [f"{pad}{name} = {text}" for name, text in self.allocations.items() if name in used]
        return [head, *made, *body]


@dataclass
class Program:
    """Everything needed to write, run and repeat a program."""

    seed: int
    target: str
    params: list[Tensor | Scalar]
    symbols: dict[str, int]
    kernels: list[KernelText]

    def used_params(self) -> list[Tensor | Scalar]:
        used = words("\n".join(line for kernel in self.kernels for line in kernel.lines(1)))
        return [p for p in self.params if p.name in used]

    def used_symbols(self) -> dict[str, int]:
        """Symbols in the order in which parameters mention them."""
        order: dict[str, int] = {}
        for param in self.used_params():
            for word in getattr(param, "spelling", ()):
                order.update({name: size for name, size in self.symbols.items() if name == word})
        return order

    def text(self) -> str:
        """Python source that defines `main`."""
        symbols = [f'{name} = T.dynamic("{name}")' for name in self.used_symbols()]
        params = ",\n         ".join(p.declaration() for p in self.used_params())
        body = [line for kernel in self.kernels for line in kernel.lines(1)]
        return "\n".join([*symbols, "@T.prim_func", f"def main({params}):", *body, ""])


def words(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_]\w*", text))
