"""Bulk copies of contiguous bytes. PTX ISA 8.7, section 9.7.9.25.4 (cp.async.bulk). Groups of stores: see `tma`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
from tilelang_mlir.isa.nvidia.reductions import RUNS, combination
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


def reduce(target: ir.Value, shared: ir.Value, size: int, kind: str, element: str) -> None:
    """`cp.reduce.async.bulk` from shared to global, in the open bulk group; alignment and size as in `load`.

    Each element is combined by itself, atomically at device scope. PTX ISA 8.7, section 9.7.9.25.4.2.

    Args:
        kind, element: one of `reductions.RUNS`.
    """
    rounding = ".noftz" if kind == "add" and element in ("f16", "bf16") else ""
    operation = f"cp.reduce.async.bulk.global.shared::cta.bulk_group.{kind}{rounding}.{element}"
    facts = {
        "tl.size": ir.IntegerAttr.get(ir.IntegerType.get_signless(32), size), "tl.element": ir.StringAttr.get(element),
    }  # fmt: skip
    text = f"{operation} [{{$r0}}], [{{$r1}}], {size};"
    inline_ptx(f"cp.reduce.async.bulk.{kind}", text, [target, shared], attributes=facts)


def prefetch(source: ir.Value, size: ir.Value | int) -> None:
    """`cp.async.bulk.prefetch.L2.global`: bytes into the L2 cache; alignment and size as in `load`."""
    count = size if isinstance(size, ir.Value) else constant(size)
    create("nvvm.cp.async.bulk.prefetch", [source, count], operandSegmentSizes=ir.DenseI32ArrayAttr.get([1, 1, 0]))


def _load(machine: Machine, shared: Any, source: Any, barrier: Any, size: Any, *hints: Any) -> None:
    machine.engine.bulk_load(shared, source, barrier, size)


def _store(machine: Machine, target: Any, shared: Any, size: Any, *hints: Any) -> None:
    machine.engine.bulk_store(target, shared, size)


def _reduce(kind: str) -> Callable[[ir.Operation], Run]:
    def semantics(op: ir.Operation) -> Run:
        size = ir.IntegerAttr(op.attributes["tl.size"]).value
        combine, stored = combination(kind, ir.StringAttr(op.attributes["tl.element"]).value)
        return lambda machine, target, shared: machine.engine.bulk_reduce(target, shared, size, combine, stored)

    return semantics


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
    *(
        Instruction(
            f"cp.reduce.async.bulk.{kind}",
            f"cp.reduce.async.bulk.global.shared::cta.bulk_group.{kind}.type [d], [s], n",
            "9.7.9.25.4.2 cp.reduce.async.bulk",
            _reduce(kind),
            emit=reduce,
            feature=Feature.TMA,
            effects=(
                Effect(Access.READ, SHARED, 1, group="cp.async.bulk"),
                Effect(Access.ATOMIC, GLOBAL, 0, group="cp.async.bulk"),
            ),
        )
        for kind in RUNS
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
