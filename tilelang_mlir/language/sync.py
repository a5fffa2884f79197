"""Barriers, shuffles and votes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.buffer import int32_value
from tilelang_mlir.frontend.builder import Builder, require
from tilelang_mlir.frontend.expr import INT32, Expr, as_expr, describe, value_of
from tilelang_mlir.language.alloc import Barrier, Barriers
from tilelang_mlir.language.kernel import get_lane_idx as lane
from tilelang_mlir.mlir import ir

FULL_MASK = 0xFFFFFFFF
_UINT64 = DType("uint64")


def _i32(value: int) -> ir.Attribute:
    return ir.IntegerAttr.get(ir.IntegerType.get_signless(32), value)


def in_kernel(what: str) -> Builder:
    builder = require(what)
    builder.require_launch(what)
    return builder


def sync_threads(barrier_id: Any = None, arrive_count: Any = None) -> None:
    """Barrier of the block's threads, or a named barrier of `arrive_count` of them.

    In a branch on the thread index that whole warps take (`if tx < 128:`) and in `T.ws` it is the barrier of those
    threads; with the pass configuration `tl.disable_thread_storage_sync` that of the block there too, which every
    branch then has to come by. The number may be a value of the running kernel, the same in all threads of a warp.

    Raises:
        TileValueError: the barrier is none of 0 to 15, or the threads are no whole warps.
    """
    if isinstance(barrier_id, int) and barrier_id > 15:
        raise TileValueError(f"T.sync_threads: a block has barriers 0 to 15, got {barrier_id}", hint="number 1 and up")
    if isinstance(arrive_count, int) and (arrive_count % 32 or not arrive_count):
        raise TileValueError(
            f"T.sync_threads: arrive_count is a positive multiple of 32, got {arrive_count}", hint="whole warps arrive"
        )
    attributes, operands = {}, []
    builder = in_kernel("T.sync_threads")
    if isinstance(barrier_id, Expr) and barrier_id.const is None and isinstance(arrive_count, int):
        operands, barrier_id = [int32_value(builder, barrier_id)], None
        attributes["id"] = _i32(-1)
    for name, value in (("id", barrier_id), ("count", arrive_count)):
        if value is not None:
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise TileValueError(
                    f"T.sync_threads: {name} must be a Python integer of 0 or more, got {describe(value)}"
                )
            attributes[name] = _i32(value)
    builder.emit("tl.sync_threads", operands, [], attributes)


def sync_warp(mask: Any = None) -> None:
    """Barrier of the warp's threads, or of the lanes in a mask."""
    builder = in_kernel("T.sync_warp")
    builder.emit("tl.sync_warp", [] if mask is None else [int32_value(builder, mask)])


def sync_grid() -> None:
    """Barrier of all blocks of the kernel."""
    in_kernel("T.sync_grid").emit("tl.sync_grid")


def sync_global() -> None:
    """Barrier of all blocks of the kernel, under its older name: `T.sync_grid`."""
    in_kernel("T.sync_global").emit("tl.sync_grid")


def _members(builder: Builder, mask: Any) -> list[ir.Value]:
    """The operand for a mask of lanes; none for all of them."""
    if isinstance(mask, int):
        if not -1 <= mask <= FULL_MASK or mask == 0:
            raise TileValueError(f"a mask of lanes has 32 bits, got {describe(mask)}", hint="0xFFFF: the lower half")
        mask = mask - (FULL_MASK + 1) if mask > FULL_MASK >> 1 else mask
        return [] if mask == -1 else [int32_value(builder, mask)]
    return [value_of(builder, arith.cast(arith.cast(as_expr(mask), DType("uint32")), INT32))]


def _shuffle(kind: str, value: Any, lane_or_delta: Any, width: Any, mask: Any) -> Expr:
    builder = in_kernel(f"T.shfl_{kind}")
    width = 32 if width is None else width
    if not isinstance(width, int) or width < 1 or width > 64 or width & (width - 1):
        raise TileValueError(f"T.shfl_{kind}: width must be a power of two up to 64, got {describe(width)}")
    operand = as_expr(value)
    attributes = {"kind": ir.StringAttr.get(kind), "width": _i32(width)}
    values = [value_of(builder, operand), int32_value(builder, lane_or_delta), *_members(builder, mask)]
    op = builder.emit("tl.shuffle", values, [builder.type(operand.dtype)], attributes)
    return Expr(operand.dtype, value=op.results[0], frame=builder.frame)


def _distance(name: str, delta: Any, offset: Any) -> Any:
    """What is given under either name."""
    if (delta is None) == (offset is None):
        raise TileTypeError(f"T.{name} needs the distance once", hint=f"T.{name}(value, delta)")
    return offset if delta is None else delta


def shfl_xor(value: Any, delta: Any = None, width: int = 32, mask: Any = FULL_MASK, *, offset: Any = None) -> Expr:
    """The value of the lane whose index differs by the bits of `delta`, which may be called `offset`.

    Lanes are in groups of `width`; `mask` names those that execute it together.
    """
    return _shuffle("xor", value, _distance("shfl_xor", delta, offset), width, mask)


def shfl_down(value: Any, delta: Any = None, width: int = 32, mask: Any = FULL_MASK, *, offset: Any = None) -> Expr:
    """The value of the lane `delta` (or `offset`) above."""
    return _shuffle("down", value, _distance("shfl_down", delta, offset), width, mask)


def shfl_up(value: Any, delta: Any = None, width: int = 32, mask: Any = FULL_MASK, *, offset: Any = None) -> Expr:
    """The value of the lane `delta` (or `offset`) below."""
    return _shuffle("up", value, _distance("shfl_up", delta, offset), width, mask)


def shfl_sync(
    *args: Any, width: int | None = None, mask: Any = FULL_MASK, value: Any = None, srcLane: Any = None
) -> Expr:
    """The value of one lane: `(value, lane, width=32, mask=full)`, or the older `(mask, value, lane, width=32)`.

    The value and the lane may be given by name.
    """
    rest: list[Any] = list(args)
    if srcLane is not None or value is not None:
        if rest and value is None:
            value = rest.pop()
        mask = rest.pop(0) if rest else mask
        rest = [*rest, value, srcLane]
    if not 2 <= len(rest) <= 4 or any(item is None for item in rest):
        raise TileTypeError(f"T.shfl_sync takes 2 to 4 arguments, got {len(rest)}")
    if isinstance(rest[0], int) and len(rest) >= 3 and not isinstance(rest[1], int):
        mask = rest.pop(0)
    elif len(rest) == 4:
        mask = rest.pop(3)
    item, source = rest.pop(0), rest.pop(0)
    return _shuffle("idx", item, source, rest[0] if rest else width, mask)


def _vote(what: str, kind: str, args: list[Any], dtype: DType, result: DType, mask: Any = FULL_MASK) -> Expr:
    builder = in_kernel(what)
    members = _members(builder, mask)
    if members and dtype == DType("bool"):
        dtype = INT32  # the predicate has the mask's type
    values = [value_of(builder, arith.cast(as_expr(arg), dtype)) for arg in args]
    op = builder.emit("tl.vote", [*values, *members], [builder.type(result)], {"kind": ir.StringAttr.get(kind)})
    return Expr(result, value=op.results[0], frame=builder.frame)


def _predicate(what: str, value: Any) -> Any:
    test = arith.to_bool(value)
    if isinstance(value, Expr) and value.dtype.is_float:
        raise TileTypeError(f"{what} needs an integer or bool predicate, got {value.dtype}")
    return test


def _warp_vote(name: str, kind: str, result: DType) -> Callable[..., Expr]:
    def run(predicate: Any, mask: Any = FULL_MASK) -> Expr:
        return _vote(f"T.{name}", kind, [_predicate(f"T.{name}", predicate)], DType("bool"), result, mask)

    run.__name__, run.__doc__ = name, f"Warp vote: {kind} of a predicate, among the lanes of a mask."
    return run


def _block_vote(name: str, kind: str) -> Callable[..., Expr]:
    def run(predicate: Any) -> Expr:
        return _vote(f"T.{name}", kind, [_predicate(f"T.{name}", predicate)], DType("bool"), INT32)

    run.__name__, run.__doc__ = name, f"Vote of the block's threads: {kind.removeprefix('block_')} of a predicate."
    return run


any_sync = _warp_vote("any_sync", "any", INT32)
all_sync = _warp_vote("all_sync", "all", INT32)
ballot_sync = _warp_vote("ballot_sync", "ballot", _UINT64)
ballot = _warp_vote("ballot", "ballot", _UINT64)
syncthreads_count = _block_vote("syncthreads_count", "block_count")
syncthreads_and = _block_vote("syncthreads_and", "block_and")
syncthreads_or = _block_vote("syncthreads_or", "block_or")


def activemask() -> Expr:
    """The lanes of the warp that run together, as a bit mask."""
    return _vote("T.activemask", "activemask", [], INT32, _UINT64)


def match_any_sync(value: Any, mask: Any = FULL_MASK, dtype: str = "uint32") -> Expr:
    """The lanes that have the same value, as a bit mask of the type `dtype` (`uint64` where a wave has 64 lanes)."""
    return _match("any", value, mask, dtype)


def match_all_sync(value: Any, mask: Any = FULL_MASK, dtype: str = "uint32") -> Expr:
    """The full mask when all lanes have the same value, else zero; `dtype` as in `T.match_any_sync`."""
    return _match("all", value, mask, dtype)


def _match(kind: str, value: Any, mask: Any, dtype: str) -> Expr:
    if dtype not in ("uint32", "uint64"):
        raise TileValueError(f"T.match_{kind}_sync: a mask is of dtype uint32 or uint64, got {describe(dtype)}")
    return _vote(f"T.match_{kind}_sync", f"match_{kind}", [value], as_expr(value).dtype, DType(dtype), mask)


# Mbarriers.


def barrier_operands(what: str, barrier: Any) -> tuple[Builder, list[ir.Value]]:
    """The operands that name one mbarrier: its array and its index (i32).

    Raises:
        TileTypeError: it is none of `T.alloc_barrier`, or an array of several.
    """
    builder = in_kernel(what)
    numbered = builder.numbered_barriers.get(builder.require_launch(what))
    if numbered is not None and isinstance(barrier, int | Expr):
        barrier = numbered[barrier]
    if isinstance(barrier, Barriers):
        if len(barrier) != 1:
            raise TileTypeError(f"{what} needs one barrier, got an array of {len(barrier)}", hint="index it: bars[i]")
        barrier = barrier[0]
    if not isinstance(barrier, Barrier):
        raise TileTypeError(f"{what} needs a barrier made by T.alloc_barrier, got {describe(barrier)}")
    return builder, [barrier.array.value, int32_value(builder, barrier.index)]


def mbarrier_arrive(mbarrier: Any, cta_id: Any = None) -> None:
    """Arrive at a barrier, of another block of the cluster with `cta_id`."""
    builder, operands = barrier_operands("T.mbarrier_arrive", mbarrier)
    if cta_id is not None:
        operands.append(int32_value(builder, cta_id))
    builder.emit("tl.mbarrier_arrive", operands)


def mbarrier_expect_tx(mbarrier: Any, tx: Any) -> None:
    """Announce bytes that asynchronous copies will deliver in this phase.

    Raises:
        TileValueError: a number of bytes below zero.
    """
    if isinstance(tx, int) and tx < 0:
        raise TileValueError(f"T.mbarrier_expect_tx takes a number of bytes, got {tx}", hint="0 or more")
    builder, operands = barrier_operands("T.mbarrier_expect_tx", mbarrier)
    builder.emit("tl.mbarrier_expect", [*operands, int32_value(builder, tx)])


def mbarrier_arrive_expect_tx(mbarrier: Any, tx: Any) -> None:
    """Announce bytes and arrive."""
    mbarrier_expect_tx(mbarrier, tx)
    mbarrier_arrive(mbarrier)


def mbarrier_wait_parity(mbarrier: Any, parity: Any) -> None:
    """Block until the phase of the given parity is complete."""
    builder, operands = barrier_operands("T.mbarrier_wait_parity", mbarrier)
    builder.emit("tl.mbarrier_wait", [*operands, int32_value(builder, parity)])


def mbarrier_arrive_state(mbarrier: Any) -> Expr:
    """Arrive at a barrier; what it returns (uint64) says in which phase, for `T.mbarrier_test_wait`.

        state = T.mbarrier_arrive_state(bar)
        while not T.mbarrier_test_wait(bar, state):
            done += 1                             # something else meanwhile

    Raises:
        TileTypeError: no barrier. UnsupportedError: when compiled, for a target without mbarriers.
    """
    builder, operands = barrier_operands("T.mbarrier_arrive_state", mbarrier)
    op = builder.emit("tl.mbarrier_state", operands, [builder.type(_UINT64)])
    return Expr(_UINT64, value=op.results[0], frame=builder.frame)


def mbarrier_test_wait(mbarrier: Any, phase: Any) -> Expr:
    """Whether a phase of a barrier is complete, without waiting (`mbarrier.test_wait`); bool.

    A test that succeeds orders what follows after the phase, as `T.mbarrier_wait_parity` does.

    Args:
        phase: a parity, 0 or 1, or the uint64 that `T.mbarrier_arrive_state` returned.

    Raises:
        TileTypeError: no barrier, or a phase that is no integer. UnsupportedError: when compiled, for a target without
        mbarriers.
    """
    what = "T.mbarrier_test_wait"
    builder, operands = barrier_operands(what, mbarrier)
    by_state = isinstance(phase, Expr) and phase.dtype == _UINT64
    if isinstance(phase, Expr) and not phase.dtype.is_integer:
        raise TileTypeError(f"{what}: the phase is a parity or a state of dtype uint64, got {describe(phase)}")
    place = value_of(builder, phase) if by_state else int32_value(builder, phase)
    op = builder.emit("tl.mbarrier_test", [*operands, place], [builder.type(DType("bool"))])
    return Expr(DType("bool"), value=op.results[0], frame=builder.frame)


def barrier_arrive(mbarrier: Any, cta_id: Any = None) -> None:
    """Arrive at a barrier: `T.mbarrier_arrive`."""
    mbarrier_arrive(mbarrier, cta_id)


def barrier_wait(mbarrier: Any, parity: Any) -> None:
    """Block until the phase of the given parity is complete: `T.mbarrier_wait_parity`."""
    mbarrier_wait_parity(mbarrier, parity)


def ptx_arrive_cluster_barrier(mbarrier: Any, cta_id: Any) -> None:
    """Arrive at the barrier at the same place in another block: `T.mbarrier_arrive(mbarrier, cta_id)`."""
    mbarrier_arrive(mbarrier, cta_id)


def named_barrier_arrive(barrier_id: int, thread_count: int) -> None:
    """Arrive at a named barrier of `thread_count` threads without waiting; others wait with `T.sync_threads`.

    Raises:
        TileValueError: the number is not 1 to 15, or the count no multiple of 32.
    """
    from tilelang_mlir.language.intrinsic import count, intrinsic

    what = "T.named_barrier_arrive"
    if not 1 <= count(what, barrier_id) <= 15:
        raise TileValueError(f"{what}: the barrier is 1 to 15, got {barrier_id}")
    if count(what, thread_count) % 32 or not thread_count:
        raise TileValueError(f"{what}: the thread count is a positive multiple of 32, got {thread_count}")
    intrinsic(what, "named_arrive", attributes={"id": barrier_id, "count": thread_count})


def shuffle_elect(thread_extent: Any) -> Any:
    """True in one thread of each group of `thread_extent` threads, whole warps (0: of the block).

    Raises:
        TileValueError: another number of threads.
    """
    if isinstance(thread_extent, bool) or not isinstance(thread_extent, int) or thread_extent < 0 or thread_extent % 32:
        raise TileValueError(f"T.shuffle_elect needs a number of threads in whole warps, got {describe(thread_extent)}",
                             hint="32, 64, 128; 0 for the whole block")
    from tilelang_mlir.language.kernel import linear_thread

    index = linear_thread()
    if thread_extent:
        index = lane() if thread_extent == 32 else arith.floormod(index, thread_extent)
    return arith.compare("Eq", index, 0)
