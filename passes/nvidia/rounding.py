"""Arithmetic with a rounding mode, `T.ieee_*`: the instructions of `isa/nvidia/rounding.py`, scalar by scalar."""

from __future__ import annotations

from collections.abc import Sequence

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa.nvidia import rounding
from tilelang_mlir.mlir import ir

from ..lowering.context import Context

_NEAREST = {
    "add_rn": "arith.addf", "sub_rn": "arith.subf", "mul_rn": "arith.mulf", "div_rn": "arith.divf",
    "fma_rn": "math.fma", "sqrt_rn": "math.sqrt",
}  # fmt: skip
_MODES = {"rn": "rn", "rz": "rz", "ru": "rp", "rd": "rm"}


def rounded_math(ctx: Context, function: str, args: Sequence[ir.Value]) -> ir.Value:
    """Emit `add_rz` and the like; round-to-nearest forms are the plain operations, which may be simplified.

    Raises:
        UnsupportedError: no such function, or not for this type.
    """
    kind = args[0].type
    if function in _NEAREST:
        return ctx.e.pure(_NEAREST[function], kind, args)
    if function == "rcp_rn":
        return ctx.e.pure("arith.divf", kind, [ctx.e.splat(kind, 1.0), args[0]])
    name, _, mode = function.partition("_")
    if name not in rounding.OPERANDS or mode not in _MODES:
        raise UnsupportedError(f"the function {function!r} has no lowering yet")
    element = str(kind.element_type if isinstance(kind, ir.VectorType) else kind)
    if element not in ("f32", "f64"):
        raise UnsupportedError(
            f"{name} rounded with {mode!r} exists for float32 and float64, not for {element}",
            hint="cast the operands to float32",
        )
    instruction = f"{name}.{_MODES[mode]}.{element}"
    if not isinstance(kind, ir.VectorType):
        return rounding.emit(instruction, args)
    lanes = range(kind.shape[0])
    return ctx.e.pack([rounding.emit(instruction, [ctx.e.extract(v, i) for v in args]) for i in lanes])
