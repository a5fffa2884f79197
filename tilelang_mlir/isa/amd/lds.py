"""Transposing reads of LDS. CDNA4 ISA, chapter 11: DS_READ_B64_TR_B16.

The 64 lanes of a wave form groups of 16, each of which reads a matrix of 16-bit elements of 4 x 16: lane l of a group
points at four neighbours, elements 4 * (l % 4) to 4 * (l % 4) + 3 of row l / 4, and gets column l: element i is that of
row i.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tilelang_mlir.isa.instruction import SHARED, WARP, Access, Effect, Instruction, Machine, Run, create
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature


def read_transposed(address: ir.Value, element: str) -> ir.Value:
    """`ds_read_b64_tr_b16`: four 16-bit elements (`element`: f16, bf16 or i16) of a column.

    `address` is `!llvm.ptr<3>`, aligned to 8 bytes.
    """
    return create("rocdl.ds.read.tr16.b64", [address], [ir.Type.parse(f"vector<4x{element}>")])


def _read(op: ir.Operation) -> Run:
    kind = str(ir.VectorType(op.results[0].type).element_type)

    def run(machine: Machine, address: Any) -> np.ndarray:
        from tilelang_mlir.isa import numeric

        machine.require_whole_warps("ds_read_b64_tr_b16")
        lanes = machine.warps(address)
        count = lanes.shape[1] * lanes.shape[2]
        data = machine.read_rows(lanes.reshape(lanes.shape[0], -1), 8, machine.first_columns(lanes.shape[2]))
        raw = np.ascontiguousarray(data).view(np.uint16).reshape(data.shape[0], count // 16, 4, 16)
        columns = np.ascontiguousarray(raw.swapaxes(2, 3)).reshape(data.shape[0], count, 4)
        if kind == "bf16":
            return numeric.bf16_bits_to_float(columns)
        return columns.view(np.float16 if kind == "f16" else np.int16)

    return run


INSTRUCTIONS = (
    Instruction("rocdl.ds.read.tr16.b64", "ds_read_b64_tr_b16 d, a", "CDNA4 11 DS_READ_B64_TR_B16", _read,
                emit=read_transposed, feature=Feature.LDS_TRANSPOSE, together=WARP,
                effects=(Effect(Access.READ, SHARED, 0, 8),)),
)  # fmt: skip
