"""Asynchronous copies of 4, 8 or 16 bytes per thread. PTX ISA 8.7, section 9.7.9.25.3 (cp.async)."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.isa.instruction import GLOBAL, SHARED, Access, Effect, Instruction, Machine, Run, create, integer
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

_GROUP = "cp.async"


def emit(destination: ir.Value, source: ir.Value, size: int, src_size: ir.Value | None = None, cache: str = "") -> None:
    """`cp.async`: start a copy from global to shared memory.

    Args:
        destination: `!llvm.ptr<3>`, aligned to `size`.
        source: `!llvm.ptr<1>`, aligned to `size`.
        size: 4, 8 or 16 bytes.
        src_size: bytes that are read (i32, up to `size`); the rest of the destination becomes zero.
        cache: "cg" (L2 only, 16 bytes) or "ca"; by default "cg" for 16 bytes.
    """
    kind = cache or ("cg" if size == 16 else "ca")
    operands = [destination, source] + ([src_size] if src_size is not None else [])
    create(
        "nvvm.cp.async.shared.global",
        operands,
        size=ir.IntegerAttr.get(ir.IntegerType.get_signless(32), size),
        modifier=f"#nvvm<load_cache_modifier {kind}>",
    )


def commit() -> None:
    """`cp.async.commit_group`: close the group of the copies started since the last commit."""
    create("nvvm.cp.async.commit.group")


def wait(pending: int) -> None:
    """`cp.async.wait_group`: until at most `pending` of the thread's most recent groups are incomplete."""
    create("nvvm.cp.async.wait.group", n=ir.IntegerAttr.get(ir.IntegerType.get_signless(32), pending))


def _copy(op: ir.Operation) -> Run:
    size = integer(op, "size")

    def run(machine: Machine, destination: Any, source: Any, valid: Any = None) -> None:
        machine.copy_async(destination, source, size, valid)

    return run


def _wait(op: ir.Operation) -> Run:
    pending = integer(op, "n")
    return lambda machine: machine.wait_async(pending)


_SECTION = "9.7.9.25.3 cp.async"
INSTRUCTIONS = (
    Instruction(
        "nvvm.cp.async.shared.global",
        "cp.async.cg.shared.global [d], [s], n, src",
        _SECTION,
        _copy,
        emit=emit,
        feature=Feature.CP_ASYNC,
        effects=(Effect(Access.READ, GLOBAL, 1, group=_GROUP), Effect(Access.WRITE, SHARED, 0, group=_GROUP)),
    ),
    Instruction(
        "nvvm.cp.async.commit.group",
        "cp.async.commit_group",
        _SECTION,
        lambda op: lambda machine: machine.commit_async(),
        emit=commit,
        feature=Feature.CP_ASYNC,
        effects=(Effect(Access.COMMIT, group=_GROUP),),
    ),
    Instruction(
        "nvvm.cp.async.wait.group",
        "cp.async.wait_group n",
        _SECTION,
        _wait,
        emit=wait,
        feature=Feature.CP_ASYNC,
        effects=(Effect(Access.WAIT, group=_GROUP),),
    ),
)
