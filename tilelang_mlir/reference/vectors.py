"""Vector values: the elements are the last dimension, after the lanes."""

from __future__ import annotations

import numpy as np

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import ir
from tilelang_mlir.reference.machine import Frame
from tilelang_mlir.reference.program import Instruction, Run


def _position(op: Instruction) -> int:
    position = list(op.attributes["static_position"])
    if len(position) != 1 or position[0] < 0:
        raise UnsupportedError("vector elements at a dynamic position")
    return position[0]


def _extract(op: Instruction, frame: Frame) -> None:
    frame.env[op.results[0]] = frame.env[op.operands[0]][..., _position(op)]


def _insert(op: Instruction, frame: Frame) -> None:
    value, vector = (frame.env[slot] for slot in op.operands[:2])
    lanes = np.broadcast_shapes(np.shape(value), np.shape(vector)[:-1])
    result = np.broadcast_to(vector, (*lanes, np.shape(vector)[-1])).copy()
    result[..., _position(op)] = value
    frame.env[op.results[0]] = result


def _from_elements(op: Instruction, frame: Frame) -> None:
    values = np.broadcast_arrays(*(frame.env[slot] for slot in op.operands))
    frame.env[op.results[0]] = np.stack(values, axis=-1)


def _broadcast(op: Instruction, frame: Frame) -> None:
    value = np.asarray(frame.env[op.operands[0]])
    length = ir.VectorType(op.types[0]).shape[0]
    frame.env[op.results[0]] = np.repeat(value[..., None], length, axis=-1)


def _poison(op: Instruction, frame: Frame) -> None:
    shape = ir.VectorType(op.types[0]).shape if isinstance(op.types[0], ir.VectorType) else ()
    frame.env[op.results[0]] = np.zeros(shape, op.dtypes[0])[()]


VECTORS: dict[str, Run] = {
    "vector.extract": _extract, "vector.insert": _insert, "vector.from_elements": _from_elements,
    "vector.broadcast": _broadcast, "ub.poison": _poison,
}  # fmt: skip
