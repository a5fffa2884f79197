"""CTA barriers. PTX ISA 8.7, section 9.7.13.1 (bar, barrier)."""

from __future__ import annotations

from typing import Any

import numpy as np

from tilelang_mlir.errors import SimulationError
from tilelang_mlir.isa.instruction import Access, Effect, Instruction, Machine, Run, constant, create
from tilelang_mlir.mlir import ir


def _operand(value: ir.Value | int) -> ir.Value:
    return value if isinstance(value, ir.Value) else constant(value)


def emit(number: ir.Value | int | None = None, threads: ir.Value | int | None = None) -> None:
    """`bar.sync number, threads`: all threads of the CTA on barrier 0 when both are left out.

    Args:
        number: the barrier, 0 to 15.
        threads: how many threads take part, a multiple of 32.
    """
    operands = [_operand(v) for v in (number, threads) if v is not None]
    segments = ir.DenseI32ArrayAttr.get([int(number is not None), int(threads is not None)])
    create("nvvm.barrier", operands, operandSegmentSizes=segments)


def arrive(number: ir.Value | int, threads: ir.Value | int) -> None:
    """`bar.arrive number, threads`: arrive without waiting."""
    create("nvvm.barrier.arrive", [_operand(number), _operand(threads)])


def _one(value: Any, what: str) -> int:
    """The value of a barrier operand, which must be the same in all lanes."""
    if not isinstance(value, np.ndarray):
        return int(value)
    if (value != value.flat[0]).any():
        raise SimulationError(f"{what} of a barrier differs between threads")
    return int(value.flat[0])


def _sync(op: ir.Operation) -> Run:
    segments = list(ir.DenseI32ArrayAttr(op.attributes["operandSegmentSizes"]))

    def run(machine: Machine, *operands: Any) -> object:
        number = _one(operands[0], "the number") if segments[0] else 0
        threads = _one(operands[segments[0]], "the thread count") if segments[1] else None
        return machine.barrier(number, threads, True)

    return run


def _arrive(op: ir.Operation) -> Run:
    def run(machine: Machine, *operands: Any) -> None:
        number, threads = operands if len(operands) == 2 else (0, operands[0])
        machine.barrier(_one(number, "the number"), _one(threads, "the thread count"), False)

    return run


_SECTION = "9.7.13.1 bar, barrier"
INSTRUCTIONS = (
    Instruction(
        "nvvm.barrier", "bar.sync a, b", _SECTION, _sync, emit=emit, effects=(Effect(Access.BARRIER),), blocking=True
    ),
    Instruction(
        "nvvm.barrier0",
        "bar.sync 0",
        _SECTION,
        lambda op: lambda machine: machine.barrier(0, None, True),
        effects=(Effect(Access.BARRIER),),
        blocking=True,
    ),
    Instruction(
        "nvvm.barrier.arrive", "bar.arrive a, b", _SECTION, _arrive, emit=arrive, effects=(Effect(Access.BARRIER),)
    ),
)
