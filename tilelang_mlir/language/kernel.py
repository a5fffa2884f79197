"""Kernel launches and what a kernel knows about its place in the grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

from tilelang_mlir.errors import TileError, TileTypeError, TileValueError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.buffer import int32_value
from tilelang_mlir.frontend.builder import Builder, Frame, require
from tilelang_mlir.frontend.expr import INT32, Expr, as_expr, describe
from tilelang_mlir.frontend.sources import add_source
from tilelang_mlir.frontend.template import stop_at_kernel
from tilelang_mlir.frontend.warps import warp_size as warp_size_of
from tilelang_mlir.frontend.wide import index_variable
from tilelang_mlir.mlir import ir

MAX_THREADS = 1024
MAX_CLUSTER = 16
DEFAULT_THREADS = 128


class BlockVar(Expr):
    """The block index of a one-dimensional grid: a scalar that also unpacks into itself, `as (bx,)`."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        yield self


class Kernel:
    """`with T.Kernel(gx[, gy[, gz]], threads=128) as (bx, by, bz):` one kernel; the body is what one block does.

    Without a grid it is one block. `threads` is a number or up to three numbers per block. `cluster_dims` groups blocks
    into clusters, `prelude` is device code (`T.import_source`). Yields the block indices: a scalar for a
    one-dimensional grid, else a tuple.

    Raises:
        TileValueError: a grid or thread count out of range. TileError: nested kernels.
    """

    def __init__(
        self,
        *blocks: Any,
        threads: int | Sequence[int] | None = None,
        prelude: str | None = None,
        cluster_dims: Any = None,
    ) -> None:
        stop_at_kernel()
        blocks = blocks or (1,)
        if len(blocks) > 3:
            raise TileValueError(f"T.Kernel takes up to 3 grid dimensions, got {len(blocks)}")
        for dim, size in enumerate(blocks):
            _check_grid(dim, size)
        self.blocks = blocks
        self.threads = _threads(threads)
        self.cluster_dims = None if cluster_dims is None else _threads(cluster_dims, "cluster_dims")
        self.prelude = prelude
        self.target_names: tuple[str, ...] = ()
        self.indices: tuple[Expr, ...] = ()
        self.frame: Frame | None = None
        self.op: ir.Operation | None = None

    def __enter__(self) -> Any:
        builder = require("T.Kernel")
        if builder.launch() is not None:
            raise TileError("T.Kernel inside another T.Kernel", hint="kernels follow each other in the function")
        if self.prelude is not None:
            add_source(builder, self.prelude)
        builder.forcing += 1
        try:
            grid = [int32_value(builder, size) for size in self.blocks]
        finally:
            builder.forcing -= 1
        suffix = f"_{builder.kernels}" if builder.kernels else ""
        attributes: dict[str, ir.Attribute] = {
            "threads": ir.DenseI32ArrayAttr.get(list(self.threads)),
            "name": ir.StringAttr.get(f"{builder.name}_kernel{suffix}"),
        }
        if self.cluster_dims is not None:
            attributes["cluster"] = ir.DenseI32ArrayAttr.get(list(self.cluster_dims))
        builder.kernels += 1
        op = self.op = builder.emit("tl.launch", grid, [], attributes, regions=1)
        kind = builder.type(INT32)
        locations = [
            builder.named(self.target_names[dim]) if dim < len(self.target_names) else builder.location()
            for dim in range(len(grid))
        ]
        block = op.regions[0].blocks.append(*[kind] * len(grid), arg_locs=locations)
        self.frame = builder.push("launch", block)
        builder.side["kernel"] = self
        maker = BlockVar if len(grid) == 1 else Expr
        indices = [index_variable(builder, maker(INT32, value=argument, frame=self.frame, nonneg=True), size)
                   for argument, size in zip(block.arguments, self.blocks, strict=True)]  # fmt: skip
        self.indices = tuple(maker(i.dtype, value=i.value, frame=self.frame, nonneg=True, key=i.key) for i in indices)
        return self.indices[0] if len(grid) == 1 else self.indices

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        builder = require("T.Kernel")
        if kind is None and self.frame is not None:
            builder.pop(self.frame)
            builder.side.pop("kernel", None)
            for reducer in builder.side.pop("reducers", []):
                reducer.check_end()
            if marks := builder.side.pop("returns", []):
                from tilelang_mlir.language.returns import structure  # brings passes, which few programs need so early

                structure(marks, self.frame.block.owner)


def _check_grid(dim: int, size: Any) -> None:
    if isinstance(size, Expr):
        if not size.dtype.is_integer:
            raise TileTypeError(f"grid dimension {dim} must be an integer, got {describe(size)}")
    elif not isinstance(size, int) or isinstance(size, bool):
        raise TileTypeError(f"grid dimension {dim} must be an integer, got {describe(size)}")
    elif size < 0:  # a kernel of no blocks is not launched: tensors may be empty
        raise TileValueError(f"grid dimension {dim} is {size}, expected 0 or more")


def _threads(threads: Any, what: str = "threads") -> tuple[int, int, int]:
    if threads is None:
        threads = DEFAULT_THREADS
    sizes = list(threads) if isinstance(threads, list | tuple) else [threads]
    if not 1 <= len(sizes) <= 3:
        raise TileValueError(f"{what} has {len(sizes)} dimensions, expected 1 to 3")
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, int):
            raise TileTypeError(
                f"{what} must be Python integers, got {describe(size)}", hint="block sizes are compile-time constants"
            )
        if size < 1:
            raise TileValueError(f"{what} must be positive, got {size}")
    sizes += [1] * (3 - len(sizes))
    total = sizes[0] * sizes[1] * sizes[2]
    if what == "threads" and total > MAX_THREADS:
        raise TileValueError(f"a block has at most {MAX_THREADS} threads, got {total}")
    if what == "cluster_dims" and total > MAX_CLUSTER:
        raise TileValueError(
            f"a cluster has at most {MAX_CLUSTER} blocks, got {total}", hint="every device runs clusters of 8 blocks"
        )
    return sizes[0], sizes[1], sizes[2]


class KernelLaunchFrame:
    """The kernel being traced, as TileLang names it: `T.KernelLaunchFrame.Current().get_num_threads()`."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    @staticmethod
    def Current() -> KernelLaunchFrame | None:
        """The open kernel; None outside of one."""
        kernel = require("KernelLaunchFrame").side.get("kernel")
        return None if kernel is None else KernelLaunchFrame(kernel)

    @property
    def blocks(self) -> list[Expr]:
        """Indices of the block, one per dimension of the grid."""
        return list(self._kernel.indices)

    @property
    def threads(self) -> list[Expr]:
        """Indices of the thread along the three dimensions of the block."""
        return get_thread_bindings()

    def get_num_threads(self) -> int:
        """Threads of a block, along all dimensions."""
        x, y, z = self._kernel.threads
        return x * y * z

    num_threads = property(get_num_threads)

    def get_thread_binding(self, dim: int = 0) -> Expr:
        """`T.get_thread_binding(dim)`; so are the others the functions of their names."""
        return get_thread_binding(dim)

    def get_thread_bindings(self) -> list[Expr]:
        return get_thread_bindings()

    def get_block_binding(self, dim: int = 0) -> Expr:
        return get_block_binding(dim)

    def get_block_bindings(self) -> list[Expr]:
        return get_block_bindings()

    def get_thread_extent(self, dim: int = 0) -> int:
        return get_thread_extent(dim)

    def get_thread_extents(self) -> list[int]:
        return get_thread_extents()

    def get_block_extent(self, dim: int = 0) -> Any:
        return get_block_extent(dim)

    def get_block_extents(self) -> list[Any]:
        return get_block_extents()


def ClusterKernel(*blocks: Any, cluster_dims: Any, threads: Any = None, prelude: str | None = None) -> Kernel:
    """A kernel whose blocks form clusters of `cluster_dims`."""
    return Kernel(*blocks, threads=threads, prelude=prelude, cluster_dims=cluster_dims)


def current_kernel(what: str) -> tuple[Builder, Kernel]:
    """The builder and kernel being traced; raises a TileError outside of a kernel."""
    builder = require(what)
    builder.require_launch(what)
    return builder, builder.side["kernel"]


def _check_dim(what: str, dim: Any, count: int) -> None:
    if not isinstance(dim, int) or not 0 <= dim < count:
        raise TileValueError(f"{what}: dimension {dim!r} is not in 0 to {count - 1}")


def get_thread_binding(dim: int = 0) -> Expr:
    """Index of the thread in its block along a dimension."""
    builder, _ = current_kernel("T.get_thread_binding")
    _check_dim("T.get_thread_binding", dim, 3)
    launch = builder.require_launch("T.get_thread_binding")
    value = launch.cache.get(("thread_id", dim))
    if value is None:
        # At the head of the kernel, so that every block of it may use the one op.
        op = ir.Operation.create(
            "tl.thread_id",
            results=[builder.type(INT32)],
            attributes={"dim": ir.IntegerAttr.get(builder.type(INT32), dim)},
            loc=builder.location(),
            ip=ir.InsertionPoint.at_block_begin(launch.block),
        )
        value = launch.cache[("thread_id", dim)] = op.results[0]
    return Expr(INT32, value=value, frame=launch, nonneg=True, key=("thread_id", dim, id(launch)))


def get_thread_bindings() -> list[Expr]:
    """Indices of the thread along the three dimensions of the block: `tx, ty, tz = T.get_thread_bindings()`."""
    current_kernel("T.get_thread_bindings")
    return [get_thread_binding(dim) for dim in range(3)]


def get_block_binding(dim: int = 0) -> Expr:
    """Index of the block along a grid dimension."""
    _, kernel = current_kernel("T.get_block_binding")
    _check_dim("T.get_block_binding", dim, len(kernel.indices))
    return kernel.indices[dim]


def get_block_bindings() -> list[Expr]:
    _, kernel = current_kernel("T.get_block_bindings")
    return list(kernel.indices)


def get_thread_extent(dim: int = 0) -> int:
    _, kernel = current_kernel("T.get_thread_extent")
    _check_dim("T.get_thread_extent", dim, 3)
    return kernel.threads[dim]


def get_thread_extents() -> list[int]:
    """Threads of the block along its three dimensions."""
    _, kernel = current_kernel("T.get_thread_extents")
    return list(kernel.threads)


def get_block_extent(dim: int = 0) -> Any:
    _, kernel = current_kernel("T.get_block_extent")
    _check_dim("T.get_block_extent", dim, len(kernel.blocks))
    return kernel.blocks[dim]


def get_block_extents() -> list[Any]:
    _, kernel = current_kernel("T.get_block_extents")
    return list(kernel.blocks)


def linear_thread() -> Any:
    """The thread's index in its block, x fastest."""
    _, kernel = current_kernel("a thread index")
    index: Any = get_thread_binding(0)
    if kernel.threads[1] > 1 or kernel.threads[2] > 1:
        rows = get_thread_binding(1)
        if kernel.threads[2] > 1:
            rows = arith.add(rows, arith.mul(get_thread_binding(2), kernel.threads[1]))
        index = arith.add(index, arith.mul(rows, kernel.threads[0]))
    return index


def _count(what: str, name: str, value: Any, default: int) -> Any:
    """A number of lanes or warps: an expression of the kernel, or a Python integer of one or more."""
    if value is None:
        return default
    number = as_expr(value)
    if isinstance(value, bool) or not number.dtype.is_integer or (isinstance(value, int) and value < 1):
        raise TileValueError(f"{what}: {name} must be an integer of one or more, got {describe(value)}",
                             hint="left out, warps have as many threads as the target's and groups four warps")
    return value


def _warp(what: str, size: Any) -> Any:
    return _count(what, "warp_size", size, warp_size_of(require(what)))


def get_lane_idx(warp_size: Any = None) -> Any:
    """Index of the thread in its warp, or in groups of `warp_size` threads.

    Left out, warps have the target's number of threads, here and in the other indices of warps: 32, or 64 where waves
    have 64 (a function that asks is traced once more for such a target).

    Raises:
        TileValueError: a size below one, or no integer; so of the other indices of warps.
    """
    return arith.floormod(linear_thread(), _warp("T.get_lane_idx", warp_size))


def get_warp_idx(warp_size: Any = None) -> Any:
    """Index of the warp in its block."""
    return arith.floordiv(linear_thread(), _warp("T.get_warp_idx", warp_size))


def get_warp_idx_sync(warp_size: Any = None) -> Any:
    """Index of the warp in its block, where the warp's threads are together."""
    return arith.floordiv(linear_thread(), _warp("T.get_warp_idx_sync", warp_size))


def get_warp_group_idx(warp_size: Any = None, warps_per_group: Any = None) -> Any:
    """Index of the group of warps (four by default) in its block."""
    what = "T.get_warp_group_idx"
    lanes, warps = _warp(what, warp_size), _count(what, "warps_per_group", warps_per_group, 4)
    return arith.floordiv(linear_thread(), arith.mul(lanes, warps))
