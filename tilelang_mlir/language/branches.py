"""Branches as contexts: how scripts that build their IR themselves write an `if`."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from tilelang_mlir.errors import TileSyntaxError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.builder import Builder, Frame
from tilelang_mlir.frontend.expr import BOOL, Expr, value_of
from tilelang_mlir.language.sync import in_kernel
from tilelang_mlir.mlir import ir

_OPEN = "branches"  # the key of the open `T.If` contexts, innermost last


class If:
    """A branch on a condition, like the statement `if`; `T.Then` and `T.Else` inside of it hold its sides.

        with T.If(i < n):
            with T.Then():
                A[i] = 0
            with T.Else():
                A[i] = 1

    Raises:
        TileSyntaxError: it ends without a `T.Then`.
    """

    def __init__(self, condition: Any) -> None:
        self.builder: Builder = in_kernel("T.If")
        test = arith.to_bool(condition)
        self.condition = test if isinstance(test, Expr) else arith.typed_constant(bool(test), BOOL)
        self.op: ir.Operation | None = None

    def __enter__(self) -> None:
        self.builder.side.setdefault(_OPEN, []).append(self)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.builder.side[_OPEN].pop()
        if error is None and self.op is None:
            raise TileSyntaxError("T.If without T.Then", hint="with T.If(condition), T.Then():")


def While(condition: Any) -> None:
    """A loop that runs while a condition holds, like the statement `while`: `with T.While(n > 1):`.

    Raises:
        TileSyntaxError: it stands elsewhere than in a with statement of its own.
    """
    del condition
    raise TileSyntaxError("T.While outside of a with statement of its own", hint="with T.While(condition):")


class _Side:
    """One side of the innermost `T.If` that is open."""

    name, region = "T.Then", 0

    def __init__(self) -> None:
        self.builder: Builder = in_kernel(self.name)
        self.frame: Frame | None = None

    def __enter__(self) -> None:
        opened: list[If] = self.builder.side.get(_OPEN, [])
        if not opened:
            raise TileSyntaxError(f"{self.name} outside of T.If", hint="with T.If(condition), T.Then():")
        branch = opened[-1]
        if branch.op is None and self.region == 0:
            branch.op = self.builder.emit("scf.if", [value_of(self.builder, branch.condition)], [], regions=2)
        if branch.op is None or len(branch.op.regions[self.region].blocks) != 0:
            what = "stands before T.Then" if branch.op is None else "stands twice in one T.If"
            raise TileSyntaxError(f"{self.name} {what}", hint="one T.Then, and after it T.Else where there is one")
        self.frame = self.builder.push("if", branch.op.regions[self.region].blocks.append())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.frame is not None and error is None:
            self.builder.emit("scf.yield")
            self.builder.pop(self.frame)


class Then(_Side):
    """What runs where the condition of the innermost `T.If` holds.

    Raises:
        TileSyntaxError: outside of `T.If`, or a second one.
    """


class Else(_Side):
    """What runs where the condition of the innermost `T.If` does not hold; after its `T.Then`.

    Raises:
        TileSyntaxError: outside of `T.If`, before `T.Then`, or a second one.
    """

    name, region = "T.Else", 1
