"""Clusters of blocks, and kernels that start before the one ahead has ended."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.frontend.expr import INT32
from tilelang_mlir.language.intrinsic import intrinsic


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


def pdl_trigger() -> None:
    """Let the kernels behind this one start: their blocks may run from now on, up to their `T.pdl_sync`."""
    intrinsic("T.pdl_trigger", "launch_dependents")


def pdl_sync() -> None:
    """Wait until the kernels ahead of this one have ended and what they wrote is visible.

    A kernel with this wait is launched without waiting for the one ahead; before it, it may read only what no kernel
    ahead writes.
    """
    intrinsic("T.pdl_sync", "wait_dependencies")
