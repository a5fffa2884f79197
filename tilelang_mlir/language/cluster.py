"""Clusters of blocks, and kernels that start before the one ahead has ended."""

from __future__ import annotations

import math
from typing import Any

from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.buffer import buffer_of, int32_value, tile_of
from tilelang_mlir.frontend.builder import Builder
from tilelang_mlir.frontend.expr import INT32
from tilelang_mlir.language.copy import matching_extents
from tilelang_mlir.language.explicit import bulk_attributes
from tilelang_mlir.language.intrinsic import intrinsic
from tilelang_mlir.language.kernel import Kernel, current_kernel
from tilelang_mlir.language.marks import takes_name
from tilelang_mlir.language.sync import barrier_operands, in_kernel
from tilelang_mlir.mlir import ir


def cluster_arrive() -> None:
    """Arrive at the barrier of the cluster without waiting; every thread of the cluster arrives once per phase."""
    intrinsic("T.cluster_arrive", "cluster_arrive", attributes={"relaxed": 0})


def cluster_arrive_relaxed() -> None:
    """`T.cluster_arrive` that orders no memory accesses."""
    intrinsic("T.cluster_arrive_relaxed", "cluster_arrive", attributes={"relaxed": 1})


def cluster_wait() -> None:
    """Wait until all threads of the cluster have arrived at its barrier."""
    intrinsic("T.cluster_wait", "cluster_wait")


def cluster_sync() -> None:
    """Barrier of all threads of the cluster: `T.cluster_arrive` and `T.cluster_wait`."""
    intrinsic("T.cluster_sync", "cluster_arrive", attributes={"relaxed": 0})
    intrinsic("T.cluster_sync", "cluster_wait")


def block_rank_in_cluster() -> Any:
    """Index of the block in its cluster, x fastest (int32).

        with T.ClusterKernel(8, cluster_dims=2, threads=128) as bx:
            bar = T.alloc_cluster_barrier(256)
            T.cluster_sync()
            T.mbarrier_arrive(bar, T.block_rank_in_cluster() ^ 1)
    """
    return intrinsic("T.block_rank_in_cluster", "cluster_rank", result=INT32)


@takes_name
def copy_cluster(
    src: Any,
    dst: Any,
    *,
    dst_block: Any = None,
    cluster_mask: int | None = None,
    remote_barrier: Any = None,
    eviction_policy: str | None = None,
    coalesced_width: int | None = None,
    annotations: dict[str, Any] | None = None,
    loop_layout: Any = None,
) -> None:
    """Copy a tile to blocks of the cluster: from device memory to several, or from shared memory to one.

    With `cluster_mask` the block of the lowest rank in it copies its tile into the shared tile of every block of the
    mask; those outside of the mask copy their own. All blocks of the cluster reach the call, meet there, and go on
    when their tile is complete.

        T.copy_cluster(A[by * 64, 0], A_shared, cluster_mask=0b0011)

    With `dst_block` a shared tile goes to the same place as `dst` in the block of that rank. The copy is started, and
    arrives at that block's `remote_barrier` (one arrival per copy) with its bytes; that block waits for it. The program
    sees to it that the tile there is free and its barrier initialised. Tiles that do not lie in both blocks alike, in
    at most 64 stretches of multiples of 16 bytes, are stored element by element before the arrival. Without
    `remote_barrier` they always are, and `T.cluster_sync` tells the other block.

        got = T.alloc_cluster_barrier(1)
        T.cluster_sync()
        T.copy_cluster(mine, theirs, dst_block=T.block_rank_in_cluster() ^ 1, remote_barrier=got)
        T.mbarrier_wait_parity(got, 0)

    Args:
        dst_block: a rank. cluster_mask: ranks, as bits. remote_barrier: of `T.alloc_cluster_barrier`. eviction_policy:
            of the L2 cache, for loads. coalesced_width, loop_layout: accepted; threads copy nothing here.

    Raises:
        TileTypeError: other memories, dtypes that differ, or `dst_block` is missing.
        TileValueError: the shapes differ, no such mask or policy.
        UnsupportedError: when compiled, for loads that bulk copies cannot do, and for stores in some of the threads.
    """
    del coalesced_width, loop_layout
    options = {
        "dst_block": dst_block, "cluster_mask": cluster_mask, "remote_barrier": remote_barrier,
        "eviction_policy": eviction_policy, **(annotations or {}),
    }  # fmt: skip
    builder = in_kernel(what := "T.copy_cluster")
    source, target = buffer_of(src, f"the source of {what}"), buffer_of(dst, f"the target of {what}")
    if source.dtype != target.dtype:
        raise TileTypeError(f"{what} does not convert: the source is {source.dtype}, the target {target.dtype}")
    extents = matching_extents(what, src, dst)
    tiles = [tile_of(side, f"a side of {what}", extents) for side in (src, dst)]
    memories = (source.memory, target.memory)
    ways = {("global", "shared"): _multicast, ("shared", "shared"): _to_block}
    if memories not in ways or (memories[0] == "global" and options["cluster_mask"] is None):
        raise TileTypeError(
            f"{what} copies from device to shared memory with cluster_mask, or between shared tiles with dst_block, "
            f"got {memories[0]} to {memories[1]}",
            hint="T.copy takes every pair inside of a block",
        )
    ways[memories](builder, tiles, options)


def _multicast(builder: Builder, tiles: list[ir.Value], options: dict[str, Any]) -> None:
    """All threads of the cluster meet, so that every tile is free, then those of each block at a barrier of its own."""
    attributes = bulk_attributes("T.copy_cluster", options)
    launch = builder.require_launch("T.copy_cluster")
    x, y, z = builder.side["kernel"].threads
    counts: dict[str, ir.Attribute] = {"counts": ir.DenseI64ArrayAttr.get([x * y * z]), "cluster": ir.UnitAttr.get()}
    with ir.InsertionPoint.at_block_begin(launch.block), builder.location():
        kind = ir.Type.parse("!tl.barrier<1 : i64>")
        barrier = ir.Operation.create("tl.alloc_barrier", [kind], attributes=counts).result
    place = [barrier, int32_value(builder, 0)]
    builder.emit("tl.fence_proxy")
    cluster_sync()
    builder.emit("tl.tma_load", [*tiles, *place], [], attributes)
    builder.emit("tl.mbarrier_meet", place)


def _to_block(builder: Builder, tiles: list[ir.Value], options: dict[str, Any]) -> None:
    if options["dst_block"] is None:
        raise TileTypeError(
            "T.copy_cluster between shared tiles needs dst_block=",
            hint="dst_block is the rank of the block that gets the tile, remote_barrier where it waits for it",
        )
    rank = int32_value(builder, options["dst_block"])
    if options["remote_barrier"] is None:
        builder.emit("tl.cluster_store", [*tiles, rank])
        return
    _, place = barrier_operands("T.copy_cluster", options["remote_barrier"])
    builder.emit("tl.cluster_copy", [*tiles, *place, rank])


def pdl_trigger() -> None:
    """Let the kernels behind this one start: their blocks may run from now on, up to their `T.pdl_sync`."""
    intrinsic("T.pdl_trigger", "launch_dependents")


def pdl_sync() -> None:
    """Wait until the kernels ahead of this one have ended and what they wrote is visible.

    A kernel with this wait is launched without waiting for the one ahead; before it, it may read only what no kernel
    ahead writes.
    """
    intrinsic("T.pdl_sync", "wait_dependencies")


def get_cluster_dims() -> tuple[int, ...]:
    """Blocks per cluster in every dimension of the grid; ones without clusters."""
    kernel = _kernel("T.get_cluster_dims")
    return (kernel.cluster_dims or (1, 1, 1))[: len(kernel.blocks)]


def get_cluster_size() -> int:
    """Blocks per cluster."""
    return math.prod(get_cluster_dims())


def get_cluster_ids() -> list[Any]:
    """The block's cluster in the grid of clusters, per dimension.

        with T.ClusterKernel(8, cluster_dims=2, threads=128) as bx:
            A[bx] = T.get_cluster_id(0)  # bx // 2
    """
    kernel = _kernel("T.get_cluster_ids")
    return [arith.floordiv(index, size) for index, size in zip(kernel.indices, get_cluster_dims(), strict=True)]


def get_cluster_id(dim: int = 0) -> Any:
    """One dimension of `T.get_cluster_ids`.

    Raises:
        TileValueError: the grid has no such dimension.
    """
    return _dimension("T.get_cluster_id", get_cluster_ids(), dim)


def get_cluster_extents() -> list[Any]:
    """How many clusters the grid has, per dimension."""
    kernel = _kernel("T.get_cluster_extents")
    return [arith.ceildiv(blocks, size) for blocks, size in zip(kernel.blocks, get_cluster_dims(), strict=True)]


def get_cluster_extent(dim: int = 0) -> Any:
    """One dimension of `T.get_cluster_extents`.

    Raises:
        TileValueError: the grid has no such dimension.
    """
    return _dimension("T.get_cluster_extent", get_cluster_extents(), dim)


def _kernel(what: str) -> Kernel:
    return current_kernel(what)[1]


def _dimension(what: str, values: list[Any], dim: int) -> Any:
    if not 0 <= dim < len(values):
        raise TileValueError(f"{what}: dimension {dim} of a grid of {len(values)}")
    return values[dim]
