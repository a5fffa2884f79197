"""mbarrier objects and the fences around them. PTX ISA 8.7, sections 9.7.13.15 (mbarrier), 9.7.13.4 (fence)."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.isa.instruction import SHARED, Access, Effect, Instruction, Run, constant, create
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature


def _value(value: ir.Value | int) -> ir.Value:
    return value if isinstance(value, ir.Value) else constant(value)


def init(barrier: ir.Value, count: ir.Value | int) -> None:
    """`mbarrier.init.shared.b64`: `barrier` is `!llvm.ptr<3>`, 8-byte aligned; one thread executes it."""
    create("nvvm.mbarrier.init", [barrier, _value(count)])


def invalidate(barrier: ir.Value) -> None:
    """`mbarrier.inval`."""
    create("nvvm.mbarrier.inval", [barrier])


def arrive(barrier: ir.Value) -> None:
    """`mbarrier.arrive`: one arrival per executing thread."""
    create("nvvm.mbarrier.arrive", [barrier], [ir.IntegerType.get_signless(64)])


def arrive_expect_tx(barrier: ir.Value, size: ir.Value | int) -> None:
    """`mbarrier.arrive.expect_tx`: the phase also waits for `size` bytes of asynchronous copies; then arrive."""
    create("nvvm.mbarrier.arrive.expect_tx", [barrier, _value(size)])


def wait(barrier: ir.Value, parity: ir.Value) -> ir.Value:
    """`mbarrier.try_wait.parity` once: i1, whether the phase of that parity (i32, 0 or 1) is complete. Loop on it."""
    return create("nvvm.mbarrier.try_wait", [barrier, parity], [ir.IntegerType.get_signless(1)])


def fence_init() -> None:
    """`fence.mbarrier_init.release.cluster`: makes initialised barriers visible to the asynchronous proxy."""
    create("nvvm.fence.mbarrier.init")


def _arrive_expect(op: ir.Operation) -> Run:
    def run(machine: Any, address: Any, size: Any) -> Any:
        token = machine.engine.arrive(address, size)
        return token if len(op.results) else None

    return run


def _expect(machine: Any, address: Any, size: Any) -> None:
    machine.engine.arrive(address, size, False)


def _try_wait(op: ir.Operation) -> Run:
    return lambda machine, address, parity, *limit: machine.engine.wait(address, parity)


_SECTION = "9.7.13.15 mbarrier"
_READ = (Effect(Access.BARRIER, SHARED, 0, 8),)
INSTRUCTIONS = (
    Instruction(
        "nvvm.mbarrier.init",
        "mbarrier.init.shared.b64 [a], n",
        _SECTION,
        lambda op: lambda machine, a, n: machine.engine.init(a, n),
        emit=init,
        feature=Feature.MBARRIER,
        effects=_READ,
    ),
    Instruction(
        "nvvm.mbarrier.inval",
        "mbarrier.inval.shared.b64 [a]",
        _SECTION,
        lambda op: lambda machine, a: machine.engine.invalidate(a),
        emit=invalidate,
        feature=Feature.MBARRIER,
        effects=_READ,
    ),
    Instruction(
        "nvvm.mbarrier.arrive",
        "mbarrier.arrive.shared.b64 s, [a]",
        _SECTION,
        lambda op: lambda machine, a: machine.engine.arrive(a),
        emit=arrive,
        feature=Feature.MBARRIER,
        effects=_READ,
    ),
    Instruction(
        "nvvm.mbarrier.arrive.expect_tx",
        "mbarrier.arrive.expect_tx.shared.b64 s, [a], n",
        _SECTION,
        _arrive_expect,
        emit=arrive_expect_tx,
        feature=Feature.MBARRIER,
        effects=_READ,
    ),
    Instruction(
        "nvvm.mbarrier.expect_tx",
        "mbarrier.expect_tx.shared.b64 [a], n",
        _SECTION,
        lambda op: lambda machine, a, n: _expect(machine, a, n),
        feature=Feature.MBARRIER,
        effects=_READ,
    ),
    Instruction(
        "nvvm.mbarrier.try_wait",
        "mbarrier.try_wait.parity.shared.b64 p, [a], parity",
        _SECTION,
        _try_wait,
        emit=wait,
        feature=Feature.MBARRIER,
        effects=(Effect(Access.WAIT, SHARED, 0, 8),),
        blocking=True,
    ),
    Instruction(
        "nvvm.mbarrier.try_wait.parity",
        "mbarrier.try_wait.parity in a loop",
        _SECTION,
        _try_wait,
        feature=Feature.MBARRIER,
        effects=(Effect(Access.WAIT, SHARED, 0, 8),),
        blocking=True,
    ),
    Instruction(
        "nvvm.fence.mbarrier.init",
        "fence.mbarrier_init.release.cluster",
        "9.7.13.4 fence",
        lambda op: lambda machine: machine.fence("mbarrier"),
        emit=fence_init,
        feature=Feature.MBARRIER,
        effects=(Effect(Access.FENCE),),
    ),
)
