"""Element arithmetic: upstream `arith` and `math` operations over the lanes, and the casts of `tl`."""

from __future__ import annotations

import math

from tilelang_mlir.dtypes import DType, from_mlir
from tilelang_mlir.mlir import ir

from ...dialect.tl import UNSIGNED
from .. import raster
from .buffers import value_type
from .context import Context, Value, rule
from .expand_math import expand_math
from .exponents import exponent_to_f32, f32_to_exponent
from .index import Index
from .narrow_codes import narrow_code
from .small_integers import less_small_integer, small_integers_to_half
from .soft_floats import FORMATS, fits_float16, from_float32, to_float16, to_float32

_DIVISIONS = ("arith.divsi", "arith.divui", "arith.remsi", "arith.remui")
_ELEMENTWISE = (
    "addi subi muli divsi divui remsi remui andi ori xori shli shrsi shrui minsi maxsi minui maxui addf subf mulf "
    "divf remf negf maxnumf minnumf maximumf minimumf cmpi cmpf extsi extui trunci extf truncf sitofp uitofp fptosi "
    "fptoui bitcast select"
).split()
_MATH = (
    "absf absi ceil floor fma sqrt rsqrt exp2 log2 sin cos tanh round roundeven trunc copysign ctpop ctlz cttz "
    "exp log log10 log1p expm1 powf fpowi tan sinh cosh asin acos atan atan2 asinh acosh atanh erf ipowi isfinite "
    "isinf isnan"
).split()

# A product and the sum it goes into may round once, as device compilers do by default.
_CONTRACTED = ("arith.mulf", "arith.addf", "arith.subf")


@rule("arith.constant")
def lower_constant(ctx: Context, op: ir.Operation) -> None:
    attr, kind = op.attributes["value"], op.results[0].type
    is_index = isinstance(kind, ir.IndexType)
    if isinstance(attr, ir.IntegerAttr) and (is_index or kind.width > 1):
        value = attr.value
        if is_index or kind == ctx.e.i32 or (ctx.wide_indices and kind == ctx.e.i64):
            ctx.values[op.results[0]] = Index.of(value, 1)
            return
        ctx.values[op.results[0]] = ctx.e.constant(kind, value)
        return
    if is_narrow(kind):
        if str(kind) == "f8E5M2" and math.isinf(attr.value):  # conversions saturate to finite values
            ctx.values[op.results[0]] = ctx.e.constant(ctx.e.i8, 0x7C if attr.value > 0 else 0xFC - 256)
            return
        code = narrow_code(str(kind), float(attr.value))
        if code is not None:  # at the start of the function, so that every later use may have it
            ctx.values[op.results[0]] = ctx.e.constant(ctx.e.i8, code - 256 if code > 127 else code)
            return
        wide = ctx.e.constant(ctx.e.f32, float(attr.value))
        ctx.values[op.results[0]] = cast(ctx, wide, DType("float32"), DType(from_mlir(str(kind), unsigned=False)))
        return
    value = attr.value if not isinstance(attr, ir.BoolAttr) else int(attr.value)
    ctx.values[op.results[0]] = ctx.e.constant(kind, value)


@rule("arith.index_cast", "arith.index_castui")
def lower_index_cast(ctx: Context, op: ir.Operation) -> None:
    found = ctx.get(op.operands[0])
    if ctx.wide_indices and not isinstance(found, Index) and found.type == ctx.e.i64:
        found = ctx.ix.uniform(found, divisor=raster.divisor(op.operands[0]))
    if not isinstance(found, Index) and not isinstance(found.type, ir.VectorType) and found.type != ctx.e.i32:
        wide = found.type == ctx.e.i64
        found = ctx.e.pure("arith.trunci" if wide else "arith.extsi", ctx.e.i32, [found])
        found = ctx.ix.uniform(found, divisor=raster.divisor(op.operands[0])) if wide else found
    ctx.values[op.results[0]] = found


@rule("arith.addi", "arith.subi", "arith.muli", "arith.divui", "arith.remui", "arith.floordivsi")
def lower_integer(ctx: Context, op: ir.Operation) -> None:
    """Integer arithmetic keeps the form base + constants where it can; not so numbers that may have wrapped around."""
    kind = op.results[0].type
    if UNSIGNED in op.attributes:
        lower_elementwise(ctx, op)
        return
    if kind == ctx.e.i32 or isinstance(kind, ir.IndexType) or (kind == ctx.e.i64 and ctx.wide_indices):
        a, b = (_as_index(ctx, v) for v in op.operands)
        if a is not None and b is not None and (folded := _fold(ctx, op.name, a, b)) is not None:
            ctx.values[op.results[0]] = folded
            return
    if op.name == "arith.floordivsi":
        ctx.values[op.results[0]] = _floor_divide(ctx, op)
    else:
        lower_elementwise(ctx, op)


def _as_index(ctx: Context, value: ir.Value) -> Index | None:
    found = ctx.get(value)
    if isinstance(found, Index):
        return found
    return None if isinstance(found.type, ir.VectorType) else ctx.ix.uniform(found)


def _fold(ctx: Context, name: str, a: Index, b: Index) -> Index | None:
    if name == "arith.addi":
        return ctx.ix.add(a, b)
    if name == "arith.subi":
        return ctx.ix.add(a, b, -1)
    if name == "arith.muli":
        return ctx.ix.multiply(a, b)
    if not (b.is_constant and b.is_uniform and b.constants[0] > 0):
        return None
    if name in ("arith.divui", "arith.floordivsi"):
        return ctx.ix.try_divide(_assume_positive(a) if name == "arith.divui" else a, b.constants[0])
    return ctx.ix.try_remainder(_assume_positive(a), b.constants[0])


def _assume_positive(a: Index) -> Index:
    """An unsigned operation states that its operand is not negative; the base may be, where something is added."""
    if a.base is None or a.lo is not None:
        return a
    return Index(a.base, a.constants, a.divisor, -min(a.constants), a.hi, a.bits)


def _floor_divide(ctx: Context, op: ir.Operation) -> Value:
    """a // b rounding down, for any signs: truncated quotient less one when the remainder has the other sign."""
    varying = _varies(ctx, op)
    a, b = (ctx.ssa(v, varying=varying) for v in op.operands)
    b = _divisor(ctx, op, b)
    kind = a.type
    quotient = ctx.e.pure("arith.divsi", kind, [a, b])
    rest = ctx.e.pure("arith.remsi", kind, [a, b])
    zero = ctx.e.splat(kind, 0)
    flag = ctx.e.i1 if not isinstance(kind, ir.VectorType) else ctx.e.vector_type(kind.shape[0], ctx.e.i1)
    unequal = ctx.e.pure("arith.cmpi", flag, [rest, zero], {"predicate": ir.IntegerAttr.get(ctx.e.i64, 1)})
    mixed = ctx.e.pure("arith.xori", kind, [rest, b])
    negative = ctx.e.pure("arith.cmpi", flag, [mixed, zero], {"predicate": ir.IntegerAttr.get(ctx.e.i64, 2)})
    adjust = ctx.e.pure("arith.andi", flag, [unequal, negative])
    lower = ctx.e.pure("arith.subi", kind, [quotient, ctx.e.splat(kind, 1)])
    return ctx.e.pure("arith.select", kind, [adjust, lower, quotient])


def _divisor(ctx: Context, op: ir.Operation, b: ir.Value) -> ir.Value:
    """What an integer is divided by, one instead of zero. Iterations that do not exist and places outside of a tensor
    read as zero, and LLVM takes a division by zero for code that is never reached: it would drop the guards of the
    stores that follow."""
    owner = op.operands[1].owner
    if isinstance(owner, ir.Block) or owner.name == "arith.constant":
        return b
    return ctx.e.pure("arith.maxui", b.type, [b, ctx.e.splat(b.type, 1)])


@rule(*(f"arith.{n}" for n in _ELEMENTWISE if n not in ("addi", "subi", "muli", "divui", "remui")))
def lower_elementwise(ctx: Context, op: ir.Operation) -> None:
    """The operation on scalars when no operand varies, else on vectors."""
    varying = _varies(ctx, op)
    if op.name == "arith.select" and (chosen := _known_choice(ctx, op)) is not None:
        ctx.values[op.results[0]] = chosen
        return
    if op.name not in ("arith.select", "arith.bitcast") and any(is_narrow(v.type) for v in (*op.operands, *op.results)):
        ctx.values[op.results[0]] = _through_f32(ctx, op, varying)
        return
    if op.name == "arith.addf" and (factors := _only_product(ctx, op, varying)) is not None:
        operands = [ctx.ssa(v, varying=varying) for v in factors]
        ctx.values[op.results[0]] = ctx.e.pure("math.fma", operands[0].type, operands)
        return
    operands = [ctx.ssa(v, varying=varying) for v in op.operands]
    if op.name in _DIVISIONS:
        operands[1] = _divisor(ctx, op, operands[1])
    if op.name == "arith.subf" and (less := less_small_integer(ctx, *operands)) is not None:
        ctx.values[op.results[0]] = less
        return
    kind = value_type(ctx.e, op.results[0].type)
    if varying and ctx.width > 1:
        kind = ctx.e.vector_type(ctx.width, kind)
    attributes = {n: op.attributes[n] for n in op.attributes if not n.startswith("tl.")}
    if op.name in _CONTRACTED and _may_contract(op):
        attributes["fastmath"] = ctx.e.contract
    ctx.values[op.results[0]] = ctx.e.pure(op.name, kind, operands, attributes)


def _only_product(ctx: Context, op: ir.Operation, varying: bool) -> list[ir.Value] | None:
    """The factors of a product in float32 that goes into this sum only, and the other term.

    They are fused here because LLVM does not: its value numbering drops the flags of sums that a loop carries.
    """
    if op.results[0].type != ctx.e.f32 or not _may_contract(op):
        return None
    for value, other in (tuple(op.operands), tuple(op.operands)[::-1]):
        owner = value.owner
        if isinstance(owner, ir.Block) or owner.operation.name != "arith.mulf" or len(list(value.uses)) != 1:
            continue
        product = owner.operation
        if _may_contract(product) and product.block == op.block and _varies(ctx, product) == varying:
            return [*product.operands, other]
    return None


def _may_contract(op: ir.Operation) -> bool:
    """Whether the program leaves rounding open."""
    return "fastmath" not in op.attributes or "none" in str(op.attributes["fastmath"])


def is_narrow(kind: ir.Type) -> bool:
    """Whether elements are floats below 16 bits, with which no target computes."""
    return isinstance(kind, ir.FloatType) and kind.width <= 8


def _through_f32(ctx: Context, op: ir.Operation, varying: bool) -> ir.Value:
    """The operation on narrow floats: exact operands in float32, the result rounded back."""
    kinds = [DType(from_mlir(str(v.type), unsigned=False)) for v in (*op.operands, op.results[0])]
    operands = [ctx.ssa(v, varying=varying) for v in op.operands]
    if op.name in ("arith.extf", "arith.truncf"):
        return cast(ctx, operands[0], kinds[0], kinds[1])
    wide = DType("float32")
    operands = [
        cast(ctx, v, k, wide) if is_narrow(o.type) else v for v, k, o in zip(operands, kinds, op.operands, strict=False)
    ]
    result = ctx.e.f32 if is_narrow(op.results[0].type) else op.results[0].type
    if op.name.startswith("arith."):
        kind = ctx.e.vector_type(ctx.width, result) if varying and ctx.width > 1 else result
        value = ctx.e.pure(
            op.name, kind, operands, {n: op.attributes[n] for n in op.attributes if not n.startswith("tl.")}
        )
    else:
        value = expand_math(ctx, _function(op), operands, result)
    return cast(ctx, value, wide, kinds[-1]) if is_narrow(op.results[0].type) else value


def _varies(ctx: Context, op: ir.Operation) -> bool:
    if ctx.width == 1:
        return False
    for value in op.operands:
        found = ctx.get(value)
        if (not found.is_uniform) if isinstance(found, Index) else isinstance(found.type, ir.VectorType):
            return True
    return False


def _known_choice(ctx: Context, op: ir.Operation) -> Value | None:
    a, b = (ctx.get(v) for v in list(op.operands)[1:])
    if not isinstance(a, Index) and a == b:
        return a
    return None


@rule("arith.ceildivsi", "arith.ceildivui")
def lower_ceildiv(ctx: Context, op: ir.Operation) -> None:
    """ceil(a / b) of operands that are not negative: (a + b - 1) / b."""
    a, b = (ctx.ssa(v) for v in op.operands)
    b = _divisor(ctx, op, b)
    bumped = ctx.e.add(ctx.e.add(a, b), -1)
    ctx.values[op.results[0]] = ctx.e.binary("divui", bumped, b)


@rule("tl.math", *(f"math.{n}" for n in _MATH))
def lower_math(ctx: Context, op: ir.Operation) -> None:
    varying = _varies(ctx, op)
    if any(is_narrow(v.type) for v in op.operands):
        ctx.values[op.results[0]] = _through_f32(ctx, op, varying)
        return
    operands = [ctx.ssa(v, varying=varying) for v in op.operands]
    ctx.values[op.results[0]] = expand_math(ctx, _function(op), operands, op.results[0].type)


def _function(op: ir.Operation) -> str:
    return op.attributes["function"].value if op.name == "tl.math" else op.name


@rule("tl.bitcast")
def lower_bitcast(ctx: Context, op: ir.Operation) -> None:
    varying = _varies(ctx, op)
    value = ctx.ssa(op.operands[0], varying=varying)
    kind = value_type(ctx.e, op.results[0].type)
    if isinstance(value.type, ir.VectorType):
        kind = ctx.e.vector_type(value.type.shape[0], kind)
    ctx.values[op.results[0]] = value if kind == value.type else ctx.e.pure("arith.bitcast", kind, [value])


@rule("tl.cast")
def lower_cast(ctx: Context, op: ir.Operation) -> None:
    source, result = DType(op.attributes["from"].value), DType(op.attributes["to"].value)
    found = ctx.get(op.operands[0])
    if isinstance(found, Index) and source.mlir == result.mlir == "i32":
        ctx.values[op.results[0]] = found
        return
    if ctx.wide_indices and isinstance(found, Index) and (source, result) == ("int32", "int64"):
        ctx.values[op.results[0]] = _widened(ctx, found)
        return
    varying = _varies(ctx, op)
    value = ctx.ssa(op.operands[0], varying=varying)
    rounding = ir.StringAttr(op.attributes["round"]).value if "round" in op.attributes else ""
    saturate = "sat" not in op.attributes or ir.BoolAttr(op.attributes["sat"]).value
    if source.is_float and result in FORMATS and (rounding not in ("", "rn") or result.bits < 16 and not saturate):
        bits = ctx.ssa(op.operands[1], varying=varying) if len(op.operands) == 2 else None
        wide = cast(ctx, value, source, DType("float32"))
        rounded = None if bits is None else ctx.hardware.rounds_by_chance(ctx, wide, str(result), bits)
        if rounded is None:
            rounded = from_float32(ctx, wide, result, rounding or "rn", saturate and result.bits < 16, bits)
        ctx.values[op.results[0]] = rounded
        return
    if source.is_integer and result.is_integer and "sat" in op.attributes and saturate:
        value = _clamped(ctx, value, source, result)
    small = small_integers_to_half(ctx, value, source, result)
    converted = cast(ctx, value, source, result) if small is None else small
    if (source.mlir, result.mlir) == ("i64", "i32") and not isinstance(converted.type, ir.VectorType):
        ctx.values[op.results[0]] = ctx.ix.uniform(converted, divisor=raster.divisor(op.results[0]))
        return
    ctx.values[op.results[0]] = converted


def _clamped(ctx: Context, value: ir.Value, source: DType, result: DType) -> ir.Value:
    """An integer brought between the ends of a signed dtype of fewer bits."""
    top = ctx.e.splat(value.type, 2 ** (result.bits - 1) - 1)
    if source.is_unsigned:
        return ctx.e.pure("arith.minui", value.type, [value, top])
    bottom = ctx.e.splat(value.type, -(2 ** (result.bits - 1)))
    return ctx.e.pure("arith.maxsi", value.type, [ctx.e.pure("arith.minsi", value.type, [value, top]), bottom])


def _widened(ctx: Context, index: Index) -> Index:
    base = None if index.base is None else ctx.e.pure("arith.extsi", ctx.e.i64, [index.base])
    return Index(base, index.constants, index.divisor, index.lo, index.hi, index.bits)


def cast(ctx: Context, value: ir.Value, source: DType, result: DType) -> ir.Value:
    """Convert a scalar or vector between dtypes; narrow floats go through the hardware's conversions."""
    if source.mlir == result.mlir:
        return value
    if result == "float8_e8m0fnu":
        return f32_to_exponent(ctx, cast(ctx, value, source, DType("float32")))
    if source == "float8_e8m0fnu":
        return cast(ctx, exponent_to_f32(ctx, value), DType("float32"), result)
    if "f8E" in (source.mlir[:3], result.mlir[:3]) or _sub_byte(source) or _sub_byte(result):
        return _narrow_cast(ctx, value, source, result)
    kind = value_type(ctx.e, ir.Type.parse(result.mlir))
    if isinstance(value.type, ir.VectorType):
        kind = ctx.e.vector_type(value.type.shape[0], kind)
    if result.kind == "bool":
        return _nonzero(ctx, value, source, kind)
    if not _direct(source, result):
        return _via_f32(ctx, value, source, result)
    return ctx.e.pure(_cast_op(source, result), kind, [value])


def _narrow_cast(ctx: Context, value: ir.Value, source: DType, result: DType) -> ir.Value:
    """Through the target's conversions, or float32 and integer arithmetic where it has none."""
    if ctx.hardware.converts(ctx, str(source), str(result)) or _is_small_integer(source) or _is_small_integer(result):
        return ctx.hardware.narrow_float_cast(ctx, value, str(source), str(result))
    wide = DType("float32")
    if result == "float16" and fits_float16(source):
        return to_float16(ctx, value, source)
    if source.is_float and source.bits <= 8:
        return cast(ctx, to_float32(ctx, value, source), wide, result)
    return from_float32(ctx, cast(ctx, value, source, wide), result, "", saturate=True)


def _is_small_integer(kind: DType) -> bool:
    return kind.bits < 8 and kind.is_integer


def _sub_byte(kind: DType) -> bool:
    """A dtype of less than a byte in memory; a truth value of one bit is none."""
    return kind.bits < 8 and kind.kind != "bool"


def _direct(source: DType, result: DType) -> bool:
    """Two 16-bit floats of different formats convert through float32."""
    return not (source.is_float and result.is_float and source.bits == result.bits)


def _via_f32(ctx: Context, value: ir.Value, source: DType, result: DType) -> ir.Value:
    middle = DType("float32")
    return cast(ctx, cast(ctx, value, source, middle), middle, result)


def _nonzero(ctx: Context, value: ir.Value, source: DType, kind: ir.Type) -> ir.Value:
    zero = ctx.e.splat(value.type, 0.0 if source.is_float else 0)
    name, code = ("arith.cmpf", 13) if source.is_float else ("arith.cmpi", 1)  # une, ne
    return ctx.e.pure(name, kind, [value, zero], {"predicate": ir.IntegerAttr.get(ctx.e.i64, code)})


def _cast_op(source: DType, result: DType) -> str:
    if source.is_float and result.is_float:
        return "arith.extf" if result.bits > source.bits else "arith.truncf"
    if source.is_float:
        return "arith.fptosi" if result.kind == "int" else "arith.fptoui"
    if result.is_float:
        return "arith.uitofp" if source.is_unsigned else "arith.sitofp"
    if result.bits < source.bits:
        return "arith.trunci"
    return "arith.extui" if source.is_unsigned else "arith.extsi"
