"""How warpgroups share a matrix product on wgmma, and the fragments that follow.

PTX ISA, "Register Fragments for wgmma".

A warpgroup computes 64 rows per instruction, 16 per warp; each owns a contiguous part of C along M, or along N when M
has too few rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from tilelang_mlir.isa.nvidia import wgmma
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, Target

from ...dialect.effects import laid_out
from ...dialect.layout import REPLICATE, Digit, Fragment, swizzle_span
from ...dialect.products import extents, factors, tile_shape_2d, transposes
from ...dialect.tl import FRAGMENT, SHARED, scope_of
from ..operand_tiles import is_given, operand_span
from .tma_rules import starts_a_pattern

WARPGROUP = 128
ROWS = 64  # per instruction
MAX_COLUMNS = 256
_FP8 = ("f8E4M3FN", "f8E5M2")
_KINDS = {"f16": "f16", "bf16": "bf16", "f32": "tf32", "f8E4M3FN": "e4m3", "f8E5M2": "e5m2", "i8": "s8"}


@dataclass(frozen=True)
class GroupGrid:
    """Warpgroups along M and N, and the part of C each owns."""

    m: int
    n: int
    rows: int
    columns: int


def partition(m: int, n: int, threads: int) -> GroupGrid | None:
    """Split C over the warpgroups; None when it does not fit the instruction."""
    groups = threads // WARPGROUP
    if threads % WARPGROUP or not groups:
        return None
    for along_m in sorted((d for d in range(1, groups + 1) if groups % d == 0), reverse=True):
        along_n = groups // along_m
        whole = m % (along_m * ROWS) == 0 and n % (along_n * 8) == 0
        if whole and n // along_n <= max_columns(threads):
            return GroupGrid(along_m, along_n, m // along_m, n // along_n)
    return None


def max_columns(threads: int) -> int:
    """Columns of the widest instruction when so many threads share a multiprocessor.

    An instruction needs half as many registers as it has columns; ptxas wants 26 more (error C7602).
    """
    registers = 65536 // threads // 8 * 8
    return min(MAX_COLUMNS, (registers - 26) * 2 // 8 * 8)


def product_kinds(op: ir.Operation) -> tuple[str, str] | None:
    """What the instruction calls the operands' types; None when it does not multiply them, or not into C's type."""
    a, b, c = (str(ir.MemRefType(v.type).element_type) for v in factors(op))
    if a not in _KINDS or (a != b and not (a in _FP8 and b in _FP8)):
        return None
    if c != ("i32" if a == "i8" else "f32") and not has_half_sums(op):
        return None
    unsigned = [f"{side}_unsigned" in op.attributes for side in "ab"]
    first, second = ("u8" if u else _KINDS[x] for u, x in zip(unsigned, (a, b), strict=True))
    return first, second


def has_half_sums(op: ir.Operation) -> bool:
    """Whether a product of float16 or 8-bit floats adds up in float16, two sums in a register."""
    a, _, c = (str(ir.MemRefType(v.type).element_type) for v in factors(op))
    return c == "f16" and a in ("f16", *_FP8) and op.name == "tl.gemm" and "wgmma" not in op.attributes


def uses_wgmma(op: ir.Operation, threads: int, target: Target, *, narrow: bool = False) -> GroupGrid | None:
    """The split when a product can run on wgmma, else None.

    B, and A unless it is in registers, must be shared tiles in a hardware swizzle: whole 16-byte-swizzled rows along K,
    or (16-bit elements only) whole 128-byte rows along M or N, of which each warpgroup takes whole ones; tiles of more
    than 64 elements that are no multiple of them may be in narrower pieces (tiles of fewer are cheap otherwise), and
    any that the user lays out so, or with `narrow`. With a sparse A a step along K takes 64 bytes of B, which are one
    piece of a row.
    """
    sparse = op.name == "tl.gemm_sp"
    if not target.supports(Feature.WGMMA):
        return None
    a, b, c = factors(op)
    kinds = product_kinds(op)
    if kinds is None or scope_of(b) != SHARED:
        return None
    shape = tile_shape_2d(c)
    grid = partition(*shape, threads) if shape else None
    if grid is not None and not wgmma.allows(kinds[0], grid.columns):
        return None
    flags = transposes(op)
    if grid is None or (scope_of(a) == FRAGMENT and flags[0]):
        return None
    bits = ir.MemRefType(a.type).element_type.width
    whole_panels = flags[1] or grid.n == 1 or grid.columns * bits % (operand_span(b) * 8 or 1) == 0
    if extents(op)[2] % step_depth(op) or not whole_panels:
        return None
    sides = [(b, flags[1])] + ([(a, not flags[0])] if scope_of(a) == SHARED else [])
    if sparse and flags[1] and swizzle_span(ir.MemRefType(laid_out(b).type).shape[-2:], bits) < 64:
        return None
    return grid if all(_describable(v, along_k, bits, narrow) for v, along_k in sides) else None


def step_depth(op: ir.Operation) -> int:
    """k of one instruction: 32 bytes of A, which are twice as many elements when A is sparse."""
    bits = ir.MemRefType(op.operands[0].type).element_type.width
    return 256 // bits * (2 if op.name == "tl.gemm_sp" else 1)


def why_no_wgmma(op: ir.Operation, threads: int, target: Target) -> str:
    """The first rule that keeps a product from running on wgmma."""
    if not target.supports(Feature.WGMMA):
        return f"{target} has no wgmma"
    a, b, c = factors(op)
    kinds = [str(ir.MemRefType(v.type).element_type) for v in (a, b, c)]
    if kinds[0] not in _KINDS or kinds[0] != kinds[1] or kinds[2] != "f32":
        return f"it multiplies {kinds[0]} with {kinds[1]} into {kinds[2]}"
    if scope_of(b) != SHARED:
        return "B is not in shared memory"
    shape = tile_shape_2d(c)
    if shape is None or partition(*shape, threads) is None:
        return f"C of {list(shape or ())} does not split over {threads} threads into rows of 64 and columns of 8"
    bits = ir.MemRefType(a.type).element_type.width
    if not transposes(op)[1] and swizzle_span(ir.MemRefType(laid_out(b).type).shape[-2:], bits):
        return "parts of B along N, by warpgroup or as sliced, are no multiples of 16 columns"
    return f"an operand in shared memory has no hardware swizzle, or K is no multiple of {step_depth(op)}"


def _describable(value: ir.Value, along_k: bool, bits: int, narrow: bool) -> bool:
    """Whether a descriptor can name the tile: it has a hardware swizzle, by inference or as the user asks."""
    tile = list(ir.MemRefType(laid_out(value).type).shape)[-2:]
    span = operand_span(value)
    if not starts_a_pattern(value, span * 8 // bits):
        return False
    if along_k:
        return span > 0
    return bits == 16 and (span == 128 or (span > 0 and (narrow or tile[-1] > 64 or is_given(value))))


def accumulator(grid: GroupGrid) -> Fragment:
    """C: per block of 64 rows the mma fragment of four warps, blocks one after another."""
    thread = (
        Digit(4, 1, 2),
        Digit(8, 0, 1),
        Digit(4, 0, 16),
        Digit(grid.m, 0, grid.rows),
        Digit(grid.n, 1, grid.columns),
    )
    value = (Digit(2, 1, 1), Digit(2, 0, 8), Digit(grid.columns // 8, 1, 8), Digit(grid.rows // ROWS, 0, ROWS))
    return Fragment((grid.rows * grid.m, grid.columns * grid.n), thread, value)


def operand_a(grid: GroupGrid, k: int, bits: int) -> Fragment:
    """A [M, K] in registers: four 32-bit words per 64 rows and k step."""
    pack = 32 // bits
    thread = (
        Digit(4, 1, pack),
        Digit(8, 0, 1),
        Digit(4, 0, 16),
        Digit(grid.m, 0, grid.rows),
        Digit(grid.n, REPLICATE, 1),
    )
    value = (
        Digit(pack, 1, 1),
        Digit(2, 0, 8),
        Digit(2, 1, 4 * pack),
        Digit(k // (8 * pack), 1, 8 * pack),
        Digit(grid.rows // ROWS, 0, ROWS),
    )
    return Fragment((grid.rows * grid.m, k), thread, value)
