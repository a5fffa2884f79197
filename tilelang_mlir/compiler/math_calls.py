"""Math ops that mean one approximate GPU instruction become calls of the vendor's intrinsic for it.

The instructions take one f32; vectors are taken apart, f16 and bf16 go through f32. Which intrinsic serves is the
vendor's table (`Conversion.math`).
"""

from __future__ import annotations

from tilelang_mlir.compiler.conversion import MathCalls
from tilelang_mlir.compiler.failures import find_location
from tilelang_mlir.compiler.find import Census
from tilelang_mlir.errors import CompileError
from tilelang_mlir.mlir import ir

# What the upstream conversion lowers to something that every back end selects.
_UPSTREAM = frozenset(
    f"math.{name}"
    for name in ("sqrt", "rsqrt", "floor", "ceil", "round", "roundeven", "trunc", "fma", "absf", "absi", "copysign",
                 "ctpop", "ctlz", "cttz", "isnan", "isfinite", "clampf")
)  # fmt: skip
_AFN = "afn"


def lower_math(census: Census, calls: MathCalls) -> None:
    """Replace the math ops that upstream conversions leave to library calls.

    Raises:
        CompileError: a math op that has no instruction; a pass should have expanded it.
    """
    for op in census.starting("math."):
        intrinsic = _intrinsic(op, calls)
        if intrinsic:
            _replace(op, intrinsic)
        elif op.name not in _UPSTREAM:
            raise CompileError(
                f"{op.name} on {op.results[0].type} has no instruction", find_location(str(op.location)),
                hint="a lowering pass has to expand it, or mark it fastmath<afn> where one instruction serves",
            )  # fmt: skip


def _intrinsic(op: ir.Operation, calls: MathCalls) -> str:
    if str(_element(op.results[0].type)) == "f64":
        return ""
    approximate = "fastmath" in op.attributes and (
        _AFN in str(op.attributes["fastmath"]) or "fast>" in str(op.attributes["fastmath"])
    )
    return (calls.approximate if approximate else calls.accurate).get(op.name, "")


def _element(kind: ir.Type) -> ir.Type:
    return kind.element_type if isinstance(kind, ir.VectorType) else kind


def _replace(op: ir.Operation, intrinsic: str) -> None:
    value, kind = op.operands[0], op.results[0].type
    with op.location, ir.InsertionPoint(op):
        if not isinstance(kind, ir.VectorType):
            result = _call(value, intrinsic)
        elif kind.rank == 1:
            lanes = [_call(_extract(value, lane), intrinsic) for lane in range(kind.shape[0])]
            result = ir.Operation.create("vector.from_elements", operands=lanes, results=[kind]).result
        else:
            raise CompileError(f"{op.name} on {kind}: only scalars and 1-D vectors reach code generation")
    op.results[0].replace_all_uses_with(result)
    op.erase()


def _extract(vector: ir.Value, lane: int) -> ir.Value:
    position = {"static_position": ir.DenseI64ArrayAttr.get([lane])}
    element = vector.type.element_type
    return ir.Operation.create("vector.extract", operands=[vector], results=[element], attributes=position).result


def _call(value: ir.Value, intrinsic: str) -> ir.Value:
    kind, f32 = value.type, ir.F32Type.get()
    narrow = kind != f32
    if narrow:
        value = ir.Operation.create("arith.extf", operands=[value], results=[f32]).result
    attributes: dict[str, ir.Attribute] = {
        "intrin": ir.StringAttr.get(intrinsic),
        "op_bundle_sizes": ir.DenseI32ArrayAttr.get([]),
        "operandSegmentSizes": ir.DenseI32ArrayAttr.get([1, 0]),
        "fastmathFlags": ir.Attribute.parse("#llvm.fastmath<afn>"),
    }
    result = ir.Operation.create("llvm.call_intrinsic", operands=[value], results=[f32], attributes=attributes).result
    return ir.Operation.create("arith.truncf", operands=[result], results=[kind]).result if narrow else result
