"""Small unsigned integers to 16-bit floats without a conversion instruction.

A float16 between 1024 and 2048 holds an integer in its ten low bits: `(0x6400 | q) - 1024` is `q`, exactly, for
q < 1024 (bfloat16: 0x4300, 128 and q < 128). Conversions run at a quarter of the rate of these two operations or less,
and two elements share a 32-bit register, shift and mask included: that is what unpacking 4-bit weights consists of. An
integer that is subtracted from the result, such as a zero point, is subtracted together with the 1024, exactly too.
"""

from __future__ import annotations

from tilelang_mlir.dtypes import DType
from tilelang_mlir.mlir import ir

from .context import Context

_FORMATS = {"float16": (0x6400, 1024), "bfloat16": (0x4300, 128)}  # bits of the number that has unit steps, its value


def small_integers_to_half(ctx: Context, value: ir.Value, source: DType, result: DType) -> ir.Value | None:
    """The cast of pairs `x & mask` or `(x >> shift) & mask` of unsigned 16-bit integers; None for other values."""
    if str(source) != "uint16" or str(result) not in _FORMATS:
        return None
    if not isinstance(value.type, ir.VectorType) or value.type.shape[0] % 2:
        return None
    bits, first = _FORMATS[str(result)]
    found = _with_constants(value, "arith.andi")
    if found is None or max(found[1]) >= first:
        return None
    inner, masks = found
    shifts = [0] * len(masks)
    shifted = _with_constants(inner, "arith.shrui")
    if shifted is not None and _stay_apart(masks, shifted[1]):
        inner, shifts = shifted
    words = ctx.e.pure("vector.bitcast", ctx.e.vector_type(len(masks) // 2, ctx.e.i32), [inner])
    if any(shifts):
        words = ctx.e.pure("arith.shrui", words.type, [words, ctx.e.numbers(ctx.e.i32, shifts[::2])])
    pairs = [high << 16 | low for low, high in zip(masks[::2], masks[1::2], strict=True)]
    words = ctx.e.pure("arith.andi", words.type, [words, ctx.e.numbers(ctx.e.i32, pairs)])
    words = ctx.e.pure("arith.ori", words.type, [words, ctx.e.splat(words.type, bits << 16 | bits)])
    kind = ctx.e.vector_type(len(masks), ir.Type.parse(result.mlir))
    halves = ctx.e.pure("vector.bitcast", kind, [words])
    return ctx.e.pure("arith.subf", kind, [halves, ctx.e.splat(kind, float(first))])


def less_small_integer(ctx: Context, halves: ir.Value, zero: ir.Value) -> ir.Value | None:
    """What such a cast gave, less an integer; None for other values."""
    zeros = _splat(zero)
    if zeros is None or isinstance(halves.owner, ir.Block) or halves.owner.operation.name != "arith.subf":
        return None
    joined, first = halves.owner.operation.operands
    start, inner = _splat(first), joined.owner
    if start not in (1024.0, 128.0) or isinstance(inner, ir.Block) or inner.operation.name != "vector.bitcast":
        return None
    words = inner.operation.operands[0].owner
    exact = zeros.is_integer() and 0 <= zeros <= start
    if not exact or isinstance(words, ir.Block) or words.operation.name != "arith.ori":
        return None
    return ctx.e.pure("arith.subf", halves.type, [joined, ctx.e.splat(halves.type, start + zeros)])


def _splat(value: ir.Value) -> float | None:
    """The one number in all lanes of a constant of floats, through what makes vectors of it."""
    if isinstance(value.owner, ir.Block):
        return None
    op = value.owner.operation
    if op.name == "vector.broadcast":
        return _splat(op.operands[0])
    if op.name != "arith.constant":
        return None
    attribute = op.attributes["value"]
    if isinstance(attribute, ir.FloatAttr):
        return attribute.value
    if isinstance(attribute, ir.DenseFPElementsAttr) and attribute.is_splat:
        return ir.FloatAttr(attribute.get_splat_value()).value
    return None


def _stay_apart(masks: list[int], shifts: list[int]) -> bool:
    """Whether the elements of each pair shift alike and the mask removes what comes from the upper into the lower."""
    alike = shifts[::2] == shifts[1::2]
    return alike and all(mask << shift < 1 << 16 for mask, shift in zip(masks, shifts, strict=True))


def _with_constants(value: ir.Value, name: str) -> tuple[ir.Value, list[int]] | None:
    """The first operand of an operation and the constants, lane by lane, of its second."""
    if isinstance(value.owner, ir.Block) or value.owner.operation.name != name:
        return None
    operand, constant = value.owner.operation.operands
    numbers = _lanes(constant)
    return None if numbers is None else (operand, [number & 0xFFFF for number in numbers])


def _lanes(value: ir.Value) -> list[int] | None:
    """The integers in the lanes of a constant, through what changes its width."""
    if isinstance(value.owner, ir.Block):
        return None
    op = value.owner.operation
    width = value.type.shape[0] if isinstance(value.type, ir.VectorType) else 1
    if op.name in ("vector.broadcast", "arith.trunci", "arith.extui"):
        inner = _lanes(op.operands[0])
        return None if inner is None else inner * (width // len(inner))
    if op.name != "arith.constant":
        return None
    attribute = op.attributes["value"]
    if isinstance(attribute, ir.IntegerAttr):
        return [attribute.value]
    if not isinstance(attribute, ir.DenseIntElementsAttr):
        return None
    return [int(attribute[0])] * width if attribute.is_splat else [int(number) for number in attribute]
