"""`stage-tensor-products`: products whose sums are fragments, on tcgen05.

Input: laid-out program in which `layout-inference` has marked the products of a kernel (`instr = "tcgen05"`). Output:
no such product; each is a `tl.tcgen05_mma` with its completion at an mbarrier, in one of two forms:

IN PLACE  A sum that a loop only adds to, and rescales element by element, stays in tensor memory as long as the loop
          runs: `O += P V` of attention, the sums of gradients. The threads load it to rescale it, some columns at a
          time, and have its registers for other things meanwhile.

              for k: O = O f; gemm A, B, O
              =>
              copy O -> T; for k: (copy T -> F; F = F f; copy F -> T); product A, B -> T;   copy T -> O

SCRATCH   Any other sum is computed from zero, and loaded into the fragment, or added to it, some columns at a time.

              gemm A, B, C          =>   product A, B -> T, from zero; C += T
              fill C, 0; gemm A, B, C    =>   product A, B -> T, from zero; copy T -> C

A first operand in registers is stored to tensor memory; where that is none, and for a second one, it goes through a
swizzled shared tile. Waits come where a result is needed (`waits.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from ...dialect.effects import region_effects
from ...dialect.layout.attrs import tensor_to_attr, to_attr
from ...dialect.layout.tensor import COLUMNS, TensorLayout, accumulator, dense
from ...dialect.tl import FRAGMENT, SHARED, TMEM, buffer_type, scope_of
from .. import build
from ..base import Pass
from ..elementwise import float_constant
from ..nvidia.tensor_products import INSTRUCTION, through_tensor
from ..nvidia.tensor_sums import home
from ..operand_tiles import operand_layout
from ..plan_tensor_memory import PASSING, columns_at_once
from ..use_tensor_memory import barriers, variable
from ..walk import launches, nested
from . import in_place
from .waits import Started, place_waits


@dataclass(frozen=True)
class StageTensorProducts(Pass):
    """Run products of fragments on tcgen05, through tensor memory."""

    name: ClassVar[str] = "stage-tensor-products"

    async_copy: bool = True

    def run(self, module: ir.Module, target: Target) -> None:
        for launch in launches(module):
            products = [op for op in nested(launch) if op.name == "tl.gemm" and _is_marked(op)]
            if products:
                with module.context, launch.location:
                    started = _Kernel(launch, products).run()
                    place_waits(started, async_copy=self.async_copy, at_once=columns_at_once(launch) > COLUMNS)


def _is_marked(op: ir.Operation) -> bool:
    return "instr" in op.attributes and ir.StringAttr(op.attributes["instr"]).value == INSTRUCTION


class _Kernel:
    """The rewriting of one kernel: its buffers for sums and operands, one for each fragment."""

    def __init__(self, launch: ir.Operation, products: list[ir.Operation]) -> None:
        self.launch, self.products = launch, products
        self.block = launch.regions[0].blocks[0]
        self.sums: dict[ir.Value, ir.Value] = {}
        self.operands: dict[ir.Value, ir.Value] = {}

    def run(self) -> list[Started]:
        for op in self.products:
            _clear_at_once(op)
        resting: set[ir.Value] = set()
        for c in dict.fromkeys(op.operands[2] for op in self.products):
            together = [op for op in self.products if op.operands[2] == c]
            self.sums[c] = self._tensor(c, accumulator(list(ir.MemRefType(c.type).shape), 32))
            loop = home(together)
            if loop is not None:
                in_place.move(loop, c, self.sums[c])
                resting.add(c)
            else:
                self.sums[c].owner.operation.attributes[PASSING] = build.unit()
        started: list[Started] = []
        for op in self.products:
            with op.location, ir.InsertionPoint(op):
                started.append(self._start(op, rests=op.operands[2] in resting))
            op.erase()
        return started

    def _tensor(self, like: ir.Value, layout: TensorLayout) -> ir.Value:
        kind = ir.MemRefType(like.type)
        attributes = {"layout": tensor_to_attr(layout)}
        with ir.InsertionPoint.at_block_begin(self.block), like.owner.operation.location:
            result = buffer_type(list(kind.shape), kind.element_type, TMEM)
            return ir.Operation.create("tl.alloc", [result], attributes=attributes).result

    def _start(self, op: ir.Operation, *, rests: bool) -> Started:
        """The product and its completion, and what brings its sum to the threads. Nobody waits yet."""
        c = op.operands[2]
        clears = "clear" in op.attributes and ir.BoolAttr(op.attributes["clear"]).value
        with ir.InsertionPoint.at_block_begin(self.block):
            barrier, phase = barriers([1]), variable(1)  # the phase before the first one
        sides = [self._operand(op, side) for side in (0, 1)]
        keep, zero = build.truth(rests and not clears), build.constant(0)
        names = ("transpose_a", "transpose_b", "a_unsigned", "b_unsigned")
        attributes = {name: op.attributes[name] for name in names if name in op.attributes}
        product = ir.Operation.create("tl.tcgen05_mma", [], [*sides, self.sums[c], keep], attributes)
        ir.Operation.create("tl.tcgen05_commit", [], [barrier, zero])
        build.store(build.binary("xori", build.load(phase, [zero]), build.constant(1)), phase, [zero])
        start = _between(product, op)
        if not rests:
            in_place.bring(self.sums[c], c, adds=not clears)
        bring = _between(start[-1], op)[1:]
        return Started(start, bring, c, barrier, phase)

    def _operand(self, op: ir.Operation, side: int) -> ir.Value:
        """An operand where a product reads it."""
        value = op.operands[side]
        if scope_of(value) != FRAGMENT:
            return value
        if value not in self.operands:
            kind = ir.MemRefType(value.type)
            bits = kind.element_type.width
            if side == 0 and through_tensor(op):
                self.operands[value] = self._tensor(value, dense(list(kind.shape), bits))
            else:
                with ir.InsertionPoint.at_block_begin(self.block), value.owner.operation.location:
                    result = buffer_type(list(kind.shape), kind.element_type, SHARED)
                    attributes = {"layout": to_attr(operand_layout(kind))}
                    self.operands[value] = ir.Operation.create("tl.alloc", [result], attributes=attributes).result
        ir.Operation.create("tl.copy", [], [value, self.operands[value]])
        return self.operands[value]


def _clear_at_once(op: ir.Operation) -> None:
    """A product whose sum is cleared right before it starts from zero."""
    operations = [view.operation for view in op.block.operations]
    for earlier in reversed(operations[: operations.index(op)]):
        if any(e.value == op.operands[2] for e in region_effects(earlier)):
            if earlier.name == "tl.fill" and float_constant(earlier.operands[1]) == 0.0:
                op.attributes["clear"] = ir.BoolAttr.get(True)
                earlier.erase()
            return


def _between(first: ir.Operation, end: ir.Operation) -> tuple[ir.Operation, ...]:
    """The operations of a block from one to in front of another."""
    body = [view.operation for view in end.block.operations]
    return tuple(body[body.index(first) : body.index(end)])
