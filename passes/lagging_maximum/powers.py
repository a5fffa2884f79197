"""Exponentials and logarithms, in their accurate and their fast forms, by what they are of base two."""

from __future__ import annotations

import math

from tilelang_mlir.mlir import ir

_EXPONENTIALS = {
    "math.exp2": 1.0, "math.exp": math.log2(math.e), "fast_exp": math.log2(math.e), "exp10": math.log2(10.0),
    "fast_exp10": math.log2(10.0),
}  # fmt: skip
_LOGARITHMS = {
    "math.log2": 1.0, "math.log": math.log(2.0), "math.log10": math.log10(2.0), "fast_log2": 1.0,
    "fast_log": math.log(2.0), "fast_log10": math.log10(2.0),
}  # fmt: skip


def _function(op: ir.Operation) -> str:
    return ir.StringAttr(op.attributes["function"]).value if op.name == "tl.math" else op.name


def exponential(op: ir.Operation) -> float | None:
    """b where an operation is 2**(b x); None where it is no such power."""
    return _EXPONENTIALS.get(_function(op))


def logarithm(op: ir.Operation) -> float | None:
    """b where an operation is b log2(x); None where it is no logarithm."""
    return _LOGARITHMS.get(_function(op))
