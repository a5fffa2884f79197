"""Fails in the way its option names: shows what the driver makes of each kind of failure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.errors import PassError, ResourceError
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from ...dialect.location import python_location
from ..base import Pass


@dataclass(frozen=True)
class Fail(Pass):
    """Fails at the first op named `op`, in the way `how` says; does nothing when there is none.

    `user` raises a user error, `pass` a `PassError`, `bug` an exception that is no `TileError`, `diagnostic` emits an
    MLIR error, `invalid` leaves IR that does not verify. Input and output: any module.
    """

    name: ClassVar[str] = "test-fail"
    how: str = "pass"
    op: str = "arith.addi"

    def run(self, module: ir.Module, target: Target) -> None:
        found: list[ir.Operation] = []

        def collect(op: ir.Operation) -> ir.WalkResult:
            found.extend([op] if op.name == self.op else [])
            return ir.WalkResult.ADVANCE

        module.operation.walk(collect)
        if found:
            self._fail(found[0])

    def _fail(self, op: ir.Operation) -> None:
        where = python_location(op.location)
        if self.how == "user":
            raise ResourceError("the kernel needs 2 thumbs", where, hint="use one")
        if self.how == "pass":
            raise PassError(f"cannot handle {op.name}", where)
        if self.how == "diagnostic":
            op.location.emit_error("emitted by the pass")
        elif self.how == "invalid":
            op.results[0].set_type(ir.F32Type.get())
        else:
            raise ZeroDivisionError("a bug")
