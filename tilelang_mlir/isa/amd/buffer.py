"""Buffer loads and stores: what lies outside of the buffer reads as zero and is not written. CDNA3 ISA, chapters 9.1
(vector memory buffer instructions), 9.1.5 (buffer addressing, range checking) and 9.1.8 (resource descriptor).

A resource is a base address and a number of bytes; an access of n bytes at an offset is inside when offset + n is at
most that number. Offsets are unsigned 32-bit numbers of bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tilelang_mlir.isa.instruction import GLOBAL, Access, Effect, Instruction, Machine, Run, constant, create
from tilelang_mlir.mlir import ir

_FLAGS = 0x27000  # 32-bit data in a raw buffer, as word 3 of a resource
MOST_BYTES = 0x7FFFFFFF
"""Of a buffer here: an offset past its end stays so when less than 2**30 is added to it or taken away."""
OUTSIDE = -(1 << 30)
"""An offset past the end of every buffer."""


def resource(pointer: ir.Value, count: int = MOST_BYTES) -> ir.Value:
    """A buffer resource of `count` bytes from `pointer` (`!llvm.ptr<1>`, the same in all lanes) on."""
    operands = [pointer, constant(0, 16), constant(count, 64), constant(_FLAGS)]
    return create("rocdl.make.buffer.rsrc", operands, [ir.Type.parse("!llvm.ptr<8>")])


def load(buffer: ir.Value, offset: ir.Value, kind: ir.Type) -> ir.Value:
    """`buffer_load_{ubyte,ushort,dword,dwordx2,dwordx4}`: an integer of 8 to 32 bits or a vector of 2 or 4 words, at an
    i32 offset in bytes."""
    zero = constant(0)
    return create("rocdl.raw.ptr.buffer.load", [buffer, offset, zero], [kind], aux="0 : i32")


def store(value: ir.Value, buffer: ir.Value, offset: ir.Value) -> None:
    """`buffer_store_{byte,short,dword,dwordx2,dwordx4}` of what `load` loads."""
    create("rocdl.raw.ptr.buffer.store", [value, buffer, offset, constant(0)], aux="0 : i32")


# -- semantics ---------------------------------------------------------------------------------------------------------
_UNITS: dict[str, tuple[Any, int]] = {"i8": (np.int8, 1), "i16": (np.int16, 1), "i32": (np.int32, 1),
                                      "vector<2xi32>": (np.int32, 2), "vector<4xi32>": (np.int32, 4)}  # fmt: skip


def places(buffer: Any, offset: Any, more: Any, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The address of each lane's access, the base's where it is outside, and whether it is inside."""
    base, count = buffer
    start = (np.asarray(offset, np.int64) & 0xFFFFFFFF) + np.asarray(more, np.int64)
    inside = start + size <= int(count)
    return np.asarray(base, np.int64) + np.where(inside, start, 0), inside


class _Only:
    """Runs an access in those active lanes that are inside."""

    def __init__(self, machine: Machine, inside: np.ndarray) -> None:
        self.machine, self.before = machine, machine.mask
        active = np.ones(machine.shape, np.bool_) if machine.mask is None else machine.mask
        self.mask = np.broadcast_to(inside & active, machine.shape)

    def __enter__(self) -> bool:
        self.machine.mask = self.mask
        return bool(self.mask.any())

    def __exit__(self, *error: object) -> None:
        self.machine.mask = self.before


def _load(op: ir.Operation) -> Run:
    dtype, count = _UNITS[str(op.results[0].type)]
    size = np.dtype(dtype).itemsize * count

    def run(machine: Machine, buffer: Any, offset: Any, more: Any) -> np.ndarray:
        place, inside = places(buffer, offset, more, size)
        only = _Only(machine, inside)
        out = np.zeros((*machine.shape, count), dtype)
        with only as any_inside:
            if any_inside:
                raw = np.ascontiguousarray(machine.load(GLOBAL, place + np.zeros(machine.shape, np.int64), size))
                values = raw.view(dtype).reshape(*raw.shape, count)
                out = np.where(only.mask[..., None], values, out)
        return out if count > 1 else out[..., 0]

    return run


def _store(op: ir.Operation) -> Run:
    dtype, count = _UNITS[str(op.operands[0].type)]
    size = np.dtype(dtype).itemsize * count
    unit = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64, 16: np.complex128}[size]

    def run(machine: Machine, value: Any, buffer: Any, offset: Any, more: Any) -> None:
        place, inside = places(buffer, offset, more, size)
        shape = (*machine.shape, count) if count > 1 else machine.shape
        whole = np.ascontiguousarray(np.broadcast_to(np.asarray(value, dtype), shape))
        raw = whole.view(unit).reshape(machine.shape)
        with _Only(machine, inside) as any_inside:
            if any_inside:
                machine.store(GLOBAL, place + np.zeros(machine.shape, np.int64), size, raw)

    return run


_SECTION = "9.1 Vector Memory Buffer Instructions"
INSTRUCTIONS = (
    Instruction("rocdl.make.buffer.rsrc", "s_mov s[0:3], resource", "9.1.8 Buffer Resource Descriptor",
                lambda op: lambda machine, base, stride, count, flags: (base, count), emit=resource, view=True),
    Instruction("rocdl.raw.ptr.buffer.load", "buffer_load_dwordx4 v[0:3], v4, s[0:3], 0 offen", _SECTION, _load,
                emit=load, effects=(Effect(Access.READ, GLOBAL, 0),)),
    Instruction("rocdl.raw.ptr.buffer.store", "buffer_store_dwordx4 v[0:3], v4, s[0:3], 0 offen", _SECTION, _store,
                emit=store, effects=(Effect(Access.WRITE, GLOBAL, 1, value=0),)),
)  # fmt: skip
