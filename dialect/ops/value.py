"""Scalar operations that upstream dialects lack or that carry options they do not."""

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError
from tilelang_mlir.mlir import dialect, ir

from ..tl import TL
from ..verify import enum_attr, fail, structure

ext = dialect("ext")

# Functions of one to three floating-point arguments that are no op of the math dialect.
MATH = (
    "exp10", "sigmoid", "hypot", "ldexp", "nextafter", "fmod", "nearbyint",
    "fast_exp", "fast_exp10", "fast_log", "fast_log2", "fast_log10", "fast_sin", "fast_cos", "fast_tan", "fast_rcp",
    "add_rz", "add_ru", "add_rd", "sub_rz", "sub_ru", "sub_rd", "mul_rz", "mul_ru", "mul_rd", "fma_rz", "fma_ru",
    "fma_rd", "rcp_rn", "rcp_rz", "rcp_ru", "rcp_rd", "sqrt_rn", "sqrt_rz", "sqrt_ru", "sqrt_rd", "div_rn", "div_rz",
    "div_ru", "div_rd", "add_rn", "sub_rn", "mul_rn", "fma_rn",
)  # fmt: skip


class CastOp(TL.Operation, name="cast", traits=[ext.Pure]):
    """Converts a scalar to the result type.

    `from` and `to` are dtype names, which carry the signedness the types lack; `round` (optional) is rn, rz, rp, rm or
    rs; narrow floats saturate unless `sat` is false, integers where it is true. A second operand (i32) has the random
    bits of rs, the lowest of which are added to the bits that are discarded.
    """

    value: ext.Operand[Any]
    random: Sequence[ext.Operand[Any]]
    result: ext.Result[Any]

    @structure((1, 2), results=1, attributes={
        "from": "a string", "to": "a string", "?sat": "a boolean", "?round": "a string",
    })  # fmt: skip
    def verify_invariants(self) -> bool:
        op = self.operation
        if not enum_attr(self, "round", ("rn", "rz", "rp", "rm", "rs"), optional=True):
            return False
        stochastic = "round" in op.attributes and ir.StringAttr(op.attributes["round"]).value == "rs"
        if stochastic != (len(op.operands) == 2):
            return fail(self, "takes random bits with the rounding 'rs', and only then")
        if stochastic and str(op.operands[1].type) != "i32":
            return fail(self, f"takes random bits as i32, got {op.operands[1].type}")
        for name, value in (("from", op.operands[0]), ("to", op.results[0])):
            text = ir.StringAttr(op.attributes[name]).value
            try:
                dtype = DType(text)
            except TileTypeError:
                return fail(self, f"attribute '{name}' is {text!r}, which is no dtype")
            lanes = f"vector<{dtype.lanes}x{dtype.mlir}>"
            if str(value.type) != (lanes if dtype.lanes > 1 else dtype.mlir):
                return fail(self, f"has a value of {value.type} where '{name}' is {text!r}")
        return True


class BitcastOp(TL.Operation, name="bitcast", traits=[ext.Pure]):
    """The same bits under another element type of equal width; a float of fewer than eight bits takes a byte."""

    value: ext.Operand[Any]
    result: ext.Result[Any]

    @structure(1, results=1)
    def verify_invariants(self) -> bool:
        source, result = self.operation.operands[0].type, self.operation.results[0].type
        left, right = (max(bit_width(t), 8) if isinstance(t, ir.FloatType) else bit_width(t) for t in (source, result))
        if 0 in (left, right):
            return fail(self, f"reinterprets scalars and vectors, got {source} and {result}")
        return left == right or fail(self, f"changes the width: {source} has {left} bits, {result} has {right}")


class MathOp(TL.Operation, name="math", traits=[ext.Pure]):
    """A named function of scalars or vectors; all operands (also an exponent) have the result's type."""

    args: Sequence[ext.Operand[Any]]
    function: Any
    result: ext.Result[Any]

    @structure((1, 3), results=1, attributes={"function": "a string"})
    def verify_invariants(self) -> bool:
        op = self.operation
        if not enum_attr(self, "function", MATH):
            return False
        name, result = ir.StringAttr(op.attributes["function"]).value, op.results[0].type
        if len(op.operands) != arity(name):
            return fail(self, f"function {name!r} takes {arity(name)} operands, got {len(op.operands)}")
        for index, value in enumerate(op.operands):
            if value.type != result:
                return fail(self, f"operand #{index} is {value.type}, expected the result's {result}")
        element = result.element_type if isinstance(result, ir.VectorType) else result
        return isinstance(element, ir.FloatType) or fail(self, f"computes on floats, got {result}")


def arity(function: str) -> int:
    """Number of arguments of a function of `MATH`."""
    if function.startswith("fma_"):
        return 3
    two = ("hypot", "ldexp", "nextafter", "fmod")
    return 2 if function in two or function[:4] in ("add_", "sub_", "mul_", "div_") else 1


def bit_width(kind: ir.Type) -> int:
    """Bits of a scalar or a fixed vector, 0 for any other type."""
    if isinstance(kind, ir.VectorType):
        size = 1
        for length in kind.shape:
            size *= length
        return size * bit_width(kind.element_type)
    return kind.width if isinstance(kind, ir.IntegerType | ir.FloatType) else 0
