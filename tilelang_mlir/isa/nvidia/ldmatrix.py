"""Warp-wide loads and stores of 8x8 matrices. PTX ISA 8.7, sections 9.7.14.5.15 (ldmatrix) and 9.7.14.5.16 (stmatrix).

Matrix q has its 8 row addresses in lanes 8q to 8q + 7, 16 bytes per row. Register q of lane t holds row t / 4, elements
2 * (t % 4) and the next; transposed: the element of row 2 * (t % 4) and of the next row in column t / 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tilelang_mlir.isa.instruction import (
    SHARED,
    WARP,
    Access,
    Effect,
    Instruction,
    Machine,
    Run,
    create,
    flags,
    integer,
    type_of,
    unpack,
)
from tilelang_mlir.mlir import ContextTable, ir
from tilelang_mlir.target import Feature

_SPELLINGS = ContextTable()
_SHAPE = "#nvvm.ld_st_matrix_shape<m = 8, n = 8>"
_ELEMENT = "#nvvm.ld_st_matrix_elt_type<b16>"


def _attributes(transpose: bool) -> dict[str, str]:
    return {"layout": f"#nvvm.mma_layout<{'col' if transpose else 'row'}>", "shape": _SHAPE, "eltType": _ELEMENT}


def _spelling(num: int, transpose: bool) -> tuple[list[ir.Type], dict[str, ir.Attribute]]:
    """Result and attributes of a load, the same for all that load so many matrices."""
    known = _SPELLINGS.of(ir.Context.current)
    if (found := known.get((num, transpose))) is not None:
        return found
    i32 = ir.IntegerType.get_signless(32)
    attributes = {name: ir.Attribute.parse(text) for name, text in _attributes(transpose).items()}
    attributes["num"] = ir.IntegerAttr.get(i32, num)
    kind = i32 if num == 1 else type_of(f"!llvm.struct<({', '.join(['i32'] * num)})>")
    return known.setdefault((num, transpose), ([kind], attributes))


def emit(address: ir.Value, num: int = 4, transpose: bool = False) -> list[ir.Value]:
    """`ldmatrix`: `num` (1, 2, 4) matrices of 8x8 16-bit elements from shared memory.

    Args:
        address: `!llvm.ptr<3>`, 16-byte aligned; lane 8q + r points at row r of matrix q, lanes from 8 * num on are
        ignored. transpose: distribute the transposed matrices.

    Returns:
        `num` values of type i32, each with two elements.
    """
    results, attributes = _spelling(num, transpose)
    loaded = ir.Operation.create("nvvm.ldmatrix", results, [address], attributes).result
    return [loaded] if num == 1 else unpack(loaded, num, ir.IntegerType.get_signless(32))


def store(address: ir.Value, values: Sequence[ir.Value], transpose: bool = False) -> None:
    """`stmatrix`: the inverse of `emit`, for 1, 2 or 4 values of type i32 (sm_90)."""
    create("nvvm.stmatrix", [address, *values], **_attributes(transpose))


def _row_addresses(machine: Machine, address: Any, num: int, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Addresses (C|1, W * 8 * num) given by the first 8 * num lanes of each warp, and the columns of those lanes."""
    machine.require_whole_warps(what)
    lanes = machine.warps(address)[:, :, : 8 * num]
    return lanes.reshape(lanes.shape[0], -1), machine.first_columns(8 * num)


def _load(op: ir.Operation) -> Run:
    num, transpose = integer(op, "num"), "col" in flags(op, "layout")

    def run(machine: Machine, address: Any) -> Any:
        rows, columns = _row_addresses(machine, address, num, "ldmatrix")
        data = machine.read_rows(rows, 16, columns)
        halves = np.ascontiguousarray(data).view(np.uint16).reshape(data.shape[0], -1, num, 8, 8)
        if transpose:
            halves = np.ascontiguousarray(halves.swapaxes(3, 4))
        words = halves.view(np.int32)  # (C, W, num, 8 rows, 4 words): lane 4 * row + word
        parts = tuple(machine.unwarp(words[:, :, q].reshape(*words.shape[:2], 32)) for q in range(num))
        return parts[0] if num == 1 else parts

    return run


def _store(op: ir.Operation) -> Run:
    num, transpose = len(op.operands) - 1, "col" in flags(op, "layout")

    def run(machine: Machine, address: Any, *values: Any) -> None:
        rows, columns = _row_addresses(machine, address, num, "stmatrix")
        lanes = np.broadcast_arrays(*[machine.warps(v) for v in values])
        words = np.stack([x.reshape(*x.shape[:2], 8, 4) for x in lanes], axis=2)
        halves = np.ascontiguousarray(words.astype(np.int32, copy=False)).view(np.uint16)
        if transpose:
            halves = np.ascontiguousarray(halves.swapaxes(3, 4))
        units = halves.view(np.complex128).reshape(halves.shape[0], -1)
        machine.write_rows(rows, 16, columns, units)

    return run


INSTRUCTIONS = (
    Instruction(
        "nvvm.ldmatrix",
        "ldmatrix.sync.aligned.m8n8.xN{.trans}.shared.b16 r, [p]",
        "9.7.14.5.15 ldmatrix",
        _load,
        emit=emit,
        feature=Feature.LDMATRIX,
        together=WARP,
        effects=(Effect(Access.READ, SHARED, 0, 16),),
    ),
    Instruction(
        "nvvm.stmatrix",
        "stmatrix.sync.aligned.m8n8.xN{.trans}.shared.b16 [p], r",
        "9.7.14.5.16 stmatrix",
        _store,
        emit=store,
        feature=Feature.STMATRIX,
        together=WARP,
        effects=(Effect(Access.WRITE, SHARED, 0, 16),),
    ),
)
