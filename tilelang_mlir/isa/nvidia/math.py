"""Approximate math. PTX ISA 8.7, section 9.7.3 (floating point instructions: rcp, rsqrt, sin, cos, lg2, ex2, tanh).

The simulator computes these to full precision; `.ftz` flushes subnormal inputs and results to zero of the same sign.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tilelang_mlir.isa.instruction import Instruction, Machine, Run, create
from tilelang_mlir.mlir import ir

_TINY = np.finfo(np.float32).tiny


def flush(value: Any) -> Any:
    """Subnormal float32 -> zero of the same sign."""
    value = np.asarray(value, np.float32)
    return np.where(np.abs(value) < _TINY, np.copysign(np.float32(0), value), value)


def emit(name: str, value: ir.Value, flush_subnormals: bool = True) -> ir.Value:
    """`name.approx{.ftz}.f32`: "ex2", "rsqrt", "sin", "cos", "lg2" (f32 -> f32)."""
    op = {"lg2": "log2"}.get(name, name)
    return create(f"nvvm.{op}", [value], [value.type], ftz=ir.BoolAttr.get(flush_subnormals))


def reciprocal(value: ir.Value) -> ir.Value:
    """`rcp.approx.ftz.f32`."""
    return create("nvvm.rcp.approx.ftz.f", [value], [value.type])


def _entry(
    op_name: str, ptx: str, function: Callable[[Any], Any], section: str, always_flush: bool = False
) -> Instruction:
    def semantics(op: ir.Operation) -> Run:
        ftz = always_flush or ("ftz" in op.attributes and bool(ir.BoolAttr(op.attributes["ftz"]).value))

        def run(machine: Machine, value: Any) -> Any:
            value = np.asarray(value, np.float32).reshape(np.shape(value) or (1, 1))
            result = function(flush(value) if ftz else value).astype(np.float32)
            return flush(result) if ftz else result

        return run

    return Instruction(op_name, ptx, section, semantics, emit=emit)


INSTRUCTIONS = (
    _entry("nvvm.ex2", "ex2.approx.ftz.f32", np.exp2, "9.7.3.21 ex2"),
    _entry("nvvm.log2", "lg2.approx.ftz.f32", np.log2, "9.7.3.20 lg2"),
    _entry("nvvm.rsqrt", "rsqrt.approx.ftz.f32", lambda x: np.float32(1) / np.sqrt(x), "9.7.3.16 rsqrt"),
    _entry("nvvm.sin", "sin.approx.ftz.f32", np.sin, "9.7.3.18 sin"),
    _entry("nvvm.cos", "cos.approx.ftz.f32", np.cos, "9.7.3.19 cos"),
    _entry("nvvm.rcp.approx.ftz.f", "rcp.approx.ftz.f32", np.reciprocal, "9.7.3.13 rcp", always_flush=True),
)
