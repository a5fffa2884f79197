"""Clusters of CTAs: their barrier, where a CTA is in its cluster, and copies from one to another.

PTX ISA 8.7, sections 9.7.13.5 (barrier.cluster), 10.10 to 10.14 (%clusterid, %cluster_ctarank), 9.7.9.23 (mapa),
9.7.9.25.4 (cp.async.bulk), 9.7.9.12 (st).
"""

from __future__ import annotations

from typing import Any

from tilelang_mlir.isa.instruction import SHARED, Access, Effect, Instruction, Run, constant, create, inline_ptx
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature


def arrive(*, relaxed: bool = False, aligned: bool = True) -> None:
    """`barrier.cluster.arrive{.relaxed}{.aligned}`: every thread of the cluster arrives once per phase.

    `aligned` promises that all threads of the warp execute this one.
    """
    create(_ARRIVES[relaxed], **({"aligned": ir.UnitAttr.get()} if aligned else {}))


def wait(*, aligned: bool = True) -> None:
    """`barrier.cluster.wait{.aligned}`: until all threads of the cluster have arrived."""
    create("nvvm.cluster.wait", **({"aligned": ir.UnitAttr.get()} if aligned else {}))


def rank() -> ir.Value:
    """`%cluster_ctarank`: index of the CTA in its cluster (i32)."""
    return create("nvvm.read.ptx.sreg.cluster.ctarank", [], [ir.IntegerType.get_signless(32)])


def arrive_remote(barrier: ir.Value, rank: ir.Value, *, wide: bool = True) -> None:
    """`mapa` and `mbarrier.arrive.release.cluster.shared::cluster.b64`: the same barrier of another CTA of the cluster.

    Args:
        barrier: `!llvm.ptr<3>` in this CTA.
        rank: i32, of the CTA whose barrier is meant.
        wide: release at the scope of the cluster. Without, at that of the CTA (the default of the instruction): enough
            where nothing is published, only tiles given back that have been read; the wide form waits for all memory
            accesses of the thread.
    """
    order = ".release.cluster" if wide else ""
    address = create("llvm.ptrtoint", [barrier], [ir.IntegerType.get_signless(32)])
    text = (
        "{ .reg .b32 a; mapa.shared::cluster.u32 a, {$r0}, {$r1}; "
        f"mbarrier.arrive{order}.shared::cluster.b64 _, [a]; }}"
    )
    inline_ptx("mbarrier.arrive.cluster", text, [address, rank])


def expect_remote(barrier: ir.Value, rank: ir.Value, size: ir.Value) -> None:
    """`mapa` and `mbarrier.expect_tx.relaxed.cluster.shared::cluster.b64`: bytes to wait for, at another CTA's barrier.

    Operands are as for `arrive_remote`; `size` is i32.
    """
    address = create("llvm.ptrtoint", [barrier], [ir.IntegerType.get_signless(32)])
    text = (
        "{ .reg .b32 a; mapa.shared::cluster.u32 a, {$r0}, {$r1}; "
        "mbarrier.expect_tx.relaxed.cluster.shared::cluster.b64 [a], {$r2}; }"
    )
    inline_ptx("mbarrier.expect_tx.cluster", text, [address, rank, size])


def arrive_expect_remote(barrier: ir.Value, rank: ir.Value, size: ir.Value | int) -> None:
    """`mbarrier.arrive.expect_tx.release.cluster.shared::cluster.b64`: announce bytes at another CTA's barrier, arrive.

    Args:
        barrier, rank: as in `arrive_remote`.
        size: i32, or a constant.
    """
    address = create("llvm.ptrtoint", [barrier], [ir.IntegerType.get_signless(32)])
    text = (
        "{ .reg .b32 a; mapa.shared::cluster.u32 a, {$r0}, {$r1}; "
        "mbarrier.arrive.expect_tx.release.cluster.shared::cluster.b64 _, [a], {$r2}; }"
    )
    count = size if isinstance(size, ir.Value) else constant(size)
    inline_ptx("mbarrier.arrive.expect_tx.cluster", text, [address, rank, count])


def copy(target: ir.Value, source: ir.Value, barrier: ir.Value, size: ir.Value | int, rank: ir.Value) -> None:
    """`cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes`: bytes to another CTA of the cluster.

    Args:
        target, source, barrier: `!llvm.ptr<3>` in this CTA, 16-byte aligned; target and barrier stand for the same
            places in the other CTA.
        size: i32 or a constant, a multiple of 16.
        rank: i32, of the other CTA.
    """
    i32 = ir.IntegerType.get_signless(32)
    addresses = [create("llvm.ptrtoint", [place], [i32]) for place in (target, source, barrier)]
    count = size if isinstance(size, ir.Value) else constant(size)
    text = (
        "{ .reg .b32 d, b; mapa.shared::cluster.u32 d, {$r0}, {$r4}; mapa.shared::cluster.u32 b, {$r2}, {$r4}; "
        "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [d], [{$r1}], {$r3}, [b]; }"
    )
    inline_ptx("cp.async.bulk.shared.cluster", text, [*addresses, count, rank])


def store(place: ir.Value, value: ir.Value, rank: ir.Value) -> None:
    """`mapa` and `st.shared::cluster`: a value to another CTA of the cluster.

    Args:
        place: `!llvm.ptr<3>` in this CTA, which stands for the same place in the other one.
        value: an integer of 8, 16, 32 or 64 bits.
        rank: i32, of the other CTA.
    """
    bits = ir.IntegerType(value.type).width
    if bits == 8:  # there are no registers of 8 bits
        value = create("arith.extui", [value], [ir.IntegerType.get_signless(16)])
    address = create("llvm.ptrtoint", [place], [ir.IntegerType.get_signless(32)])
    text = f"{{ .reg .b32 a; mapa.shared::cluster.u32 a, {{$r0}}, {{$r1}}; st.shared::cluster.b{bits} [a], {{$r2}}; }}"
    inline_ptx(f"st.shared.cluster.b{bits}", text, [address, rank, value])


_ARRIVES = ("nvvm.cluster.arrive", "nvvm.cluster.arrive.relaxed")


def _arrive(op: ir.Operation, relaxed: bool) -> Run:
    aligned = "aligned" in op.attributes

    def run(machine: Any) -> None:
        if aligned:
            machine.require_warps("barrier.cluster.arrive.aligned")
        machine.engine.cluster_arrive(relaxed)

    return run


def _wait(op: ir.Operation) -> Run:
    aligned = "aligned" in op.attributes

    def run(machine: Any) -> object:
        if aligned:
            machine.require_warps("barrier.cluster.wait.aligned")
        return machine.engine.cluster_wait()

    return run


def _arrive_remote(machine: Any, address: Any, rank: Any, size: Any = 0) -> None:
    machine.engine.arrive_remote(address, rank, size)


def _copy(machine: Any, target: Any, source: Any, barrier: Any, size: Any, rank: Any) -> None:
    machine.engine.shared_copy(target, source, barrier, size, rank)


def _store(size: int) -> Run:
    return lambda machine, address, rank, value: machine.engine.store_remote(address, rank, size, value)


def _expect_remote(machine: Any, address: Any, rank: Any, size: Any) -> None:
    machine.engine.expect_remote(address, rank, size)


_BARRIER = "9.7.13.5 barrier.cluster"
INSTRUCTIONS = (
    *(
        Instruction(
            name,
            f"barrier.cluster.arrive{'.relaxed' if relaxed else ''}{{.aligned}}",
            _BARRIER,
            lambda op, relaxed=bool(relaxed): _arrive(op, relaxed),
            emit=arrive,
            feature=Feature.CLUSTER,
            effects=(Effect(Access.BARRIER),),
        )
        for relaxed, name in enumerate(_ARRIVES)
    ),
    Instruction(
        "nvvm.cluster.wait",
        "barrier.cluster.wait{.aligned}",
        _BARRIER,
        _wait,
        emit=wait,
        feature=Feature.CLUSTER,
        effects=(Effect(Access.BARRIER),),
        blocking=True,
    ),
    Instruction(
        "mbarrier.arrive.cluster",
        "mapa.shared::cluster.u32 a, b, r; mbarrier.arrive{.release.cluster}.shared::cluster.b64 _, [a]",
        "9.7.13.15 mbarrier.arrive",
        lambda op: _arrive_remote,
        emit=arrive_remote,
        feature=Feature.CLUSTER,
        effects=(Effect(Access.BARRIER, SHARED, 0, 8),),
    ),
    Instruction(
        "mbarrier.arrive.expect_tx.cluster",
        "mapa.shared::cluster.u32 a, b, r; mbarrier.arrive.expect_tx.release.cluster.shared::cluster.b64 _, [a], n",
        "9.7.13.15 mbarrier.arrive",
        lambda op: _arrive_remote,
        emit=arrive_expect_remote,
        feature=Feature.CLUSTER,
        effects=(Effect(Access.BARRIER, SHARED, 0, 8),),
    ),
    Instruction(
        "mbarrier.expect_tx.cluster",
        "mapa.shared::cluster.u32 a, b, r; mbarrier.expect_tx.relaxed.cluster.shared::cluster.b64 [a], n",
        "9.7.13.15 mbarrier.expect_tx",
        lambda op: _expect_remote,
        emit=expect_remote,
        feature=Feature.CLUSTER,
        effects=(Effect(Access.BARRIER, SHARED, 0, 8),),
    ),
    Instruction(
        "cp.async.bulk.shared.cluster",
        "mapa.shared::cluster.u32 e, d, r; mapa.shared::cluster.u32 c, b, r; "
        "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [e], [s], n, [c]",
        "9.7.9.25.4 cp.async.bulk",
        lambda op: _copy,
        emit=copy,
        feature=Feature.CLUSTER,
        effects=(Effect(Access.READ, SHARED, 1, group="mbarrier"), Effect(Access.WRITE, SHARED, 0, group="mbarrier")),
    ),
    *(
        Instruction(
            f"st.shared.cluster.b{8 * size}",
            f"mapa.shared::cluster.u32 a, d, r; st.shared::cluster.b{8 * size} [a], v",
            "9.7.9.12 st",
            lambda op, size=size: _store(size),
            emit=store,
            feature=Feature.CLUSTER,
            effects=(Effect(Access.WRITE, SHARED, 0, size),),
        )
        for size in (1, 2, 4, 8)
    ),
    Instruction(
        "nvvm.read.ptx.sreg.cluster.ctarank",
        "mov.u32 d, %cluster_ctarank",
        "10.14 cluster_ctarank",
        lambda op: lambda machine: machine.special("cluster_ctarank"),
        emit=rank,
        feature=Feature.CLUSTER,
    ),
)
