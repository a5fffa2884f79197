"""Asynchronous copies, products and registers that a program schedules itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend.buffer import buffer_of, extents_of, memory_of, tile_of
from tilelang_mlir.frontend.expr import describe
from tilelang_mlir.language.copy import EVICTION, matching_extents
from tilelang_mlir.language.gemm import GemmWarpPolicy, emit_gemm
from tilelang_mlir.language.intrinsic import count, intrinsic
from tilelang_mlir.language.marks import takes_name
from tilelang_mlir.language.sync import barrier_operands, in_kernel
from tilelang_mlir.mlir import ir

_WARP = 32


@takes_name
def tma_copy(
    src: Any,
    dst: Any,
    *,
    barrier: Any = None,
    cluster_mask: int | None = None,
    leader_scope_threads: int | None = None,
    eviction_policy: str | None = None,
    annotations: dict[str, Any] | None = None,
) -> None:
    """Start copying a tile with the tensor memory accelerator; nothing waits for it.

    From device to shared memory one thread announces the tile's bytes at `barrier` and issues the copy; the program
    arrives there (`T.mbarrier_arrive`) and waits (`T.mbarrier_wait_parity`). Where nothing else in the kernel arrives
    at the barrier, the copy arrives too. From shared to device memory the copy is one bulk group: wait with
    `T.tma_store_wait`. Out of bounds reads as zero and is not written.

        bar = T.alloc_barrier(128)
        T.tma_copy(A[by * 64, 0], A_shared, barrier=bar)
        T.mbarrier_arrive(bar)
        T.mbarrier_wait_parity(bar, 0)

    With `cluster_mask` every block of the cluster reaches the call and announces its bytes; the block of the lowest
    rank in the mask copies its tile into all of the mask (multicast), those outside of it copy their own. The program
    sees to it that the tiles of all of them are free; barriers of either kind are initialised in all of them.

    Args:
        barrier: needed for loads. cluster_mask: ranks, as bits. leader_scope_threads: of every so many threads (a
            multiple of 32) one copies a tile of its own; without it one of all that reach the call.
        eviction_policy: evict_normal, evict_first or evict_last: how long the L2 cache keeps the tile.

    Raises:
        TileValueError: the shapes differ, or a mask, a policy or a number of threads that there is not.
        TileTypeError: the memories are not device and shared, or a load has no barrier.
        UnsupportedError: when compiled, for a tile the hardware cannot copy; it says which rule failed.
    """
    options = {"barrier": barrier, "eviction_policy": eviction_policy, "cluster_mask": cluster_mask}
    options |= {"leader_scope_threads": leader_scope_threads} | (annotations or {})
    builder = in_kernel("T.tma_copy")
    source, target = buffer_of(src, "the source of T.tma_copy"), buffer_of(dst, "the target of T.tma_copy")
    memories = (source.memory, target.memory)
    if memories not in (("global", "shared"), ("shared", "global")):
        raise TileTypeError(
            f"T.tma_copy copies between device and shared memory, got {memories[0]} to {memories[1]}",
            hint="T.copy takes every pair",
        )
    if source.dtype != target.dtype:
        raise TileTypeError(f"T.tma_copy does not convert: the source is {source.dtype}, the target {target.dtype}")
    extents = matching_extents("T.tma_copy", src, dst)
    tiles = [tile_of(side, "a side of T.tma_copy", extents) for side in (src, dst)]
    attributes = bulk_attributes("T.tma_copy", options)
    if memories[0] == "shared":
        if "multicast" in attributes:
            raise TileTypeError("T.tma_copy with cluster_mask loads from device memory", hint="stores go to one place")
        builder.emit("tl.tma_store", tiles, [], attributes)
        return
    if options["barrier"] is None:
        raise TileTypeError("a load with T.tma_copy needs barrier=", hint="make one with T.alloc_barrier")
    _, place = barrier_operands("T.tma_copy", options["barrier"])
    builder.emit("tl.tma_load", [*tiles, *place], [], attributes)


def bulk_attributes(what: str, options: Mapping[str, Any]) -> dict[str, ir.Attribute]:
    """Attributes of a bulk copy that all threads reach, from `eviction_policy`, `cluster_mask` and, where there is one,
    `leader_scope_threads`.

    Raises:
        TileValueError: no such policy, no ranks, or parts of warps.
    """
    attributes: dict[str, ir.Attribute] = {"explicit": ir.UnitAttr.get()}
    policy, mask = options["eviction_policy"], options["cluster_mask"]
    if policy is not None:
        if policy not in EVICTION:
            raise TileValueError(f"eviction_policy must be one of {', '.join(EVICTION)}, got {policy!r}")
        attributes["eviction"] = ir.StringAttr.get(policy)
    if mask is not None:
        attributes["multicast"] = ir.IntegerAttr.get(ir.IntegerType.get_signless(32), ranks(what, mask))
    threads = options.get("leader_scope_threads")
    if threads is not None:
        if isinstance(threads, bool) or not isinstance(threads, int) or threads <= 0 or threads % _WARP:
            raise TileValueError(f"{what}: leader_scope_threads is a multiple of {_WARP}, got {describe(threads)}")
        attributes["leaders"] = ir.IntegerAttr.get(ir.IntegerType.get_signless(32), threads)
    return attributes


def ranks(what: str, mask: Any) -> int:
    """Ranks of a cluster as bits.

    Raises:
        TileValueError: no integer of 1 or more, or of more than 16 bits.
    """
    if isinstance(mask, bool) or not isinstance(mask, int) or not 0 < mask < 1 << 16:
        raise TileValueError(
            f"{what}: cluster_mask is a bit per block of the cluster, got {describe(mask)}",
            hint="0b0011 stands for the blocks of ranks 0 and 1",
        )
    return mask


def tma_prefetch(src: Any) -> None:
    """Bring a tile of device memory into the L2 cache with the tensor memory accelerator; nothing waits for it.

    A hint: nothing happens on targets without such copies, and for tiles that they cannot copy.

        T.tma_prefetch(A[by * 64 : by * 64 + 64, 0:64])

    Raises:
        TileTypeError: no slice or whole tensor in device memory.
    """
    builder = in_kernel("T.tma_prefetch")
    source = buffer_of(src, "the source of T.tma_prefetch")
    if source.memory != "global":
        raise TileTypeError(f"T.tma_prefetch brings device memory into the L2 cache, got {source!r}")
    extents = extents_of(src)
    if extents is None:
        raise TileTypeError("T.tma_prefetch needs a slice", hint="write A[i : i + 64, j : j + 64]")
    builder.emit("tl.prefetch", [tile_of(src, "the source of T.tma_prefetch", extents)])


def fence_proxy_async(*args: Any) -> None:
    """Order this thread's accesses to memory before later asynchronous ones: bulk copies, stores, products.

    The compiler puts these fences where its own operations need them, for shared memory: a program that writes device
    memory with ordinary stores and reads it with bulk copies in the same kernel needs this one. Older programs pass
    arguments, which say nothing.
    """
    in_kernel("T.fence_proxy_async").emit("tl.fence_proxy", [], [], {"device": ir.UnitAttr.get()})


def ptx_fence_barrier_init() -> None:
    """Make the barriers that this thread has initialised visible to the cluster and to asynchronous copies.

    `T.alloc_barrier` and `T.alloc_cluster_barrier` do so by themselves: calling it is harmless.

    Raises:
        UnsupportedError: when compiled, for a target without barriers in shared memory.
    """
    intrinsic("T.ptx_fence_barrier_init", "barrier_init_fence")


def tma_store_arrive(*args: Any) -> None:
    """Close the group of the bulk stores this thread has started."""
    intrinsic("T.tma_store_arrive", "bulk_commit")


def tma_store_wait(count: int = 0, read: bool = True) -> None:
    """Wait until at most `count` groups of this thread's bulk stores still read their shared tiles.

    With `read=False` until their writes to device memory are visible too.

    Raises:
        TileValueError: the count is no Python integer of 0 or more.
    """
    attributes: dict[str, ir.Attribute] = {"explicit": ir.UnitAttr.get()}
    attributes["pending"] = _pending("T.tma_store_wait", count)
    if not read:
        attributes["complete"] = ir.UnitAttr.get()
    in_kernel("T.tma_store_wait").emit("tl.tma_wait", [], [], attributes)


def cp_async_barrier_noinc(barrier: Any) -> None:
    """Arrive at a barrier when the cp.async copies that this thread has started are complete (`T.async_copy`)."""
    builder, operands = barrier_operands("T.cp_async_barrier_noinc", barrier)
    builder.emit("tl.mbarrier_arrive", operands, [], {"copies": ir.UnitAttr.get()})


@takes_name
def wgmma_gemm(
    A: Any,
    B: Any,
    C: Any,
    transpose_A: bool = False,
    transpose_B: bool = False,
    policy: GemmWarpPolicy = GemmWarpPolicy.Square,
    clear_accum: Any = False,
    annotations: dict[str, Any] | None = None,
) -> None:
    """Start `C += op(A) @ op(B)` as one group of warpgroup products; wait for it with `T.wait_wgmma`.

    Operands are as in `T.gemm`. Until the wait, C may only be added to by further products, and A and B not changed.

    Raises:
        TileValueError, TileTypeError: as `T.gemm`. UnsupportedError: when compiled, where wgmma cannot run it.
    """
    del annotations
    in_kernel("T.wgmma_gemm")
    emit_gemm("T.wgmma_gemm", A, B, C, transpose_A, transpose_B, policy, clear_accum, asynchronous=True)


wgmma_mma = wgmma_gemm


def wait_wgmma(id: int, *sums: Any) -> None:
    """Wait until at most `id` groups of warpgroup products are unfinished.

    The program may read the sums of the finished ones then. Which those are is not followed through loops: `sums` says
    so, and the registers of all others stay with the products that are under way.

        T.wgmma_gemm(A_shared, B_shared, C, clear_accum=True)
        T.wgmma_gemm(A_shared, D_shared, E)
        T.wait_wgmma(1, C)  # E goes on

    Args:
        id: groups, counted from the last one.
        sums: fragments whose products end here; all that were started when none is named.

    Raises:
        TileValueError: the number is no Python integer of 0 or more. TileTypeError: sums that are no fragments.
    """
    builder = in_kernel("T.wait_wgmma")
    pending = {"pending": _pending("T.wait_wgmma", id)}
    fragments = [buffer_of(value, "the sum of T.wait_wgmma") for value in sums]
    for fragment in fragments:
        if fragment.memory != "fragment":
            raise TileTypeError(f"T.wait_wgmma waits for sums in fragments, got {fragment!r}")
        builder.emit("tl.wait_products", [memory_of(fragment)], [], pending)
    if not fragments:
        builder.emit("tl.wait_products", [], [], pending)


def warpgroup_wait(num_mma: int) -> None:
    """Wait until at most `num_mma` groups of warpgroup products are unfinished: `T.wait_wgmma`."""
    in_kernel("T.warpgroup_wait").emit("tl.wait_products", [], [], {"pending": _pending("T.warpgroup_wait", num_mma)})


def warpgroup_arrive() -> None:
    """Order registers and shared memory of this thread before later warpgroup products; `T.wgmma_gemm` does it too."""
    intrinsic("T.warpgroup_arrive", "wgmma_fence")


def warpgroup_commit_batch() -> None:
    """Close the group of warpgroup products started so far; `T.wgmma_gemm` closes its own."""
    intrinsic("T.warpgroup_commit_batch", "wgmma_commit")


def warpgroup_fence_operand(buffer_or_ptr: Any, offset: Any = 0, num_regs: Any = None, dtype: Any = None) -> None:
    """Keep uses of an accumulator behind the products that write it.

    Accumulators flow through the waits here, so that there is nothing to fence; the arguments are checked.
    """
    del offset, num_regs, dtype
    in_kernel("T.warpgroup_fence_operand")
    buffer = buffer_of(buffer_or_ptr, "the operand of T.warpgroup_fence_operand")
    if buffer.memory not in ("fragment", "local"):
        raise TileTypeError(
            f"T.warpgroup_fence_operand fences registers, got {buffer!r}", hint="the accumulator: T.alloc_fragment"
        )


def set_max_nreg(reg_count: int, is_inc: int) -> None:
    """Set the registers per thread of the warpgroup: more when `is_inc`, else fewer. All its threads must reach it.

    Raises:
        TileValueError: the count is not a multiple of 8 from 24 to 256.
    """
    _set_registers("T.set_max_nreg", reg_count, bool(is_inc))


def inc_max_nreg(reg_count: int) -> None:
    """`T.set_max_nreg(reg_count, 1)`."""
    _set_registers("T.inc_max_nreg", reg_count, True)


def dec_max_nreg(reg_count: int) -> None:
    """`T.set_max_nreg(reg_count, 0)`."""
    _set_registers("T.dec_max_nreg", reg_count, False)


def _set_registers(what: str, number: Any, increase: bool) -> None:
    if isinstance(number, bool) or not isinstance(number, int) or number % 8 or not 24 <= number <= 256:
        raise TileValueError(f"{what} needs a multiple of 8 from 24 to 256, got {describe(number)}")
    intrinsic(what, "set_registers", attributes={"count": number, "increase": int(increase)})


def _pending(what: str, number: Any) -> ir.Attribute:
    return ir.IntegerAttr.get(ir.IntegerType.get_signless(32), count(what, number))
