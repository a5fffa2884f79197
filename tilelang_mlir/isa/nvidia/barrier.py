"""CTA barriers. PTX ISA 8.7, section 9.7.13.1 (bar, barrier)."""

from __future__ import annotations

from typing import Any

import numpy as np

from tilelang_mlir.errors import SimulationError
from tilelang_mlir.isa.instruction import (
    Access,
    Effect,
    Instruction,
    Machine,
    Run,
    constant,
    create,
    flags,
    inline_ptx,
)
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


def reduce(
    kind: str, predicate: ir.Value, number: ir.Value | int | None = None, threads: ir.Value | int | None = None
) -> ir.Value:
    """`bar.red`: wait at a barrier and combine a predicate of its threads.

    Args:
        kind: "popc" (how many predicates hold), "and", "or".
        predicate: i1, or an i32 that holds when it is not zero.
        number: the barrier, 0 to 15 (default 0).
        threads: how many threads take part, a multiple of 32 (default: all of the CTA).

    Returns:
        i32: the count, or 1 or 0.
    """
    i32 = ir.IntegerType.get_signless(32)
    word = create("arith.extui", [predicate], [i32]) if str(predicate.type) == "i1" else predicate
    if threads is None:
        operands = [word] if number is None else [_operand(number), word]
        return create("nvvm.barrier.reduction", operands, [i32], reductionOp=f"#nvvm.reduction<{kind}>")
    name = f"bar.red.{kind}"
    setup = "{ .reg .pred p; setp.ne.b32 p, {$r2}, 0; "
    if kind == "popc":
        text = setup + "barrier.cta.red.popc.aligned.u32 {$w0}, {$r0}, {$r1}, p; }"
    else:
        call = f"barrier.cta.red.{kind}.aligned.pred q, {{$r0}}, {{$r1}}, p; "
        text = setup + ".reg .pred q; " + call + "selp.b32 {$w0}, 1, 0, q; }"
    return inline_ptx(name, text, [_operand(0 if number is None else number), _operand(threads), word], [i32])


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
        number = operands[0] if segments[0] else 0  # warps may name different ones
        threads = _one(operands[segments[0]], "the thread count") if segments[1] else None
        return machine.barrier(number, threads, True)

    return run


def _arrive(op: ir.Operation) -> Run:
    def run(machine: Machine, *operands: Any) -> None:
        number, threads = operands if len(operands) == 2 else (0, operands[0])
        machine.barrier(_one(number, "the number"), _one(threads, "the thread count"), False)

    return run


def _reduction(op: ir.Operation) -> Run:
    kind = next(k for k in _KINDS if f"<{k}>" in flags(op, "reductionOp"))

    def run(machine: Machine, *operands: Any) -> object:
        number = _one(operands[0], "the number") if len(operands) == 2 else 0
        return machine.barrier_reduce(number, None, kind, operands[-1])

    return run


def _counted_reduction(kind: str) -> Instruction:
    def run(machine: Machine, number: Any, threads: Any, predicate: Any) -> object:
        threads = _one(threads, "the thread count")
        return machine.barrier_reduce(_one(number, "the number"), threads, kind, predicate)

    return Instruction(
        f"bar.red.{kind}",
        f"barrier.cta.red.{kind}.aligned d, a, b, p",
        _SECTION,
        lambda op: run,
        emit=reduce,
        effects=(Effect(Access.BARRIER),),
        blocking=True,
    )


_KINDS = ("popc", "and", "or")
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
        "nvvm.barrier.arrive", "bar.arrive a, b", _SECTION, _arrive, emit=arrive, effects=(Effect(Access.BARRIER),),
        blocking=True,  # it does not wait, but warps arrive whole
    ),
    Instruction(
        "nvvm.barrier.reduction",
        "bar.red.popc.u32 d, a, p",
        _SECTION,
        _reduction,
        emit=reduce,
        effects=(Effect(Access.BARRIER),),
        blocking=True,
    ),
    *(_counted_reduction(kind) for kind in _KINDS),
)
