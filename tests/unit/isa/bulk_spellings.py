"""Spellings of bulk and tensor copies: what is emitted, and what must be in the PTX."""

from __future__ import annotations

from tests.unit.isa.kernel_builder import offset, smem
from tilelang_mlir.isa.instruction import constant, create
from tilelang_mlir.isa.nvidia import bulk, cluster, tma
from tilelang_mlir.mlir import ir


def _tma(arguments: list[ir.Value]) -> None:
    generic = create("llvm.addrspacecast", [arguments[0]], [ir.Type.parse("!llvm.ptr")])
    tma.load(smem(), generic, offset(smem(), 1024, "i8"), [constant(0), 8])
    tma.load(smem(), generic, offset(smem(), 1024, "i8"), [constant(0), 8], hint="evict_first")
    tma.store(generic, smem(), [0, 8, constant(3)])
    tma.reduce(generic, smem(), [0, 8], "add", "f32")
    tma.load(smem(), generic, offset(smem(), 1024, "i8"), [0, 8], hint="evict_last", ranks=constant(3, 16))
    tma.load(smem(), generic, offset(smem(), 1024, "i8"), [0, 8, 1, 2], taps=[constant(1, 16), constant(2, 16)])
    tma.prefetch(generic, [0, 8, 1])
    bulk.prefetch(arguments[0], 64)
    bulk.add(arguments[0], smem(), 64)
    rank = cluster.rank()
    cluster.arrive_expect_remote(offset(smem(), 1024, "i8"), rank, 64)
    cluster.copy(smem(), offset(smem(), 2048, "i8"), offset(smem(), 1024, "i8"), 64, rank)
    cluster.store(smem(), rank, rank)
    for change, bits in (("arith.trunci", 8), ("arith.trunci", 16), ("arith.extui", 64)):
        cluster.store(smem(), create(change, [rank], [ir.Type.parse(f"i{bits}")]), rank)


def _gather(arguments: list[ir.Value]) -> None:
    generic = create("llvm.addrspacecast", [arguments[0]], [ir.Type.parse("!llvm.ptr")])
    tma.gather4(smem(), generic, offset(smem(), 1024, "i8"), [0, constant(4), 3, 2, 1])
    tma.gather4(smem(), generic, offset(smem(), 1024, "i8"), [0, 4, 3, 2, 1], hint="evict_last")
    tma.scatter4(generic, smem(), [0, 4, 3, 2, 1])
    tma.scatter4(generic, smem(), [0, 4, 3, 2, 1], hint="evict_first")
    tma.fence_all()


BULK_CASES = [
    (
        "tma",
        _tma,
        "sm_90a",
        [
            "cp.async.bulk.tensor.2d.shared::cta.global",
            "cp.async.bulk.tensor.3d.global.shared::cta",
            "cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group",
            "tile.mbarrier::complete_tx::bytes.L2::cache_hint",
            "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster.L2::cache_hint",
            "cp.async.bulk.tensor.4d.shared::cta.global.im2col.mbarrier::complete_tx::bytes",
            "cp.async.bulk.prefetch.tensor.3d.L2.global.tile",
            "cp.async.bulk.prefetch.L2.global",
            "cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 ",
            "mbarrier.arrive.expect_tx.release.cluster.shared::cluster.b64",
            "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes",
            *(f"st.shared::cluster.b{bits}" for bits in (8, 16, 32, 64)),
        ],
    ),
    (
        "rows from anywhere",
        _gather,
        "sm_100a",
        [
            "cp.async.bulk.tensor.2d.shared::cta.global.tile::gather4.mbarrier::complete_tx::bytes ",
            "cp.async.bulk.tensor.2d.shared::cta.global.tile::gather4.mbarrier::complete_tx::bytes.L2::cache_hint",
            "cp.async.bulk.tensor.2d.global.shared::cta.tile::scatter4.bulk_group ",
            "cp.async.bulk.tensor.2d.global.shared::cta.tile::scatter4.bulk_group.L2::cache_hint",
            "fence.proxy.async;",
        ],
    ),
]
