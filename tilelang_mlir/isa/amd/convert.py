"""Conversions to and from 8-bit floats. CDNA3 ISA, chapter 12: V_CVT_PK_FP8_F32, V_CVT_PK_F32_FP8 and the BF8 forms.

They round to nearest even. What is too large becomes a NaN (or an infinity) unless it is clamped first, which the
emitter does with V_MED3_F32, as the clamp bit is not reachable from LLVM.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tilelang_mlir.isa.amd import formats
from tilelang_mlir.isa.instruction import Instruction, Machine, Run, constant, create
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

LARGEST = {"fp8": 448.0, "bf8": 57344.0, "fp8_fnuz": 240.0, "bf8_fnuz": 57344.0}


def to_bytes(low: ir.Value, high: ir.Value, kind: str, fnuz: bool) -> ir.Value:
    """`v_cvt_pk_{fp8,bf8}_f32`: two f32 -> i32 with `low` in bits 0-7 and `high` in bits 8-15, the rest zero."""
    remark = {formats.REMARK: "unit"} if fnuz else {}
    i32 = ir.IntegerType.get_signless(32)
    return create(f"rocdl.cvt.pk.{kind}.f32", [low, high, constant(0)], [i32], wordSel="false", **remark)


def from_bytes(word: ir.Value, kind: str, fnuz: bool, upper: bool = False) -> ir.Value:
    """`v_cvt_pk_f32_{fp8,bf8}`: the lower (or upper) two bytes of an i32 -> vector<2xf32>, exact."""
    remark = {formats.REMARK: "unit"} if fnuz else {}
    pair = ir.Type.parse("vector<2xf32>")
    return create(f"rocdl.cvt.pk.f32.{kind}", [word], [pair], wordSel=str(upper).lower(), **remark)


def median(value: ir.Value, low: ir.Value, high: ir.Value) -> ir.Value:
    """`v_med3_f32`: the middle one of three f32; a NaN in `value` gives `low`."""
    return create("rocdl.fmed3", [value, low, high], [value.type])


def _to_bytes(kind: str) -> Any:
    def semantics(op: ir.Operation) -> Run:
        name = formats.kind_of(op, kind)
        upper = "true" in str(op.attributes["wordSel"])

        def run(machine: Machine, low: Any, high: Any, old: Any) -> np.ndarray:
            pair = formats.to_byte(low, name).astype(np.int64) | formats.to_byte(high, name).astype(np.int64) << 8
            kept = np.asarray(old).astype(np.int64) & (0xFFFF if upper else 0xFFFF0000)
            word = kept | (pair << 16 if upper else pair)
            return word.reshape(np.shape(word) or (1, 1)).astype(np.uint32).view(np.int32)

        return run

    return semantics


def _from_bytes(kind: str) -> Any:
    def semantics(op: ir.Operation) -> Run:
        values = formats.byte_values(formats.kind_of(op, kind))
        start = 2 if "true" in str(op.attributes["wordSel"]) else 0

        def run(machine: Machine, word: Any) -> np.ndarray:
            word = np.asarray(word, np.int32)
            word = np.ascontiguousarray(word.reshape(np.shape(word) or (1, 1)))
            return values.take(word[..., None].view(np.uint8)[..., start : start + 2])

        return run

    return semantics


def _median(op: ir.Operation) -> Run:
    def run(machine: Machine, value: Any, low: Any, high: Any) -> Any:
        a, b, c = (np.asarray(x, np.float32) for x in (value, low, high))
        middle = np.fmax(np.fmin(a, b), np.fmin(np.fmax(a, b), c))
        out = np.where(np.isnan(a), np.fmin(b, c), middle)
        return out.reshape(np.shape(out) or (1, 1))

    return run


INSTRUCTIONS = (
    *(
        Instruction(f"rocdl.cvt.pk.{kind}.f32", f"v_cvt_pk_{kind}_f32 d, a, b", f"12 V_CVT_PK_{kind.upper()}_F32",
                    _to_bytes(kind), emit=to_bytes, feature=Feature.FP8_CONVERT)
        for kind in ("fp8", "bf8")
    ),
    *(
        Instruction(f"rocdl.cvt.pk.f32.{kind}", f"v_cvt_pk_f32_{kind} d, a", f"12 V_CVT_PK_F32_{kind.upper()}",
                    _from_bytes(kind), emit=from_bytes, feature=Feature.FP8_CONVERT)
        for kind in ("fp8", "bf8")
    ),
    Instruction("rocdl.fmed3", "v_med3_f32 d, a, b, c", "12 V_MED3_F32", _median, emit=median),
)  # fmt: skip
