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


def arrive(barrier: ir.Value) -> ir.Value:
    """`mbarrier.arrive`: one arrival per executing thread; returns the phase's state (i64), for `test_wait`."""
    return create("nvvm.mbarrier.arrive", [barrier], [ir.IntegerType.get_signless(64)])


def arrive_expect_tx(barrier: ir.Value, size: ir.Value | int) -> None:
    """`mbarrier.arrive.expect_tx`: the phase also waits for `size` bytes of asynchronous copies; then arrive."""
    create("nvvm.mbarrier.arrive.expect_tx", [barrier, _value(size)])


def expect_tx(barrier: ir.Value, size: ir.Value | int) -> None:
    """`mbarrier.expect_tx`: the phase also waits for `size` bytes of asynchronous copies; no arrival."""
    create("nvvm.mbarrier.expect_tx", [barrier, _value(size)])


def arrive_after_copies(barrier: ir.Value, *, noinc: bool = True) -> None:
    """`cp.async.mbarrier.arrive{.noinc}`: arrive when all cp.async copies this thread has started are complete.

    With `noinc` the arrival is one of the barrier's count; otherwise the phase waits for one more.
    """
    create("nvvm.cp.async.mbarrier.arrive", [barrier], noinc=ir.BoolAttr.get(noinc))


def wait(barrier: ir.Value, phase: ir.Value) -> ir.Value:
    """`mbarrier.try_wait{.parity}` once: i1, whether a phase is complete. Loop on it.

    `phase` is a parity (i32, 0 or 1), or the state that `mbarrier.arrive` returned (i64).
    """
    return create("nvvm.mbarrier.try_wait", [barrier, phase], [ir.IntegerType.get_signless(1)])


def test_wait(barrier: ir.Value, phase: ir.Value) -> ir.Value:
    """`mbarrier.test_wait{.parity}`: i1, at once, whether a phase is complete.

    `phase` is a parity (i32, 0 or 1), or the state that `mbarrier.arrive` returned (i64).
    """
    return create("nvvm.mbarrier.test.wait", [barrier, phase], [ir.IntegerType.get_signless(1)])


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


def _token(op: ir.Operation) -> bool:
    """Whether a wait names its phase by a state token."""
    return str(op.operands[1].type) == "i64"


def _try_wait(op: ir.Operation) -> Run:
    token = _token(op)
    return lambda machine, address, phase, *limit: machine.engine.wait(address, phase, token)


def _test_wait(op: ir.Operation) -> Run:
    token = _token(op)
    return lambda machine, address, phase: machine.engine.test(address, phase, token)


def _copies_arrive(op: ir.Operation) -> Run:
    counted = "noinc" in op.attributes and bool(ir.BoolAttr(op.attributes["noinc"]).value)
    return lambda machine, address: machine.engine.arrive_after_copies(address, counted)


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
        emit=expect_tx,
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
        "nvvm.mbarrier.test.wait",
        "mbarrier.test_wait{.parity}.shared.b64 p, [a], phase",
        _SECTION,
        _test_wait,
        emit=test_wait,
        feature=Feature.CP_ASYNC,
        effects=(Effect(Access.WAIT, SHARED, 0, 8),),
        blocking=True,
    ),
    Instruction(
        "nvvm.cp.async.mbarrier.arrive",
        "cp.async.mbarrier.arrive{.noinc}.shared.b64 [a]",
        _SECTION,
        _copies_arrive,
        emit=arrive_after_copies,
        feature=Feature.CP_ASYNC,
        effects=_READ,
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
