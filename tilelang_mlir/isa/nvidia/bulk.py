"""Bulk copies of contiguous bytes. PTX ISA 8.7, section 9.7.9.25.4 (cp.async.bulk). Groups of stores: see `tma`."""

from __future__ import annotations

from typing import Any

import numpy as np

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
    inline_ptx,
)
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature


def load(shared: ir.Value, source: ir.Value, barrier: ir.Value, size: ir.Value | int) -> None:
    """`cp.async.bulk` global to shared: `size` bytes (a multiple of 16); one thread executes it.

    Args:
        shared: `!llvm.ptr<3>`, 16-byte aligned.
        source: `!llvm.ptr<1>`, 16-byte aligned.
        barrier: `!llvm.ptr<3>`, the mbarrier on which the bytes complete.
        size: i32, or a constant.
    """
    cluster = create("llvm.addrspacecast", [shared], [ir.Type.parse("!llvm.ptr<7>")])
    count = size if isinstance(size, ir.Value) else constant(size)
    segments = ir.DenseI32ArrayAttr.get([1, 1, 1, 1, 0, 0])
    create("nvvm.cp.async.bulk.shared.cluster.global", [cluster, source, barrier, count], operandSegmentSizes=segments)


def store(target: ir.Value, shared: ir.Value, size: ir.Value | int) -> None:
    """`cp.async.bulk` shared to global, in the open bulk group; alignment and size as in `load`."""
    count = size if isinstance(size, ir.Value) else constant(size)
    segments = ir.DenseI32ArrayAttr.get([1, 1, 1, 0, 0])
    create("nvvm.cp.async.bulk.global.shared.cta", [target, shared, count], operandSegmentSizes=segments)


def add(target: ir.Value, shared: ir.Value, size: int) -> None:
    """`cp.reduce.async.bulk...add.f32` from shared to global, in the open bulk group; alignment and size as in `load`.

    Each float32 is added by itself, atomically at device scope. PTX ISA 8.7, section 9.7.9.25.4.2.
    """
    text = f"cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [{{$r0}}], [{{$r1}}], {size};"
    count = ir.IntegerAttr.get(ir.IntegerType.get_signless(32), size)
    inline_ptx("cp.reduce.async.bulk.add", text, [target, shared], attributes={"tl.size": count})


def prefetch(source: ir.Value, size: ir.Value | int) -> None:
    """`cp.async.bulk.prefetch.L2.global`: bytes into the L2 cache; alignment and size as in `load`."""
    count = size if isinstance(size, ir.Value) else constant(size)
    create("nvvm.cp.async.bulk.prefetch", [source, count], operandSegmentSizes=ir.DenseI32ArrayAttr.get([1, 1, 0]))


def _load(machine: Machine, shared: Any, source: Any, barrier: Any, size: Any, *hints: Any) -> None:
    machine.engine.bulk_load(shared, source, barrier, size)


def _store(machine: Machine, target: Any, shared: Any, size: Any, *hints: Any) -> None:
    machine.engine.bulk_store(target, shared, size)


def _add(op: ir.Operation) -> Run:
    size = ir.IntegerAttr(op.attributes["tl.size"]).value
    return lambda machine, target, shared: machine.engine.bulk_reduce(target, shared, size, np.add, np.float32)


def _prefetch(machine: Machine, source: Any, size: Any, *hints: Any) -> None:
    machine.engine.bulk_prefetch(source, size)


_SECTION = "9.7.9.25.4 cp.async.bulk"
INSTRUCTIONS = (
    Instruction(
        "nvvm.cp.async.bulk.shared.cluster.global",
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [d], [s], n, [b]",
        _SECTION,
        lambda op: _load,
        emit=load,
        feature=Feature.TMA,
        effects=(Effect(Access.READ, GLOBAL, 1, group="mbarrier"), Effect(Access.WRITE, SHARED, 0, group="mbarrier")),
    ),
    Instruction(
        "nvvm.cp.async.bulk.global.shared.cta",
        "cp.async.bulk.global.shared::cta.bulk_group [d], [s], n",
        _SECTION,
        lambda op: _store,
        emit=store,
        feature=Feature.TMA,
        effects=(
            Effect(Access.READ, SHARED, 1, group="cp.async.bulk"),
            Effect(Access.WRITE, GLOBAL, 0, group="cp.async.bulk"),
        ),
    ),
    Instruction(
        "cp.reduce.async.bulk.add",
        "cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [d], [s], n",
        "9.7.9.25.4.2 cp.reduce.async.bulk",
        _add,
        emit=add,
        feature=Feature.TMA,
        effects=(
            Effect(Access.READ, SHARED, 1, group="cp.async.bulk"),
            Effect(Access.ATOMIC, GLOBAL, 0, group="cp.async.bulk"),
        ),
    ),
    Instruction(
        "nvvm.cp.async.bulk.prefetch",
        "cp.async.bulk.prefetch.L2.global [s], n",
        "9.7.9.25.4 cp.async.bulk.prefetch",
        lambda op: _prefetch,
        emit=prefetch,
        feature=Feature.TMA,
    ),
)
