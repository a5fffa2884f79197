"""Block scales in kernels with roles: a warp copies them, word by word, into the order that tensor memory takes.

`use-tensor-memory` has written, for each operand of a block-scaled product,

    tl.copy G -> S;  parallel: X = S in the order of tl.tcgen05_cp;  tcgen05_cp X -> T

Rows of S are too short for bulk copies (a word has the factors of 128 elements). With roles the warp of factors starts
a cp.async of four bytes per row straight from G to X, and arrives at the barrier of the stage when they have landed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tilelang_mlir.mlir import int_array, ir

from ...dialect.effects import region_effects, root
from ...dialect.products import tile_shape
from ...dialect.tl import GLOBAL, SHARED, scope_of
from .. import build
from ..expand_tile_ops import region_of
from ..walk import WARP, nested

_ROWS = 128  # whose words are four columns
_SLT = 2  # arith.cmpi


@dataclass(frozen=True)
class Factors:
    """The scales of one operand: the copy of a tile, the loop that orders it, and the copy to tensor memory."""

    load: ir.Operation
    order: ir.Operation
    move: ir.Operation

    @property
    def ordered(self) -> ir.Value:
        return self.move.operands[0]

    @property
    def target(self) -> ir.Value:
        return self.move.operands[1]


def find_factors(body: Sequence[ir.Operation], products: Sequence[ir.Operation]) -> list[Factors] | None:
    """The scales of block-scaled products; None where they come in another way."""
    found: list[Factors] = []
    for product in products:
        for scale in list(product.operands)[4:]:
            chain = _chain(body, scale)
            if chain is None:
                return None
            found.append(chain)
    return found


def _chain(body: Sequence[ir.Operation], scale: ir.Value) -> Factors | None:
    moves = [op for op in body if op.name == "tl.tcgen05_cp" and op.operands[1] == scale]
    if len(moves) != 1 or root(moves[0].operands[0]) != moves[0].operands[0]:
        return None
    orders = [op for op in body if op.name == "tl.parallel" and _writes(op, moves[0].operands[0])]
    if len(orders) != 1:
        return None
    read = {e.value for e in region_effects(orders[0]) if e.kind == "read"}
    loads = [op for op in body if op.name == "tl.copy" and len(op.operands) == 2 and root(op.operands[1]) in read]
    if len(read) != 1 or len(loads) != 1:
        return None
    source, target = loads[0].operands
    whole = scope_of(source) == GLOBAL and scope_of(target) == SHARED and root(target) == target
    known = [loads[0], *nested(orders[0])]
    users = [use.owner.operation for use in target.uses]
    if not whole or any(op not in known for op in users) or root(source).owner.operation.name != "tl.tensor":
        return None
    return Factors(loads[0], orders[0], moves[0])


def _writes(op: ir.Operation, buffer: ir.Value) -> bool:
    return any(e.kind == "write" and e.value == buffer for e in region_effects(op))


def _sizes(tensor: ir.Value) -> list[ir.Value]:
    """The sizes of a `tl.tensor`."""
    op = tensor.owner.operation
    dynamic = iter(list(op.operands)[1:])
    return [next(dynamic) if n == -1 else build.constant(n) for n in int_array(op.attributes["shape"])]


def start_copies(factors: Factors, source: ir.Value, ordered: ir.Value, slot: ir.Value, lane: ir.Value) -> None:
    """A lane's copies of one stage: rows `lane`, `lane + 32` and so on, to version `slot`; what is outside is zero."""
    rows, words = tile_shape(factors.load.operands[1])
    read = region_of(source)
    shape = _sizes(read.buffer)
    lead = [build.constant(0)] * (len(shape) - 2)
    place = build.binary("muli", lane, build.constant(4))
    for start in range(0, -(-rows // _ROWS) * _ROWS, WARP):
        row = build.binary("addi", lane, build.constant(start))
        there = build.binary("addi", place, build.constant(start // _ROWS * _ROWS + start % _ROWS // WARP))
        for word in range(words):
            indices = read.within([*lead, row, build.constant(word)])
            inside = build.compare(_SLT, row, build.constant(rows))
            for index, size in zip(indices, shape, strict=True):
                inside = build.binary("andi", inside, build.compare(_SLT, index, size))
            target = [slot, build.constant(word), there]
            ir.Operation.create(
                "tl.copy_words", [], [read.buffer, ordered, inside, *indices, *target],
                {"bytes": ir.IntegerAttr.get(build.i32(), 4)},
            )  # fmt: skip
