"""How much optimisation a kernel is worth to the assembler.

In a kernel whose loops only wait for tiles and start products of them, the threads have nothing to schedule: on an
H200 products of matrices run as fast from `-O1` as from `-O3` (11 of 11 sizes and layouts, float16 and e4m3, within
0.3 %), and ptxas does a fifth less. Where threads compute in a loop (attention, dequantisation) the levels differ by up
to 2 %.

Loops of `mma.sync` whose loads are spread among the products run as fast from `-O1` as from `-O3` without that order
(`spread_loads.py`), and ptxas takes a third of the time.

Another question is which assembler. Where threads add up scaled products while the tensor cores work on the next ones,
a run of additions keeps the other warps from starting theirs, unless every other one gives way: that is what ptxas
makes of it from release 12.9 on.
"""

from __future__ import annotations

from collections.abc import Sequence

from tilelang_mlir.mlir import ir

from ...dialect.tl import FRAGMENT, scope_of
from ..delay_waits import is_worked_on
from ..walk import nested
from .spread_loads import OPERAND_STEPS

_LIGHT = 1
_STEPS = 4  # along K, in loops of `mma.sync`: those of two steps gain 3 to 9 % by `-O3`
_PRODUCER = ("tl.mbarrier_wait", "tl.mbarrier_arrive", "tl.slice", "tl.tma_load", "tl.im2col_load", "tl.alloc")
_LOOP = ("tl.mbarrier_wait", "tl.mbarrier_arrive", "tl.slice", "tl.gemm")
_CONSUMER = (
    *_LOOP, "tl.alloc", "tl.fill", "tl.cast", "tl.parallel", "tl.turn", "tl.wait_products", "tl.staged_store",
    "tl.tma_wait", "tl.sync_threads",
)  # fmt: skip
_SCALAR = ("arith.", "scf.", "memref.")


def effort(inside: Sequence[ir.Operation]) -> int | None:
    """The optimisation level that is enough for a kernel, given all its operations; None: all there is."""
    return _LIGHT if only_multiplies(inside) else _effort_of_roles(inside)


def only_multiplies(inside: Sequence[ir.Operation]) -> bool:
    """Whether the only loop is one of products of `mma.sync` in an order that leaves ptxas nothing to find."""
    loops = [op for op in inside if op.name in ("scf.for", "scf.while")]
    if len(loops) != 1 or OPERAND_STEPS not in loops[0].attributes:
        return False
    products = [op for op in inside if op.name == "tl.gemm"]
    steps = ir.IntegerAttr(loops[0].attributes[OPERAND_STEPS]).value
    return steps == _STEPS and all(op.parent.operation == loops[0] for op in products)


def _effort_of_roles(inside: Sequence[ir.Operation]) -> int | None:
    roles = [op for op in inside if op.name == "tl.specialize"]
    if len(roles) != 1:
        return None
    producer, consumer = (region.blocks[0] for region in roles[0].regions)
    if not all(_is_among(op, _PRODUCER) for op in _inside(producer)):
        return None
    if not all(_is_among(op, _CONSUMER) for op in _inside(consumer)):
        return None
    loops = [op for op in _inside(consumer) if op.name in ("scf.for", "scf.while") and "tl.tiles" not in op.attributes]
    products = [op for op in inside if op.name == "tl.gemm"]
    if len(loops) != 1 or len(products) != 1 or products[0].parent.operation != loops[0]:
        return None
    plain = "instr" in products[0].attributes and scope_of(products[0].operands[0]) != FRAGMENT
    return _LIGHT if plain and all(_is_among(op, _LOOP) for op in nested(loops[0])) else None


def interleaves(inside: Sequence[ir.Operation]) -> bool:
    """Whether threads add up what products of warpgroups give, in a loop that has no others, all of shared tiles."""
    for loop in [op for op in inside if op.name == "scf.for"]:
        products = [op for op in nested(loop) if op.name == "tl.gemm"]
        shared = bool(products) and all(scope_of(op.operands[0]) != FRAGMENT for op in products)
        if shared and all(is_worked_on(loop, op) for op in products):
            return True
    return False


def _inside(block: ir.Block) -> list[ir.Operation]:
    return [inner for op in block.operations for inner in (op.operation, *nested(op.operation))]


def _is_among(op: ir.Operation, names: tuple[str, ...]) -> bool:
    return op.name in names or op.name.startswith(_SCALAR)
