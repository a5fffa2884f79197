"""Products of fragments that tcgen05 computes: which, and how the threads hold what goes to tensor memory and back.

The sum of such a product is written to tensor memory and loaded into its fragment, so the fragment lies as loads give
it. 128 rows and one warpgroup: a thread has a whole row, and reductions along it are the thread's own. Two warpgroups
share the rows: each takes 16 of the 32 lanes that its warps reach (PTX ISA 8.7, section 9.7.16.2.3), in the form of an
mma's accumulator, so that a row stays with four lanes of one warp. A first operand in registers is stored to tensor
memory from the same layout, or to a swizzled shared tile where that is no operand.

A kernel has either all of its products of fragments here or none: what the threads compute between them would have to
change its layout.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, Target

from ...dialect.effects import root
from ...dialect.layout import Digit, Fragment
from ...dialect.layout.tensor import COLUMNS, LANES, accumulator
from ...dialect.products import extents, packed_operands, transposes
from ...dialect.tl import FRAGMENT, TMEM, scope_of
from ..walk import members_of, threads_of
from .tensor_rules import WARPGROUP, meeting_fragment, operand_obstacle, product_obstacle
from .tensor_sums import home

INSTRUCTION = "tcgen05"
"""The `instr` of a `tl.gemm` that `stage-tensor-products` takes apart."""
_SUMMING = ("tl.gemm", "tl.gemm_sp", "tl.mma_scaled")
OBSTACLE = "tl.obstacle"
"""Why the products of a kernel are not tcgen05's, at the product that is the reason."""


def tensor_products(ops: Sequence[ir.Operation], target: Target) -> list[ir.Operation]:
    """The products of a kernel whose sums are fragments, if tcgen05 computes all of them."""
    found = [op for op in ops if op.name in _SUMMING] if target.supports(Feature.TCGEN05) else []
    return found if any(map(_is_repeated, found)) and not kernel_obstacle(ops, found, target) else []


def kernel_obstacle(
    ops: Sequence[ir.Operation], products: Sequence[ir.Operation], target: Target
) -> tuple[ir.Operation, str] | None:
    """The product because of which a kernel's products of fragments do not go through tensor memory, and why."""
    for op in products:
        if text := fragment_obstacle(op, target):
            return op, text
    columns = columns_of_products(ops, products)
    return (products[-1], f"{columns} columns of tensor memory, of {COLUMNS}") if columns > COLUMNS else None


def note_obstacle(ops: Sequence[ir.Operation], target: Target) -> None:
    """Mark the product that keeps those of a loop from tensor memory, for `remarks`."""
    products = [op for op in ops if op.name in _SUMMING] if target.supports(Feature.TCGEN05) else []
    found = kernel_obstacle(ops, products, target) if any(map(_is_repeated, products)) else None
    if found is not None:
        found[0].attributes[OBSTACLE] = ir.StringAttr.get(found[1])


def fragment_obstacle(op: ir.Operation, target: Target) -> str:
    """Why a product of fragments cannot go through tensor memory, or an empty string."""
    if op.name != "tl.gemm" or any(packed_operands(op)):
        return "block scales or packed elements"
    if len(op.operands) > 3 or "wgmma" in op.attributes or "pending" in op.attributes:
        return "a form of its own"
    a, b, c = op.operands
    if str(_element(a)) == "f32":
        return "float32 operands, whose rounding is that of mma.sync"
    if _element(c).width != 32:
        return f"sums of {_element(c)}"
    if len(members_of(op)):
        return "some of the threads only"
    fragments = [v for v in (a, b, c) if scope_of(v) == FRAGMENT]
    if any(root(v) != v for v in fragments):
        return "a part of a fragment"
    if any("layout" in v.owner.operation.attributes for v in fragments):
        return "a fragment in a layout that the program gives"
    if found := product_obstacle(op, target):
        return found
    if scope_of(a) == FRAGMENT and not through_tensor(op) and (text := operand_obstacle(a, not transposes(op)[0], "A")):
        return text
    m, n, _ = extents(op)
    return "" if sum_fragment(m, n, threads_of(op)) else f"{m}x{n} sums for {threads_of(op)} threads"


def through_tensor(op: ir.Operation) -> bool:
    """Whether a first operand in registers goes to tensor memory, and not to shared memory."""
    a = op.operands[0]
    bits, split = _element(a).width, threads_of(op) // WARPGROUP > 1
    floats = not isinstance(_element(a), ir.IntegerType)
    return extents(op)[0] == LANES and not transposes(op)[0] and floats and bits >= (16 if split else 8)


def columns_of_products(ops: Sequence[ir.Operation], products: Sequence[ir.Operation]) -> int:
    """32-bit columns of tensor memory that a kernel takes at least: what the program has there, sums that stay, first
    operands, and room for the largest sum that passes through."""
    taken = 0
    for op in ops:
        if op.name == "tl.alloc" and scope_of(op.results[0]) == TMEM:
            kind = ir.MemRefType(op.results[0].type)
            taken += -(-math.prod(kind.shape) // kind.shape[-2] * kind.element_type.width // 32)
    operands = {op.operands[0]: extents(op)[2] * _element(op.operands[0]).width // 32
                for op in products if scope_of(op.operands[0]) == FRAGMENT and through_tensor(op)}  # fmt: skip
    passing = 0
    for c in dict.fromkeys(op.operands[2] for op in products):
        together = [op for op in products if op.operands[2] == c]
        columns = extents(together[0])[1]
        if home(together) is None:
            passing = max(passing, columns)
        else:
            taken += columns
    return taken + passing + sum(operands.values())


def product_fragments(op: ir.Operation) -> list[tuple[ir.Value, Fragment]]:
    """The layouts of a product's sum and, where it goes to tensor memory, of its first operand; marks the product."""
    a, _, c = op.operands
    op.attributes["instr"] = ir.StringAttr.get(INSTRUCTION)
    out: list[tuple[ir.Value, Fragment]] = []
    for value in (c, a) if scope_of(a) == FRAGMENT and through_tensor(op) else (c,):
        rows, columns = list(ir.MemRefType(value.type).shape)[-2:]
        layout = sum_fragment(rows, columns, threads_of(op))
        assert layout is not None
        out.append((value, layout))
    return out


def sum_fragment(rows: int, columns: int, threads: int) -> Fragment | None:
    """How so many threads hold a tile whose rows are those of a product."""
    if rows != LANES or threads == WARPGROUP:
        return meeting_fragment(accumulator([rows, columns], 32), columns, threads)
    if threads != 2 * WARPGROUP or columns % 8:
        return None
    thread = (Digit(4, 1, 2), Digit(8, 0, 1), Digit(4, 0, 32), Digit(2, 0, 16))
    return Fragment((rows, columns), thread, (Digit(2, 1, 1), Digit(2, 0, 8), Digit(columns // 8, 1, 8)))


def _is_repeated(op: ir.Operation) -> bool:
    while op.name not in ("tl.launch", "func.func"):
        op = op.parent.operation
        if op.name in ("scf.for", "scf.while"):
            return True
    return False


def _element(value: ir.Value) -> ir.Type:
    return ir.MemRefType(value.type).element_type
