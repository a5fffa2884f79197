"""Matrix products of a wave of 32 lanes, 16 x 16 x 16.

RDNA3 ISA, chapter 7.9 "Wave Matrix Multiply Accumulate": a lane holds a whole row of A and column of B, and lanes 16 to
31 repeat lanes 0 to 15:
 A element i: row lane % 16, column i;  B element i: row i, column lane % 16
 D element i: row 2 * i + lane / 16, column lane % 16
RDNA4 ISA, chapter 7.12: nothing is repeated:
 A element i: row lane % 16, column 8 * (lane / 16) + i;  B element i: row 8 * (lane / 16) + i, column lane % 16
 D element i: row 8 * (lane / 16) + i, column lane % 16
One op name stands for both; the width of A tells them apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from tilelang_mlir.errors import SimulationError
from tilelang_mlir.isa.amd import formats, matrix
from tilelang_mlir.isa.amd.matrix import Tables
from tilelang_mlir.isa.instruction import WARP, Grid, Instruction, Machine, Run, create, flags
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

WAVE = 32


@dataclass(frozen=True)
class Form:
    """One instruction: kinds of A and B, the type of its sums, the feature that has it."""

    name: str
    a: str
    b: str
    sum: str
    feature: Feature

    @property
    def op_name(self) -> str:
        return f"rocdl.wmma.{self.name}"


FORMS: tuple[Form, ...] = (
    Form("f32.16x16x16.f16", "f16", "f16", "f32", Feature.WMMA),
    Form("f32.16x16x16.bf16", "bf16", "bf16", "f32", Feature.WMMA),
    Form("i32.16x16x16.iu8", "i8", "i8", "i32", Feature.WMMA),
    *(
        Form(f"f32.16x16x16.{a}_{b}", a, b, "f32", Feature.WMMA_FP8)
        for a in ("fp8", "bf8")
        for b in ("fp8", "bf8")
    ),
)  # fmt: skip
BY_OP = {form.op_name: form for form in FORMS}
_BITS = {"f16": 16, "bf16": 16, "i8": 8, "fp8": 8, "bf8": 8}


def operand_type(form: Form, repeated: bool) -> ir.Type:
    """The type of A and B: 16 elements where lanes repeat, else 8; bytes are packed into i32."""
    count = 16 if repeated else 8
    if _BITS[form.a] == 16:
        return ir.Type.parse(f"vector<{count}x{'f16' if form.a == 'f16' else 'i16'}>")
    return ir.Type.parse(f"vector<{count // 4}xi32>")


def emit(form: Form, a: ir.Value, b: ir.Value, c: ir.Value, signs: tuple[bool, bool] = (True, True)) -> ir.Value:
    """`v_wmma`: D = A B + C; C and D are vectors of 8 sums. `signs` says whether 8-bit integers have one."""
    attributes = {}
    if form.a == "i8":
        attributes = {"signA": str(signs[0]).lower(), "signB": str(signs[1]).lower(), "clamp": "false"}
    return create(form.op_name, [a, b, c], [c.type], **attributes)


@cache
def tables(repeated: bool) -> Tables:
    """Index tables of the layouts in the module's docstring."""
    row, k = np.arange(16)[:, None], np.arange(16)[None, :]
    a = row * 16 + k if repeated else (row + 16 * (k // 8)) * 8 + k % 8
    lane, element = np.arange(WAVE)[:, None], np.arange(8)[None, :]
    d_row = 2 * element + lane // 16 if repeated else 8 * (lane // 16) + element
    d_column = np.broadcast_to(lane % 16, (WAVE, 8))
    return Tables(a[None], np.ascontiguousarray(a.T)[None], np.zeros_like(d_row), d_row, d_column)


def _grid(op: ir.Operation) -> Run:
    form = BY_OP[op.name]
    kinds = [formats.kind_of(op, kind) for kind in (form.a, form.b)]
    if form.a == "i8":
        kinds = ["i8" if flags(op, name) == "true" else "u8" for name in ("signA", "signB")]
    width = ir.VectorType(op.operands[0].type)
    repeated = width.shape[0] * width.element_type.width // _BITS[form.a] == 16
    found = tables(repeated)

    def run(machine: Machine, lefts: list[Any], rights: list[Any], starts: list[Any]) -> list[np.ndarray]:
        machine.require_whole_warps("v_wmma")
        a, b, c = ([x for (x,) in values] for values in (lefts, rights, starts))
        if repeated:
            _require_repetition(machine, [*a, *b])
        return matrix.multiply(machine, found, (kinds[0], kinds[1]), a, b, c)

    return run


def _require_repetition(machine: Machine, operands: list[Any]) -> None:
    for value in operands:
        lanes = np.ascontiguousarray(np.broadcast_to(value, (value.shape[0], machine.shape[1], *value.shape[2:])))
        halves = lanes.view(np.uint8).reshape(lanes.shape[0], -1, 2, 16, lanes.shape[2] * lanes.dtype.itemsize)
        if (halves[:, :, 0] != halves[:, :, 1]).any():
            raise SimulationError("v_wmma: lanes 16 to 31 of an operand must repeat lanes 0 to 15")


def _split(op: ir.Operation) -> tuple[tuple[ir.Value, ...], tuple[ir.Value, ...], tuple[ir.Value, ...]]:
    a, b, c = op.operands
    return (a,), (b,), (c,)


INSTRUCTIONS = tuple(
    Instruction(form.op_name, f"v_wmma_{form.name.replace('.', '_')} d, a, b, c", "RDNA3 7.9, RDNA4 7.12 WMMA",
                matrix.single(_grid), emit=emit, feature=form.feature, together=WARP, grid=Grid(_split, _grid))
    for form in FORMS
)  # fmt: skip
