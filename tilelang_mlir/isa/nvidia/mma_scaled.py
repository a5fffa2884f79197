"""Block-scaled tensor core products of a warp. PTX ISA 8.7, sections 9.7.14.3 (block scaling) and 9.7.14.5 (mma).

m16n8k32 of 8-bit floats, m16n8k64 of 4-bit ones. Of m16n8k32 (.kind::mxf8f6f4) one operand or both may have narrower
elements too, also without factors (.kind::f8f6f4), each in a byte of its own: of 4 bits in the middle ones, of 6 in the
lowest ones. With e elements per 32-bit register, g = lane / 4, t = lane % 4,
 A register q, element i: row g + 8 * (q % 2), column t * e + i + 4 * e * (q / 2)
 B register q, element i: row t * e + i + 4 * e * q, column g
 C element i:             row g + 8 * (i / 2), column 2 * t + i % 2
Row r of A is scaled by the bytes of lane 4 * (r % 8) + 2 * s + r / 8, where s selects a pair of each four lanes; column
g of B by those of lane 4 * g + s. One factor per 32 (16) elements along k: the bytes from `byte` on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tilelang_mlir.isa import numeric
from tilelang_mlir.isa.instruction import WARP, Instruction, Machine, Run, inline_ptx
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

PADDING = 2
"""Bits below a 4-bit element in a byte of its own."""
NAME = "mma.sync.block_scale"


@dataclass(frozen=True)
class Form:
    """An instruction: its kind, the operand types, elements along k of a factor; `depth` is its k."""

    kind: str
    a: str
    b: str
    block: int

    @property
    def depth(self) -> int:
        return 32 if self.kind.endswith("f8f6f4") else 64

    @property
    def is_scaled(self) -> bool:
        return self.kind.startswith("mx")

    @property
    def elements(self) -> int:
        """Elements per register."""
        return self.depth // 8

    @property
    def factors(self) -> int:
        """Factors of a row: that many bytes, from a multiple of it."""
        return self.depth // self.block

    @property
    def scale(self) -> str:
        return "ue4m3" if self.block == 16 else "ue8m0"

    def spelling(self) -> str:
        if not self.is_scaled:
            return f"mma.sync.aligned.m16n8k{self.depth}.row.col.kind::{self.kind}.f32.{self.a}.{self.b}.f32"
        return (
            f"mma.sync.aligned.m16n8k{self.depth}.row.col.kind::{self.kind}.block_scale.scale_vec::{self.factors}X"
            f".f32.{self.a}.{self.b}.f32.{self.scale}"
        )


def emit(
    a: Sequence[ir.Value],
    b: Sequence[ir.Value],
    c: Sequence[ir.Value],
    scales: tuple[ir.Value, ir.Value] | None,
    form: Form,
    bytes_: tuple[int, int] = (0, 0),
) -> list[ir.Value]:
    """`mma.sync.aligned.m16n8kK...block_scale`: D = (A * SA) (B * SB) + C.

    Args:
        a, b: 4 and 2 i32 of the lane. c: 4 f32.
        scales: i32 of the lane, four factors each: of A's rows in even and odd lanes of four, of B's columns in the
            first of four. None for a form without.
        bytes_: the first byte of the factors that count, of A and B; a multiple of `form.factors`.
    """
    d = ", ".join(f"{{$w{i}}}" for i in range(4))
    reads = [*a, *b, *c, *(scales or ())]
    regs = [f"{{$r{i}}}" for i in range(len(reads))]
    groups = [", ".join(regs[i:j]) for i, j in ((0, 4), (4, 6), (6, 10))]
    text = f"{form.spelling()} {{{d}}}, {{{groups[0]}}}, {{{groups[1]}}}, {{{groups[2]}}}"
    if scales is not None:
        text += f", {{{regs[10]}}}, {{{bytes_[0]}, 0}}, {{{regs[11]}}}, {{{bytes_[1]}, 0}}"
    i32 = ir.IntegerType.get_signless(32)
    facts: dict[str, ir.Attribute] = {
        "tl.form": ir.StringAttr.get(f"{form.kind} {form.a} {form.b} {form.block} {bytes_[0]} {bytes_[1]}"),
        "tl.registers": ir.IntegerAttr.get(i32, len(reads)),
    }
    return inline_ptx(NAME, text + ";", reads, [ir.F32Type.get()] * 4, attributes=facts)


# -- semantics ---------------------------------------------------------------------------------------------------------
def _elements(words: np.ndarray, kind: str, form: Form) -> np.ndarray:
    """Numbers (C, W, 32, e) in registers (C, W, 32)."""
    raw = np.ascontiguousarray(words)[..., None].view(np.uint8)
    if kind in ("e2m3", "e3m2"):
        return numeric.fp6_to_float(kind).take(raw & 63)
    if kind != "e2m1":
        return numeric.fp8_to_float(kind).take(raw)
    if form.elements == 4:
        return numeric.FP4_TO_FLOAT.take(raw >> PADDING & 15)
    return numeric.FP4_TO_FLOAT.take(np.stack([raw & 15, raw >> 4], axis=-1).reshape(*raw.shape[:-1], 8))


def _factors(words: np.ndarray, lanes: np.ndarray, first: int, form: Form) -> np.ndarray:
    """Factors (C, W, rows, k) of rows whose bytes are in `lanes`."""
    raw = np.ascontiguousarray(words[:, :, lanes])[..., None].view(np.uint8)[..., first : first + form.factors]
    table = numeric.fp8_to_float("e4m3") if form.scale == "ue4m3" else np.exp2(np.arange(256, dtype=np.float32) - 127)
    return np.repeat(table.take(raw), form.block, axis=3)


def _mma(op: ir.Operation) -> Run:
    kind, a_kind, b_kind, block, a_byte, b_byte = ir.StringAttr(op.attributes["tl.form"]).value.split()
    form = Form(kind, a_kind, b_kind, int(block))
    e = form.elements
    lane, element = np.arange(32)[:, None], np.arange(e)[None, :]
    group, thread = lane // 4, lane % 4
    rows, columns = np.arange(16), np.arange(8)

    def run(machine: Machine, *values: Any) -> tuple[Any, ...]:
        machine.require_whole_warps("mma.sync")
        words = [np.ascontiguousarray(machine.warps(v)) for v in values]
        ctas = max(w.shape[0] for w in words)
        words = [np.broadcast_to(w, (ctas, *w.shape[1:])) for w in words]
        left = np.empty((ctas, words[0].shape[1], 16, form.depth), np.float32)
        right = np.empty((ctas, words[0].shape[1], 8, form.depth), np.float32)
        for q in range(4):
            left[:, :, group + 8 * (q % 2), thread * e + element + 4 * e * (q // 2)] = _elements(words[q], form.a, form)
        for q in range(2):
            right[:, :, group, thread * e + element + 4 * e * q] = _elements(words[4 + q], form.b, form)
        if form.is_scaled:
            left = left * _factors(words[10], 4 * (rows % 8) + rows // 8, int(a_byte), form)
            right = right * _factors(words[11], 4 * columns, int(b_byte), form)
        product = np.matmul(left, right.swapaxes(2, 3))
        place = lane[:, 0]
        return tuple(
            machine.unwarp(words[6 + i] + product[:, :, place // 4 + 8 * (i // 2), 2 * (place % 4) + i % 2])
            for i in range(4)
        )

    return run


INSTRUCTIONS = (
    Instruction(
        NAME,
        "mma.sync.aligned.m16n8kK.row.col.kind::mxf8f6f4.block_scale.scale_vec::1X.f32.a.b.f32.s d, a, b, c, sa, sb",
        "9.7.14.5 mma.sync",
        _mma,
        emit=emit,
        feature=Feature.MMA_SCALED,
        together=WARP,
    ),
)
