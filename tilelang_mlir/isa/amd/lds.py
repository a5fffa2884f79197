"""Transposing reads of LDS. CDNA4 ISA, chapter 11: DS_READ_B64_TR_B16 and DS_READ_B64_TR_B8.

The 64 lanes of a wave form groups of 16, each of which reads a matrix of 16 columns, of 4 rows of 16-bit elements or 8
rows of 8-bit ones. With e elements in 8 bytes lane l of a group points at e neighbours, elements e * (l % (16 / e)) and
up of row l / (16 / e), and gets column l: element i is that of row i.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tilelang_mlir.isa.instruction import SHARED, WARP, Access, Effect, Instruction, Machine, Run, create
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature


def read_transposed(address: ir.Value, element: str) -> ir.Value:
    """`ds_read_b64_tr_b16` and `_b8`: four 16-bit elements (`element`: f16, bf16 or i16) of a column, as a vector of
    them, or eight 8-bit ones (i8) as vector<2xi32>.

    `address` is `!llvm.ptr<3>`, aligned to 8 bytes.
    """
    if element == "i8":
        return create("rocdl.ds.read.tr8.b64", [address], [ir.Type.parse("vector<2xi32>")])
    return create("rocdl.ds.read.tr16.b64", [address], [ir.Type.parse(f"vector<4x{element}>")])


def _columns(machine: Machine, address: Any, name: str, kind: type[np.generic]) -> np.ndarray:
    """(C, T, elements): what every lane gets, as unsigned numbers."""
    machine.require_whole_warps(name)
    lanes = machine.warps(address)
    count, rows = lanes.shape[1] * lanes.shape[2], 8 // np.dtype(kind).itemsize
    data = machine.read_rows(lanes.reshape(lanes.shape[0], -1), 8, machine.first_columns(lanes.shape[2]))
    raw = np.ascontiguousarray(data).view(kind).reshape(data.shape[0], count // 16, rows, 16)
    return np.ascontiguousarray(raw.swapaxes(2, 3)).reshape(data.shape[0], count, rows)


def _read_halves(op: ir.Operation) -> Run:
    kind = str(ir.VectorType(op.results[0].type).element_type)

    def run(machine: Machine, address: Any) -> np.ndarray:
        from tilelang_mlir.isa import numeric

        columns = _columns(machine, address, "ds_read_b64_tr_b16", np.uint16)
        if kind == "bf16":
            return numeric.bf16_bits_to_float(columns)
        return columns.view(np.float16 if kind == "f16" else np.int16)

    return run


def _read_bytes(op: ir.Operation) -> Run:
    return lambda machine, address: _columns(machine, address, "ds_read_b64_tr_b8", np.uint8).view(np.int32)


INSTRUCTIONS = (
    Instruction("rocdl.ds.read.tr16.b64", "ds_read_b64_tr_b16 d, a", "CDNA4 11 DS_READ_B64_TR_B16", _read_halves,
                emit=read_transposed, feature=Feature.LDS_TRANSPOSE, together=WARP,
                effects=(Effect(Access.READ, SHARED, 0, 8),)),
    Instruction("rocdl.ds.read.tr8.b64", "ds_read_b64_tr_b8 d, a", "CDNA4 11 DS_READ_B64_TR_B8", _read_bytes,
                emit=read_transposed, feature=Feature.LDS_TRANSPOSE, together=WARP,
                effects=(Effect(Access.READ, SHARED, 0, 8),)),
)  # fmt: skip
