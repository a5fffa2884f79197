"""Marks ops: shows that a Python pass ran, with which options, and on what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from ..base import Pass


@dataclass(frozen=True)
class Mark(Pass):
    """Sets the attribute `tl.mark` on every op with a given name.

    Input: any module. Output: the same with marks. Example: `test-mark{op=arith.addi value=3}` turns
    `arith.addi %a, %b : i32` into `arith.addi %a, %b {tl.mark = 3 : i32} : i32`. With `target` set the mark is the
    target's name instead.
    """

    name: ClassVar[str] = "test-mark"
    op: str = "arith.addi"
    value: int = 1
    target: bool = False

    def run(self, module: ir.Module, target: Target) -> None:
        def mark(op: ir.Operation) -> ir.WalkResult:
            if op.name == self.op:
                integer = ir.IntegerAttr.get(ir.IntegerType.get_signless(32), self.value)
                op.attributes["tl.mark"] = ir.StringAttr.get(str(target)) if self.target else integer
            return ir.WalkResult.ADVANCE

        module.operation.walk(mark)
