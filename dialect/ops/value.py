"""Scalar operations that upstream dialects lack or that carry options they do not."""

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.mlir import dialect

from ..tl import TL
from ..verify import enum_attr, fail

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

    `from` and `to` are dtype names, which carry the signedness the types lack; `round` (optional) is rn, rz, rp, rm;
    narrow floats saturate unless `sat` is false.
    """

    value: ext.Operand[Any]
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        for name in ("from", "to"):
            if name not in self.operation.attributes:
                return fail(self, f"requires attribute '{name}'")
        return enum_attr(self, "round", ("rn", "rz", "rp", "rm", "rs"), optional=True)


class BitcastOp(TL.Operation, name="bitcast", traits=[ext.Pure]):
    """The same bits under another element type of equal width."""

    value: ext.Operand[Any]
    result: ext.Result[Any]


class MathOp(TL.Operation, name="math", traits=[ext.Pure]):
    """A named scalar function; the result has the operands' type."""

    args: Sequence[ext.Operand[Any]]
    function: Any
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        return enum_attr(self, "function", MATH)
