"""Barriers of a work-group. CDNA3 ISA, chapter 4.4 (manually inserted wait states) and SOPP: S_BARRIER, S_WAITCNT.

RDNA4 splits the barrier into S_BARRIER_SIGNAL and S_BARRIER_WAIT. Both forms here wait for the wave's outstanding
accesses to LDS first, which S_BARRIER by itself does not.
"""

from __future__ import annotations

from tilelang_mlir.isa.instruction import DEVICE_DONE, Access, Effect, Instruction, Machine, Run, create
from tilelang_mlir.mlir import ir


def lds() -> None:
    """Wait for the wave's accesses to LDS, then for all waves of the block. Accesses to device memory may stay open."""
    create("amdgpu.lds_barrier")


def full() -> None:
    """The same, and the block's earlier accesses to device memory are visible to all its threads after it."""
    create("rocdl.barrier")


def wave() -> None:
    """Nothing moves across it: the lanes of a wave run in lock step, so only the compiler needs telling."""
    create("rocdl.wave.barrier")


def _lds(op: ir.Operation) -> Run:
    return lambda machine: machine.barrier(0, None, True)


def _full(op: ir.Operation) -> Run:
    def run(machine: Machine) -> object:
        machine.fence(DEVICE_DONE)
        return machine.barrier(0, None, True)

    return run


def _wave(op: ir.Operation) -> Run:
    def run(machine: Machine) -> None:
        machine.sync_warp(-1)

    return run


_SECTION = "SOPP S_BARRIER, S_WAITCNT"
_EFFECTS = (Effect(Access.BARRIER),)
_LDS_ONLY = (Effect(Access.BARRIER, group="lgkmcnt"),)
INSTRUCTIONS = (
    Instruction("amdgpu.lds_barrier", "s_waitcnt lgkmcnt(0); s_barrier", _SECTION, _lds, emit=lds, effects=_LDS_ONLY,
                blocking=True),
    Instruction("rocdl.barrier", "s_waitcnt; s_barrier", _SECTION, _full, emit=full, effects=_EFFECTS, blocking=True),
    Instruction("rocdl.wave.barrier", "", "3.1 lock-step execution", _wave, emit=wave, effects=_EFFECTS),
)  # fmt: skip
