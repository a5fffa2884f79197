"""Which products tcgen05 computes, and where fragments meet tensor memory.

Sources: PTX ISA 8.7, sections 9.7.16.2.1 (shapes by kind), 9.7.16.2.3 (which lanes a warp reaches), 9.7.16.5 (layouts
of shared operands).
"""

from __future__ import annotations

from dataclasses import dataclass

from tilelang_mlir.isa.nvidia import tcgen05_descriptors as descriptors
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, Target, targets_with

from ...dialect.effects import laid_out, root
from ...dialect.layout import Digit, Fragment, swizzle_span
from ...dialect.layout.tensor import LANES, TensorLayout, accumulator, dense
from ...dialect.products import TENSOR_PRODUCTS, elements_of, extents, packed_operands, padded_operands, transposes
from ...dialect.tl import SHARED, TMEM, scope_of
from ..operand_tiles import operand_span
from .tma_rules import descriptor_reaches

_FLOATS = {
    "f16": ("f16", "f16"),
    "bf16": ("f16", "bf16"),
    "f32": ("tf32", "tf32"),
    "f8E4M3FN": ("f8f6f4", "e4m3"),
    "f8E5M2": ("f8f6f4", "e5m2"),
}
_SUMS = ("f32", "f16")  # accumulators of float products (table of 9.7.16.2.1), float16 ones without block scales
_SCALED = ("tl.tcgen05_scaled_mma", "tl.mma_scaled")
SPARSE = "tl.tcgen05_sparse_mma"
WARPGROUP = 128
MAX_COLUMNS = 256


@dataclass(frozen=True)
class Product:
    """A product as instructions: the shape of one, and k steps."""

    shape: descriptors.Shape
    steps: int
    stacks: int = 1  # of 128 rows, which are products of their own


def product_obstacle(op: ir.Operation, target: Target) -> str:
    """Why tcgen05 cannot compute a product, scaled or not, or an empty string."""
    a, b, c = list(op.operands)[:3]
    kinds = _kinds(op)
    if kinds is None:
        return f"operands of {_element(a)} and {_element(b)} with an accumulator of {_element(c)}"
    if kinds[0] == "i8" and not target.supports(Feature.TCGEN05_INT8):
        having = ", ".join(targets_with(Feature.TCGEN05_INT8))
        return f"operands of {_element(a)}, which {having} has and {target} lacks"
    m, n, _ = extents(op)
    pair = "pair" in op.attributes
    rows = (128,) if op.name in (*_SCALED, SPARSE) or scope_of(a) == TMEM else (64, 128) if pair else (64, 128, 256)
    if m not in rows:
        return f"an accumulator of {m} rows, which must have {' or '.join(map(str, rows))}"
    step = 32 if pair else 16 if m >= 128 or (kinds[0] == "i8" and n > 32) else 8
    if n % step or n > MAX_COLUMNS:
        return f"an accumulator of {n} columns, which must be a multiple of {step} up to {MAX_COLUMNS}"
    flags = transposes(op)
    depth = descriptors.depth(kinds[0]) * (2 if op.name == SPARSE else 1)
    k = _depth_of(op)
    if op.name == SPARSE and (text := _sparse_obstacle(op)):
        return text
    if k % depth:
        return f"a depth of {k}, which must be a multiple of {depth}"
    if any(packed_operands(op)) and (text := _packed_obstacle(op)):
        return text
    packed = packed_operands(op)
    if any(becomes_padded(op)):
        sides = [] if packed[1] else [(b, flags[1], "B")]
        sides += [] if packed[0] else [(a, not flags[0], "A")]
        tiles = [(size, x) for size, x, kind in zip((m, n), "AB", packed, strict=True) if kind]
        odd = [f"{x} of {size}x{k}" for size, x in tiles if not swizzle_span([size, k], 8)]
        text = f"{odd[0]}, whose rows are no groups of 8" if odd else ""
        return text or next((text for side in sides if (text := operand_obstacle(*side))), "")
    if scope_of(a) == TMEM and flags[0]:
        return "a transposed A in tensor memory"
    sides = [(b, flags[1], "B")] + ([(a, not flags[0], "A")] if scope_of(a) == SHARED else [])
    return next((text for side in sides if (text := operand_obstacle(*side))), "")


def _sparse_obstacle(op: ir.Operation) -> str:
    """A step of a sparse A along k takes 64 bytes of B, which are one piece of a row."""
    _, b, _, _, metadata = op.operands
    width = 32 if _element(op.operands[0]).width == 8 else 16
    if scope_of(metadata) == SHARED and _element(metadata).width != width:
        return f"metadata of {_element(metadata)}; those of {_element(op.operands[0])} are of i{width}"
    tile = list(ir.MemRefType(laid_out(b).type).shape)[-2:]
    if transposes(op)[1] and swizzle_span(tile, _element(b).width) < 64:
        return f"B of {tile[0]}x{tile[1]}, whose rows are no whole 64 bytes"
    return ""


def _depth_of(op: ir.Operation) -> int:
    """Elements along k."""
    k = extents(op)[2]
    return elements_of(k, packed_operands(op)[1])


def becomes_padded(op: ir.Operation) -> tuple[bool, bool]:
    """Which packed operands the instruction takes with gaps: all but pairs of scaled 4-bit floats (9.7.16.10.2)."""
    packed = packed_operands(op)
    gaps = packed != ("e2m1", "e2m1") or op.name not in _SCALED
    return gaps and bool(packed[0]), gaps and bool(packed[1])


def _packed_obstacle(op: ir.Operation) -> str:
    """4-bit floats: pairs along k, one factor of 16 or 32 elements each (9.7.16.10.7, table of scale_vec sizes)."""
    packed, along_k = packed_operands(op), (not transposes(op)[0], transposes(op)[1])
    if any(kind and not along for kind, along in zip(packed, along_k, strict=True)):
        return f"{min(_bits(kind) for kind in packed if kind)}-bit operands whose elements are not neighbours along K"
    if op.name not in _SCALED:
        return ""
    blocks = list(ir.DenseI64ArrayAttr(op.attributes["scale_blocks"]))
    if any(becomes_padded(op)):
        names = " and ".join(filter(None, packed))
        return "" if min(blocks) >= 32 else f"{names} operands with factors of {min(blocks)} elements, expected 32"
    firsts = list(ir.DenseI64ArrayAttr(op.attributes["scale_bytes"]))
    if blocks[0] != blocks[1] or blocks[0] not in (16, 32):
        return f"4-bit operands with factors of {blocks[0]} and {blocks[1]} elements, expected 16 or 32 for both"
    if any(first % (64 // blocks[0]) for first in firsts):
        return "4-bit operands whose first factor is not that of a multiple of 64 elements"
    return ""


def product_of(op: ir.Operation) -> Product:
    """The instructions of a `tl.tcgen05_mma` without obstacle."""
    kinds = _kinds(op)
    assert kinds is not None
    kind, a_type, b_type, d_type = kinds
    if op.name in _SCALED and not kind.startswith("mx"):
        kind = "mx" + kind
    m, n, _ = extents(op)
    flags = transposes(op)
    k = _depth_of(op)
    stacks = max(m // LANES, 1)
    m = m // stacks * (2 if "pair" in op.attributes else 1)
    sparse = op.name == SPARSE
    shape = descriptors.Shape(m, n, kind, a_type, b_type, d_type, flags[0], not flags[1], sparse)
    return Product(shape, k // descriptors.depth(kind) // (2 if sparse else 1), stacks)


def _bits(kind: str) -> int:
    return 4 if kind == "e2m1" else 6


def _element(value: ir.Value) -> ir.Type:
    return ir.MemRefType(value.type).element_type


def _kinds(op: ir.Operation) -> tuple[str, str, str, str] | None:
    """Kind and operand types of the instruction."""
    a, b, c = (str(_element(v)) for v in list(op.operands)[:3])
    packed, padded = packed_operands(op), padded_operands(op)
    if (any(padded) or any(becomes_padded(op))) and c in _SUMS[: 1 if op.name in _SCALED else 2]:
        formats = [kind or gaps for kind, gaps in zip(packed, padded, strict=True)]
        sides = zip((a, b), formats, strict=True)
        (kind, first), (other, second) = (("f8f6f4", f) if f else _FLOATS.get(e, ("", "")) for e, f in sides)
        return ("f8f6f4", first, second, c) if kind == other == "f8f6f4" else None
    if any(packed):
        if op.name not in _SCALED or a != b or c != "f32":
            return None
        by_16 = list(ir.DenseI64ArrayAttr(op.attributes["scale_blocks"]))[0] == 16
        return "mxf4nvf4" if by_16 else "mxf4", "e2m1", "e2m1", "f32"
    if a == b == "i8" and c == "i32":
        signs = ["u8" if f"{x}_unsigned" in op.attributes else "s8" for x in "ab"]
        return "i8", signs[0], signs[1], "s32"
    if a not in _FLOATS or b not in _FLOATS or c not in _SUMS or (c == "f16" and {a, b} & {"bf16", "f32"}):
        return None
    (kind, first), (other, second) = _FLOATS[a], _FLOATS[b]
    return (kind, first, second, c) if kind == other and (kind == "f8f6f4" or a == b) else None


def operand_obstacle(value: ir.Value, along_k: bool, name: str) -> str:
    """A descriptor names a tile in the widest swizzle, or a part of one; bytes along M or N need that of 128 bytes."""
    tile = list(ir.MemRefType(laid_out(value).type).shape)[-2:]
    bits = _element(value).width
    span = swizzle_span(tile, bits)
    if operand_span(value) != span:
        return f"{name} in a layout that is not the {span}-byte swizzle"
    if not span:
        return f"{name} of {tile[0]}x{tile[1]}, whose rows are no whole 32 bytes or whose rows are not in groups of 8"
    if not along_k and (bits > 16 or (bits == 8 and span != 128)):
        return f"{name} with rows along M or N of {tile[1]} elements of {bits} bits, not of 16 nor 128 bytes of 8"
    if not descriptor_reaches(value, along_k, span):
        return f"{name}, a part of a shared tile that starts or ends inside of a swizzled piece: 8 rows of {span} bytes"
    return ""


def rows_obstacle(op: ir.Operation) -> str:
    """Why no instruction copies a shared tile to tensor memory by rows, or an empty string (9.7.16.9.2, .128x256b)."""
    source, target, *condition = op.operands
    kinds = [ir.MemRefType(v.type) for v in (source, target)]
    if condition or kinds[0].element_type != kinds[1].element_type or kinds[0].element_type.width < 8:
        return "other elements, or a condition"
    if list(kinds[0].shape)[-2:] != list(kinds[1].shape)[-2:] or kinds[0].shape[-2] != LANES:
        return f"tiles that are not {LANES} rows of the same columns"
    if any(is_float16_sum(use.owner.operation, root(target)) for use in root(target).uses):
        return "elements that have a column each"
    return operand_obstacle(source, True, "the source")


def is_float16_sum(op: ir.Operation, buffer: ir.Value) -> bool:
    """Whether a product's accumulator is a buffer of 16-bit elements."""
    return op.name in ("tl.gemm", *TENSOR_PRODUCTS) and op.operands[2] == buffer and _element(buffer).width == 16


# -- layouts -----------------------------------------------------------------------------------------------------------
def accumulator_layout(c: ir.Value, *, pair: bool = False) -> TensorLayout:
    """The layout that a product, of a pair of CTAs or of one, dictates for the buffer of its accumulator."""
    kind = ir.MemRefType(root(c).type)
    return accumulator(list(kind.shape), kind.element_type.width, pair=pair)


def default_layout(buffer: ir.Value) -> TensorLayout:
    """The layout of a buffer that no product writes: row r in lane r."""
    kind = ir.MemRefType(buffer.type)
    return dense(list(kind.shape), kind.element_type.width)


def meeting_fragment(layout: TensorLayout, columns: int, threads: int) -> Fragment | None:
    """How warpgroups hold `columns` of all rows when they load or store them; None when they cannot.

    A warp reaches the lanes of its quarter. All 128 lanes: a thread has a row (.32x32b). 64 rows, 16 in each quarter:
    the fragment of an mma (.16x256b, of 16-bit elements .16x128b); or two threads half a row each (.32x32b), whole rows
    only. Warpgroups share the columns; of 256 rows two have 128 each, others two in a thread.
    """
    groups, rows = threads // WARPGROUP, layout.shape[-2]
    if threads % WARPGROUP or not groups or columns % groups:
        return None
    each = columns // groups
    if layout.is_sparse:
        if each % 8:
            return None
        thread = (Digit(4, 1, 2), Digit(8, 0, 1), Digit(4, 0, 16), Digit(groups, 1, each))
        return Fragment((rows, columns), thread, (Digit(2, 1, 1), Digit(2, 0, 8), Digit(each // 8, 1, 8)))
    if layout.parts == 2:
        if rows != LANES // 2 or columns != layout.shape[-1] or each // 2 * layout.bits % 32:
            return None
        thread = (Digit(64, 0, 1), Digit(2, 1, columns // 2), Digit(groups, 1, each // 2))
        return Fragment((rows, columns), thread, (Digit(each // 2, 1, 1),))
    if layout.stacks > 1:
        apart, shared = (groups, 1) if groups == layout.stacks else (1, groups)  # one distance between warpgroups
        each = columns // shared
        if each * layout.bits % 32:
            return None
        thread = (Digit(32, 0, 1), Digit(4, 0, 32), Digit(apart, 0, LANES), Digit(shared, 1, each))
        value = (Digit(each, 1, 1), Digit(layout.stacks // apart, 0, LANES))
        return Fragment((rows, columns), thread, value)
    if rows != LANES or each * layout.bits % 32:
        return None
    thread = (Digit(32, 0, 1), Digit(4, 0, 32), Digit(groups, 1, each))
    return Fragment((rows, columns), thread, (Digit(each, 1, 1),))
