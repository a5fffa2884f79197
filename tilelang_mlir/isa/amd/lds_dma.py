"""Loads from device memory straight into LDS, and the wait for them. CDNA3 and CDNA4 ISA, chapters 9.1 (buffer
instructions: addressing, range checking), 9.1.9 (memory buffer load to LDS) and 4.4 (S_WAITCNT).

What is outside of the buffer (`buffer`) reads as zero. The bytes
of lane l go to M0 + l * size, one place for the whole wave. VM_CNT counts the wave's loads, which end in order; nothing
may read what they write before S_WAITCNT has seen the count fall. Only these loads are counted here: ordinary ones in
between only make the hardware wait longer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tilelang_mlir.errors import SimulationError
from tilelang_mlir.isa.amd.buffer import places
from tilelang_mlir.isa.instruction import (
    GLOBAL,
    SHARED,
    Access,
    Effect,
    Instruction,
    Machine,
    Run,
    constant,
    create,
    integer,
)
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

OUTSIDE = -1
"""An offset past the end of every buffer."""
_GROUP = "vmcnt"
_NO_WAIT = 0xF70  # S_WAITCNT: the other counters may be anything
_MOST = 63


def load(buffer: ir.Value, shared: ir.Value, offset: ir.Value, size: int = 16) -> None:
    """`buffer_load_dword{x4} ... lds`: `size` bytes (4, or 16) of each lane, from an i32 offset in bytes.

    `shared` (`!llvm.ptr<3>`) is where the first lane's bytes go, the same in all lanes of a wave.
    """
    zero = constant(0)
    i32 = ir.IntegerType.get_signless(32)
    create(
        "rocdl.raw.ptr.buffer.load.lds",
        [buffer, shared, constant(size), offset, zero, zero],
        aux=ir.IntegerAttr.get(i32, 0),
    )


def wait(pending: int) -> None:
    """`s_waitcnt vmcnt(n)`: until at most `pending` of the wave's loads are under way."""
    count = min(pending, _MOST)
    bits = _NO_WAIT | count & 15 | (count >> 4) << 14
    create("rocdl.s.waitcnt", bitfield=ir.IntegerAttr.get(ir.IntegerType.get_signless(32), bits))


# -- semantics ---------------------------------------------------------------------------------------------------------
def _load(machine: Machine, buffer: Any, shared: Any, size: Any, offset: Any, more: Any, constant_: Any) -> None:
    machine.require_whole_warps("buffer_load_dword lds")
    place = np.broadcast_to(np.asarray(machine.warps(shared), np.int64), machine.warps(machine.laneid).shape)
    if (place != place[..., :1]).any():
        raise SimulationError("the place in LDS of a buffer load differs inside a wave")
    source, inside = places(buffer, offset, np.asarray(more, np.int64) + np.asarray(constant_, np.int64), int(size))
    lanes = np.asarray(machine.laneid, np.int64) * int(size)
    target = machine.unwarp(place) + lanes
    machine.copy_async(target, source + np.zeros_like(target), int(size), np.where(inside, int(size), 0))
    machine.commit_async()


def _wait(op: ir.Operation) -> Run:
    bits = integer(op, "bitfield")
    count = bits & 15 | (bits >> 14 & 3) << 4
    return lambda machine: machine.wait_async(count)


_LOADS = "9.1.9 Memory Buffer Load to LDS"
INSTRUCTIONS = (
    Instruction("rocdl.raw.ptr.buffer.load.lds", "buffer_load_dwordx4 v, s[0:3], 0 offen lds", _LOADS,
                lambda op: _load, emit=load, feature=Feature.LDS_DMA,
                effects=(Effect(Access.READ, GLOBAL, 0, group=_GROUP), Effect(Access.WRITE, SHARED, 1, group=_GROUP))),
    Instruction("rocdl.s.waitcnt", "s_waitcnt vmcnt(n)", "4.4 S_WAITCNT", _wait, emit=wait,
                effects=(Effect(Access.WAIT, group=_GROUP),)),
)  # fmt: skip
