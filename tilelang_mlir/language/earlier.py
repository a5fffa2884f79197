"""Names of earlier releases of TileLang: products by version, and the barriers of a kernel by number."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.errors import TileTypeError
from tilelang_mlir.frontend.builder import require
from tilelang_mlir.language.alloc import Barrier, Barriers, alloc_barrier
from tilelang_mlir.language.gemm import gemm
from tilelang_mlir.language.gemm_sparse import gemm_sp

__all__ = ["create_list_of_mbarrier", "gemm_sp_v2", "gemm_v1", "gemm_v2", "get_mbarrier"]

gemm_v1 = gemm_v2 = gemm
gemm_sp_v2 = gemm_sp


def create_list_of_mbarrier(*args: Any) -> Barriers:
    """The barriers of a kernel, given by their arrivals: `T.create_list_of_mbarrier(128, 128)`, or one list of them.

    Other functions take their numbers in the place of barriers: `T.mbarrier_arrive(1)`.

    Raises:
        TileValueError: an arrival count is no positive integer. TileTypeError: the kernel has such barriers already.
    """
    builder = require("T.create_list_of_mbarrier")
    frame = builder.require_launch("T.create_list_of_mbarrier")
    if frame in builder.numbered_barriers:
        raise TileTypeError("a kernel has one list of barriers", hint="T.alloc_barrier makes others")
    counts = args[0] if len(args) == 1 and isinstance(args[0], list | tuple) else args
    barriers = builder.numbered_barriers[frame] = alloc_barrier(counts)
    return barriers


def get_mbarrier(barrier_id: Any) -> Barrier:
    """Barrier `barrier_id` (an integer, of compile time or run time) of `T.create_list_of_mbarrier`.

    Raises:
        TileTypeError: the kernel has no such list. TileValueError: the list is shorter.
    """
    builder = require("T.get_mbarrier")
    barriers = builder.numbered_barriers.get(builder.require_launch("T.get_mbarrier"))
    if barriers is None:
        raise TileTypeError("T.get_mbarrier needs the barriers that T.create_list_of_mbarrier makes")
    return barriers[barrier_id]
