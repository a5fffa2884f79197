"""Threads by the names of their axes, and reductions over an axis: what scripts of TVM's say."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any

from tilelang_mlir.errors import TileError, TileTypeError, TileValueError, UnsupportedError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.buffer import Buffer, Element, store
from tilelang_mlir.frontend.control import branch
from tilelang_mlir.frontend.expr import Expr, as_expr, describe
from tilelang_mlir.language.alloc import alloc_fragment, alloc_global, alloc_local, alloc_shared
from tilelang_mlir.language.kernel import current_kernel, get_block_binding, get_thread_binding, linear_thread
from tilelang_mlir.language.sync import (
    in_kernel,
    shfl_down,
    shfl_sync,
    shfl_up,
    shfl_xor,
    sync_grid,
    sync_threads,
    sync_warp,
)

_AXES = {f"{kind}Idx.{axis}": (kind, dim) for kind in ("thread", "block") for dim, axis in enumerate("xyz")}
_WARP = 32


class AxisIndex(Expr):
    """An index along an axis; a for statement over it runs once, with the index."""

    __slots__ = ()

    def run_loop(self, names: Sequence[str], state: Any) -> Iterator[Any]:
        del names, state
        yield self


def thread_binding(start: Any, stop: Any = None, thread: str = "threadIdx.x", **_: Any) -> Any:
    """The index of the thread (`threadIdx.x`) or block (`blockIdx.x`) along an axis of the running kernel.

        tx = T.thread_binding(0, 128, thread="threadIdx.x")

    Args:
        start, stop: the extent of the axis, `0, n` or `n`: what `T.Kernel` says of it.

    Raises:
        TileValueError: no such axis, or another extent than the kernel's.
    """
    kernel = current_kernel("T.thread_binding")[1]
    if isinstance(stop, str):  # (n, "threadIdx.x")
        thread, stop = stop, None
    start, stop = (0, start) if stop is None else (start, stop)
    if thread not in _AXES:
        raise TileValueError(f"T.thread_binding: no axis {thread!r}", hint=f"axes are {', '.join(_AXES)}")
    kind, dim = _AXES[thread]
    given: Sequence[Any] = kernel.threads if kind == "thread" else kernel.blocks
    extent = given[dim] if dim < len(given) else 1
    if not (start == 0) or (isinstance(stop, int) and isinstance(extent, int) and stop != extent):
        raise TileValueError(
            f"T.thread_binding: {thread} goes from {describe(start)} to {describe(stop)}, the kernel has {extent}",
            hint="T.Kernel says how many threads and blocks there are",
        )
    index = get_thread_binding(dim) if kind == "thread" else get_block_binding(dim)
    return AxisIndex(index.dtype, value=index.value, frame=index.frame, nonneg=True, key=index.key)


def alloc_buffer(shape: Any, dtype: Any = "float32", data: Any = None, strides: Any = None, elem_offset: Any = None,
                 scope: str = "global", **options: Any) -> Buffer:  # fmt: skip
    """A buffer in a scope: `T.alloc_shared`, `T.alloc_fragment`, `T.alloc_local` or, by default, `T.alloc_global`.

    Raises:
        TileValueError: an unknown scope. UnsupportedError: an offset, strides, or memory of another buffer.
    """
    if data is not None or strides is not None or elem_offset not in (None, 0):
        raise UnsupportedError(
            "T.alloc_buffer(data=, strides=, elem_offset=)", hint="T.view gives a buffer another shape"
        )
    del options
    makers: dict[str, Callable[..., Buffer]] = {
        "shared": alloc_shared, "local.fragment": alloc_fragment, "fragment": alloc_fragment, "local": alloc_local,
    }  # fmt: skip
    if scope == "global":
        return alloc_global(shape, dtype)
    maker = makers.get(scope, alloc_shared)  # which refuses scopes it does not know
    return maker(shape, dtype, scope=scope)


class comm_reducer:
    """How `T.tvm_thread_allreduce` combines values: a function and the value that changes nothing.

        T.comm_reducer(lambda x, y: x + y, [T.float32(0)])
    """

    def __init__(self, combiner: Callable[..., Any], identity: Any) -> None:
        self.combiner = combiner
        self.identity = list(identity) if isinstance(identity, list | tuple) else [identity]

    def combine(self, left: Sequence[Any], right: Sequence[Any]) -> list[Any]:
        """The combination of two tuples of values."""
        result = self.combiner(*left, *right)
        return list(result) if isinstance(result, list | tuple) else [result]


CommReducer = comm_reducer


class attr:
    """`with T.attr(T.comm_reducer(...), "reduce_scope", ...):` how a thread reduction inside combines values.

    `with T.attr(node, "async_scope", 1):` has no effect: stores inside are made at once.

    Raises:
        UnsupportedError: any other attribute; they steer passes of TVM.
    """

    def __init__(self, node: Any, attr_key: str, value: Any = None) -> None:
        del value
        self.side = in_kernel("T.attr").side
        if attr_key == "async_scope":
            self.reducer = self.side.get("reduce_scope")
            return
        if attr_key != "reduce_scope":
            raise UnsupportedError(f"T.attr: the attribute {attr_key!r} is internal to TVM",
                                   hint='"reduce_scope" around T.tvm_thread_allreduce is the one kernels use')
        if not isinstance(node, comm_reducer):
            raise TileTypeError(f'T.attr(..., "reduce_scope") needs a T.comm_reducer, got {describe(node)}',
                                hint="T.comm_reducer(lambda x, y: x + y, [T.float32(0)])")
        self.reducer: comm_reducer | None = node

    def __enter__(self) -> None:
        self.before = self.side.get("reduce_scope")
        self.side["reduce_scope"] = self.reducer

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.side["reduce_scope"] = self.before


def tvm_thread_allreduce(size: Any, *args: Any, dtype: Any = None) -> None:
    """Combine values over the threads along thread axes; all of them get the result.

        with T.attr(T.comm_reducer(lambda x, y: x + y, [T.float32(0)]), "reduce_scope", ...):
            T.tvm_thread_allreduce(T.uint32(1), value, True, result[0], tk)

    Args:
        size: how many values each thread has, n.
        args: the n values, a condition (a thread where it is false adds nothing), the n elements that get the results,
            and the thread indices to reduce over.

    Raises:
        TileError: there is no `T.attr(T.comm_reducer(...), "reduce_scope", ...)` around it.
        TileTypeError: an argument is none of these.
    """
    del dtype
    builder, kernel = current_kernel("T.tvm_thread_allreduce")
    reducer = builder.side.get("reduce_scope")
    if reducer is None:
        raise TileError("T.tvm_thread_allreduce outside of a reduce_scope",
                        hint='with T.attr(T.comm_reducer(f, [identity]), "reduce_scope", ...):')
    count = operator.index(size)
    if len(args) < 2 * count + 2:
        raise TileTypeError(f"T.tvm_thread_allreduce of {count} values got {len(args)} arguments after their number")
    values, (condition, *rest) = list(args[:count]), args[count:]
    results, axes = rest[:count], [_axis(axis) for axis in rest[count:]]
    for result in results:
        if not isinstance(result, Element):
            raise TileTypeError(f"a result of T.tvm_thread_allreduce must be an element, got {describe(result)}")
    identity = [arith.cast(as_expr(item), value.dtype) for item, value in zip(reducer.identity, values, strict=True)]
    if condition is not True:
        values = [arith.select(arith.to_bool(condition), v, i) for v, i in zip(values, identity, strict=True)]
    values = [as_expr(value) for value in values]
    extents = [kernel.threads[dim] for dim in axes]
    if axes == [0] and extents[0] <= _WARP and extents[0] & (extents[0] - 1) == 0:
        values = _within_warps(reducer, values, extents[0])
    else:
        values = _through_shared(reducer, values, axes, kernel.threads)
    for result, value in zip(results, values, strict=True):
        store(result, value)


def _axis(index: Any) -> int:
    """The dimension of a thread index."""
    for dim in range(3):
        if isinstance(index, Expr) and index.key == get_thread_binding(dim).key:
            return dim
    raise TileTypeError(f"T.tvm_thread_allreduce reduces over thread indices, got {describe(index)}",
                        hint='T.get_thread_binding(0) or T.thread_binding(0, n, "threadIdx.x")')


def _within_warps(reducer: comm_reducer, values: list[Any], extent: int) -> list[Any]:
    step = extent // 2
    while step:
        values = reducer.combine(values, [shfl_xor(value, step) for value in values])
        step //= 2
    return values


def _through_shared(
    reducer: comm_reducer, values: list[Any], axes: list[int], threads: tuple[int, int, int]
) -> list[Any]:
    """A tree over the axes in shared memory, which has a place per thread and value."""
    place = linear_thread()
    strides = (1, threads[0], threads[0] * threads[1])
    buffers = [alloc_shared((threads[0] * threads[1] * threads[2],), value.dtype) for value in values]
    for buffer, value in zip(buffers, values, strict=True):
        store(buffer[place], value)
    sync_threads()
    first: Any = place
    for dim in axes:
        index, extent = get_thread_binding(dim), threads[dim]
        while extent > 1:
            half = (extent + 1) // 2
            inside = arith.compare("Lt", index, extent - half)
            for _ in branch(in_kernel("T.tvm_thread_allreduce"), inside, has_else=False):
                other = arith.add(place, half * strides[dim])
                mine = [buffer[place].read() for buffer in buffers]
                sums = reducer.combine(mine, [buffer[other].read() for buffer in buffers])
                for buffer, value in zip(buffers, sums, strict=True):
                    store(buffer[place], value)
            sync_threads()
            extent = half
        first = arith.sub(first, arith.mul(index, strides[dim]))
    found = [buffer[first].read() for buffer in buffers]
    sync_threads()
    return found


def tvm_warp_shuffle(mask: Any, value: Any, warp_id: Any, width: Any = _WARP, warp_size: Any = _WARP) -> Expr:
    """The value of lane `warp_id`: `T.shfl_sync`."""
    del warp_size
    return shfl_sync(mask, value, warp_id, width)


def tvm_warp_shuffle_up(mask: Any, value: Any, offset: Any, width: Any = _WARP, warp_size: Any = _WARP) -> Expr:
    """The value of the lane `offset` below: `T.shfl_up`."""
    del warp_size
    return shfl_up(value, offset, width, mask)


def tvm_warp_shuffle_down(mask: Any, value: Any, offset: Any, width: Any = _WARP, warp_size: Any = _WARP) -> Expr:
    """The value of the lane `offset` above: `T.shfl_down`."""
    del warp_size
    return shfl_down(value, offset, width, mask)


def tvm_storage_sync(scope: str = "shared") -> None:
    """A barrier of the block (`shared`), the warp (`warp`) or the grid (`global`).

    Raises:
        TileValueError: another scope.
    """
    barriers: dict[str, Callable[[], None]] = {
        "shared": sync_threads, "shared.dyn": sync_threads, "warp": sync_warp, "global": sync_grid,
    }  # fmt: skip
    if scope not in barriers:
        raise TileValueError(f"T.tvm_storage_sync: scope {scope!r}", hint=f"scopes are {', '.join(barriers)}")
    barriers[scope]()
