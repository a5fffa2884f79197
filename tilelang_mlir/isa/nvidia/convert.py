"""Conversions to and from fp8 and tf32. PTX ISA 8.7, section 9.7.9.21 (cvt)."""

from __future__ import annotations

from typing import Any

import numpy as np

from tilelang_mlir.isa import numeric
from tilelang_mlir.isa.instruction import Instruction, Machine, Run, create, flags, inline_ptx
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

_TYPES = {"e4m3": "f8E4M3FN", "e5m2": "f8E5M2"}
_SATURATE = {"rnd": "#nvvm.fp_rnd_mode<rn>", "sat": "#nvvm.sat_mode<satfinite>"}


def f32x2_to_fp8x2(low: ir.Value, high: ir.Value, kind: str = "e4m3") -> ir.Value:
    """`cvt.rn.satfinite.{kind}x2.f32`: two f32 -> i16 with `low` in bits 0-7 and `high` in bits 8-15."""
    return create(
        "nvvm.convert.f32x2.to.f8x2",
        [high, low],
        [ir.IntegerType.get_signless(16)],
        dstTy=ir.TypeAttr.get(ir.Type.parse(_TYPES[kind])),
        **_SATURATE,
    )


def fp8x2_to_f16x2(value: ir.Value, kind: str = "e4m3") -> ir.Value:
    """`cvt.rn.f16x2.{kind}x2`: i16 (or 2 x i8 vector) -> vector<2xf16>, exact."""
    pair = ir.Type.parse("vector<2xi8>")
    source = value if value.type == pair else create("llvm.bitcast", [value], [pair])
    return create(
        "nvvm.convert.f8x2.to.f16x2",
        [source],
        [ir.Type.parse("vector<2xf16>")],
        srcType=ir.TypeAttr.get(ir.Type.parse(_TYPES[kind])),
    )


def f32_to_tf32(value: ir.Value) -> ir.Value:
    """`cvt.rna.tf32.f32`: f32 -> i32 register whose low 13 bits are zero."""
    return create(
        "nvvm.convert.float.to.tf32", [value], [ir.IntegerType.get_signless(32)], rnd="#nvvm.fp_rnd_mode<rna>"
    )


def f32x2_to_bf16x2_rs(low: ir.Value, high: ir.Value, random: ir.Value) -> ir.Value:
    """`cvt.rs.bf16x2.f32`: two f32 -> vector<2xbf16>, rounded by the random bits 0-15 (`low`) and 16-31 (`high`)."""
    return inline_ptx(
        "cvt.rs.bf16x2.f32",
        "cvt.rs.bf16x2.f32 {$w0}, {$r0}, {$r1}, {$r2};",
        [high, low, random],
        [ir.Type.parse("vector<2xbf16>")],
    )


def _kind(op: ir.Operation, name: str) -> str:
    return "e5m2" if "E5M2" in flags(op, name) else "e4m3"


def _to_fp8(op: ir.Operation) -> Run:
    kind = _kind(op, "dstTy")

    def run(machine: Machine, high: Any, low: Any) -> np.ndarray:
        parts = [numeric.float_to_fp8(x, kind).astype(np.uint16) for x in (high, low)]
        bits = parts[0] << np.uint16(8) | parts[1]
        return bits.reshape(np.shape(bits) or (1, 1)).view(np.int16)

    return run


def _from_fp8(op: ir.Operation) -> Run:
    table = numeric.fp8_to_float(_kind(op, "srcType")).astype(np.float16)

    def run(machine: Machine, value: Any) -> np.ndarray:
        return table.take(np.ascontiguousarray(value).view(np.uint8))

    return run


def _to_tf32(op: ir.Operation) -> Run:
    def run(machine: Machine, value: Any) -> np.ndarray:
        value = np.asarray(value, np.float32)
        return numeric.round_tf32(value.reshape(np.shape(value) or (1, 1))).view(np.int32)

    return run


def _stochastic(op: ir.Operation) -> Run:
    """The carry out of the sum of the discarded bits and the random ones rounds away from zero."""
    del op

    def run(machine: Machine, high: Any, low: Any, random: Any) -> np.ndarray:
        words = [np.asarray(x, np.float32).reshape(np.shape(x) or (1, 1)).view(np.uint32) for x in (low, high)]
        chance = np.asarray(random).reshape(np.shape(random) or (1, 1)).view(np.uint32)
        shares = (chance & np.uint32(0xFFFF), chance >> np.uint32(16))
        halves = [_rounded_by(word, share) for word, share in zip(words, shares, strict=True)]
        return numeric.bf16_bits_to_float(np.stack(np.broadcast_arrays(*halves), axis=-1))

    return run


def _rounded_by(word: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Codes of bfloat16; infinities stay, NaN becomes the canonical one."""
    size = word & np.uint32(0x7FFFFFFF)
    code = np.where(size < 0x7F800000, word + share, word) >> np.uint32(16)
    return np.where(size > 0x7F800000, np.uint32(0x7FFF), code).astype(np.uint16)


_SECTION = "9.7.9.21 cvt"
INSTRUCTIONS = (
    Instruction(
        "nvvm.convert.f32x2.to.f8x2",
        "cvt.rn.satfinite.e4m3x2.f32 d, a, b",
        _SECTION,
        _to_fp8,
        emit=f32x2_to_fp8x2,
        feature=Feature.FP8_CONVERT,
    ),
    Instruction(
        "nvvm.convert.f8x2.to.f16x2",
        "cvt.rn.f16x2.e4m3x2 d, a",
        _SECTION,
        _from_fp8,
        emit=fp8x2_to_f16x2,
        feature=Feature.FP8_CONVERT,
    ),
    Instruction(
        "nvvm.convert.float.to.tf32",
        "cvt.rna.tf32.f32 d, a",
        _SECTION,
        _to_tf32,
        emit=f32_to_tf32,
        feature=Feature.MMA_BF16,
    ),
    Instruction(
        "cvt.rs.bf16x2.f32",
        "cvt.rs.bf16x2.f32 d, a, b, rbits",
        _SECTION,
        _stochastic,
        emit=f32x2_to_bf16x2_rs,
        feature=Feature.CVT_RS,
    ),
)
