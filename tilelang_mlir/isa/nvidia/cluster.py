"""Clusters of CTAs: their barrier, and where a CTA is in its cluster.

PTX ISA 8.7, sections 9.7.13.5 (barrier.cluster), 10.10 to 10.14 (%clusterid, %cluster_ctarank), 9.7.9.23 (mapa).
"""

from __future__ import annotations

from typing import Any

from tilelang_mlir.isa.instruction import SHARED, Access, Effect, Instruction, Run, create, inline_ptx
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature


def arrive(*, relaxed: bool = False) -> None:
    """`barrier.cluster.arrive{.relaxed}.aligned`: every thread of the cluster arrives once per phase."""
    create(_ARRIVES[relaxed], aligned=ir.UnitAttr.get())


def wait() -> None:
    """`barrier.cluster.wait.aligned`: until all threads of the cluster have arrived."""
    create("nvvm.cluster.wait", aligned=ir.UnitAttr.get())


def rank() -> ir.Value:
    """`%cluster_ctarank`: index of the CTA in its cluster (i32)."""
    return create("nvvm.read.ptx.sreg.cluster.ctarank", [], [ir.IntegerType.get_signless(32)])


def arrive_remote(barrier: ir.Value, rank: ir.Value) -> None:
    """`mapa` and `mbarrier.arrive.release.cluster.shared::cluster.b64`: the same barrier of another CTA of the cluster.

    Args:
        barrier: `!llvm.ptr<3>` in this CTA.
        rank: i32, of the CTA whose barrier is meant.
    """
    address = create("llvm.ptrtoint", [barrier], [ir.IntegerType.get_signless(32)])
    text = (
        "{ .reg .b32 a; mapa.shared::cluster.u32 a, {$r0}, {$r1}; "
        "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [a]; }"
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


_ARRIVES = ("nvvm.cluster.arrive", "nvvm.cluster.arrive.relaxed")


def _arrive(relaxed: bool) -> Run:
    return lambda machine: machine.engine.cluster_arrive(relaxed)


def _wait(machine: Any) -> object:
    return machine.engine.cluster_wait()


def _arrive_remote(machine: Any, address: Any, rank: Any) -> None:
    machine.engine.arrive_remote(address, rank)


def _expect_remote(machine: Any, address: Any, rank: Any, size: Any) -> None:
    machine.engine.expect_remote(address, rank, size)


_BARRIER = "9.7.13.5 barrier.cluster"
INSTRUCTIONS = (
    *(
        Instruction(
            name,
            f"barrier.cluster.arrive{'.relaxed' if relaxed else ''}.aligned",
            _BARRIER,
            lambda op, relaxed=bool(relaxed): _arrive(relaxed),
            emit=arrive,
            feature=Feature.CLUSTER,
            effects=(Effect(Access.BARRIER),),
        )
        for relaxed, name in enumerate(_ARRIVES)
    ),
    Instruction(
        "nvvm.cluster.wait",
        "barrier.cluster.wait.aligned",
        _BARRIER,
        lambda op: _wait,
        emit=wait,
        feature=Feature.CLUSTER,
        effects=(Effect(Access.BARRIER),),
        blocking=True,
    ),
    Instruction(
        "mbarrier.arrive.cluster",
        "mapa.shared::cluster.u32 a, b, r; mbarrier.arrive.release.cluster.shared::cluster.b64 _, [a]",
        "9.7.13.15 mbarrier.arrive",
        lambda op: _arrive_remote,
        emit=arrive_remote,
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
        "nvvm.read.ptx.sreg.cluster.ctarank",
        "mov.u32 d, %cluster_ctarank",
        "10.14 cluster_ctarank",
        lambda op: lambda machine: machine.special("cluster_ctarank"),
        emit=rank,
        feature=Feature.CLUSTER,
    ),
)
