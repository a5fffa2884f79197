"""Four products of 8x8x4 at once, one per two groups of four lanes. PTX ISA 8.7, section 9.7.14.5.1 (mma.m8n8k4).

Product q belongs to lanes 4 q to 4 q + 3 and 16 + 4 q to 16 + 4 q + 3; with l = lane % 4 and h = lane / 16, each has
 A row: row l + 4 h, column i          A col: row i + 4 h, column l   (four elements i in two registers)
 B col: column l + 4 h, row i          B row: column i + 4 h, row l
 C f16: row l + 4 h, column i of 8     C f32: row l % 2 + 2 (i / 2 % 2) + 4 h, column 4 (i / 4) + 2 (l / 2) + i % 2
Machines since sm_75 run it more slowly than their own shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tilelang_mlir.isa import numeric
from tilelang_mlir.isa.instruction import WARP, Instruction, Machine, Run, bitcast, inline_ptx
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

NAME = "mma.m8n8k4"


def emit(
    a: Sequence[ir.Value], b: Sequence[ir.Value], c: Sequence[ir.Value], layouts: tuple[str, str], c_type: str = "f32"
) -> list[ir.Value]:
    """`mma.sync.aligned.m8n8k4.{row,col}.{row,col}`: D = A * B + C of float16.

    Args:
        a, b: two i32 registers each. c: eight f32 (or their bits), or four i32 for c_type "f16".
        layouts: of A and B, "row" or "col".
        c_type: f32 or f16.

    Returns:
        D in the types of `c`.
    """
    i32 = ir.IntegerType.get_signless(32)
    word = ir.F32Type.get() if c_type == "f32" else i32
    reads = [*(bitcast(v, i32) for v in (*a, *b)), *(bitcast(v, word) for v in c)]
    names = [f"{{$r{i}}}" for i in range(len(reads))]
    groups = [names[:2], names[2:4], names[4:]]
    target = ", ".join(f"{{$w{i}}}" for i in range(len(c)))
    operands = ", ".join("{" + ", ".join(group) + "}" for group in groups)
    text = f"mma.sync.aligned.m8n8k4.{layouts[0]}.{layouts[1]}.{c_type}.f16.f16.{c_type} {{{target}}}, {operands};"
    facts = {"tl.layouts": ir.StringAttr.get(".".join(layouts)), "tl.sum": ir.StringAttr.get(c_type)}
    results = inline_ptx(NAME, text, reads, [word] * len(c), attributes=facts)
    return [bitcast(v, x.type) for v, x in zip(results, c, strict=True)]


def _elements(machine: Machine, values: Sequence[Any]) -> np.ndarray:
    """Registers of two float16 as numbers (C, W, half of the warp, product, lane, element)."""
    wide = [np.ascontiguousarray(machine.warps(np.asarray(v, np.int32))) for v in values]
    raw = np.stack(wide, axis=-1).view(np.uint16)
    return numeric.HALF_TO_FLOAT.take(raw).reshape(*raw.shape[:2], 2, 4, 4, -1)


def _semantics(op: ir.Operation) -> Run:
    a_layout, b_layout = ir.StringAttr(op.attributes["tl.layouts"]).value.split(".")
    half = ir.StringAttr(op.attributes["tl.sum"]).value == "f16"

    def run(machine: Machine, *values: Any) -> tuple[Any, ...]:
        machine.require_whole_warps("mma.m8n8k4")
        a, b = _elements(machine, values[:2]), _elements(machine, values[2:4])  # (C, W, h, q, l, i)
        left = a if a_layout == "row" else a.swapaxes(-1, -2)
        right = b if b_layout == "col" else b.swapaxes(-1, -2)
        order = (0, 1, 3, 2, 4, 5)  # product, half, row or column, k
        left = left.transpose(order).reshape(*a.shape[:2], 4, 8, 4)
        right = right.transpose(order).reshape(*a.shape[:2], 4, 8, 4)
        product = np.matmul(left, right.swapaxes(-1, -2))  # (C, W, q, row, column)
        ctas, warps = product.shape[:2]
        if half:  # row (h, l), column i
            parts = product.reshape(ctas, warps, 4, 2, 4, 8).transpose(5, 0, 1, 3, 2, 4).reshape(8, ctas, warps * 32)
            pairs = [np.stack((parts[2 * q], parts[2 * q + 1]), -1) for q in range(4)]
            return tuple(_add_halves(machine, p, x) for p, x in zip(pairs, values[4:], strict=True))
        # row (h, i / 2, l % 2), column (i / 4, l / 2, i % 2)
        shaped = product.reshape(ctas, warps, 4, 2, 2, 2, 2, 2, 2)  # q, h, i1, l0, i2, l1, i0
        parts = shaped.transpose(6, 4, 8, 0, 1, 3, 2, 7, 5).reshape(8, ctas, warps * 32)
        return tuple((p + x).astype(np.float32) for p, x in zip(parts, values[4:], strict=True))

    return run


def _add_halves(machine: Machine, sums: np.ndarray, start: Any) -> np.ndarray:
    wide = np.ascontiguousarray(np.broadcast_to(np.asarray(start, np.int32), machine.shape))
    old = wide.view(np.float16).reshape(*machine.shape, 2).astype(np.float32)
    return np.ascontiguousarray((sums + old).astype(np.float16)).view(np.int32)[..., 0]


INSTRUCTIONS = (
    Instruction(
        NAME,
        "mma.sync.aligned.m8n8k4.alayout.blayout.d.f16.f16.c d, a, b, c",
        "9.7.14.5.1 mma.m8n8k4",
        _semantics,
        emit=emit,
        feature=Feature.MMA_F16,
        together=WARP,
    ),
)
