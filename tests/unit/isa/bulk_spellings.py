"""Spellings of bulk and tensor copies: what is emitted, and what must be in the PTX."""

from __future__ import annotations

from tests.unit.isa.kernel_builder import offset, smem
from tilelang_mlir.isa.instruction import constant, create
from tilelang_mlir.isa.nvidia import bulk, cluster, tensormap, tma
from tilelang_mlir.isa.nvidia.reductions import RUNS
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
    for kind, elements in RUNS.items():
        for element in elements:
            bulk.reduce(arguments[0], smem(), 64, kind, element)
    rank = cluster.rank()
    cluster.arrive_expect_remote(offset(smem(), 1024, "i8"), rank, 64)
    cluster.copy(smem(), offset(smem(), 2048, "i8"), offset(smem(), 1024, "i8"), 64, rank)
    cluster.store(smem(), rank, rank)
    for change, bits in (("arith.trunci", 8), ("arith.trunci", 16), ("arith.extui", 64)):
        cluster.store(smem(), create(change, [rank], [ir.Type.parse(f"i{bits}")]), rank)


def _maps(arguments: list[ir.Value]) -> None:
    for place in (smem(), arguments[0]):
        for field, bits in tensormap.WHOLE.items():
            tensormap.replace(place, field, constant(16, bits))
        for field, bits in tensormap.BY_DIMENSION.items():
            tensormap.replace(place, field, constant(16, bits), 3)
        for field in tensormap.CHOICES:
            tensormap.replace(place, field, 1)
    tensormap.copy_and_release(arguments[0], smem())
    tensormap.release()
    tensormap.acquire(arguments[0])
    tensormap.prefetch(tensormap.generic(arguments[0]))


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
            *(f"cp.reduce.async.bulk.global.shared::cta.bulk_group.add.noftz.{e} " for e in ("f16", "bf16")),
            *(
                f"cp.reduce.async.bulk.global.shared::cta.bulk_group.{kind}.{element} "
                for kind, elements in RUNS.items()
                for element in elements
                if kind != "add" or element not in ("f16", "bf16")
            ),
            "mbarrier.arrive.expect_tx.release.cluster.shared::cluster.b64",
            "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes",
            *(f"st.shared::cluster.b{bits}" for bits in (8, 16, 32, 64)),
        ],
    ),
    (
        "maps made in kernels",
        _maps,
        "sm_90a",
        [
            *(
                f"tensormap.replace.tile.{field}.{space}.b1024.b{bits} .*, {ordinal}%"
                for fields, ordinal in ((tensormap.WHOLE, ""), (tensormap.BY_DIMENSION, "3, "))
                for field, bits in fields.items()
                for space in ("shared::cta", "global")
            ),
            *(f"tensormap.replace.tile.{field}.shared::cta.b1024.b32 .*, 1;" for field in tensormap.CHOICES),
            "tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic.release.gpu.sync.aligned .*, 128;",
            "fence.proxy.tensormap::generic.release.gpu;",
            "fence.proxy.tensormap::generic.acquire.gpu .*, 128;",
            "prefetch.tensormap ",
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
