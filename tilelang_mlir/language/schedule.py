"""Schedulers of tiles for kernels whose blocks work on several."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.buffer import store
from tilelang_mlir.frontend.expr import Expr, as_expr, describe
from tilelang_mlir.language.alloc import alloc_var
from tilelang_mlir.language.kernel import get_block_extents


class _Coordinate(Expr):
    """A number that earlier releases had as an array of one element."""

    __slots__ = ()

    @classmethod
    def of(cls, value: Any) -> Expr:
        value = as_expr(value).read()
        number = cls(value.dtype)
        for slot in Expr.__slots__:
            setattr(number, slot, getattr(value, slot))
        return number

    def __getitem__(self, index: Any) -> Expr:
        if index != 0:
            raise TileValueError(f"index {describe(index)} of a scheduler's number, expected 0")
        return self


class BaseTileScheduler:
    """The tiles that one worker visits, one after the other.

    `linear_idx` is the tile's number and `current_iter` how many the worker has had; with `stateful=False` they are
    given to `coord` by the program.
    """

    def __init__(self, stateful: bool = True, name: str | None = None) -> None:
        self.stateful, self.name = stateful, name
        self._linear: Any = alloc_var("int32", init=0) if stateful else None
        self._iter: Any = alloc_var("int32", init=0) if stateful else None

    @property
    def linear_idx(self) -> Any:
        return _Coordinate.of(self._state(self._linear))

    @property
    def current_iter(self) -> Any:
        return _Coordinate.of(self._state(self._iter))

    def _state(self, variable: Any) -> Any:
        if variable is None:
            raise TileTypeError("a scheduler with stateful=False has no current tile", hint="use its coord(tile)")
        return variable.read()

    def init(self, worker: Any) -> None:
        """Start with the tile whose number is the worker's."""
        self._state(self._linear)
        store(self._linear.element, worker)
        store(self._iter.element, 0)

    def _advance(self, step: Any) -> None:
        store(self._linear.element, arith.add(self.linear_idx, step))
        store(self._iter.element, arith.add(self.current_iter, 1))


class PersistentTileScheduler(BaseTileScheduler):
    """Tiles of a `num_m_tiles` by `num_n_tiles` grid for `num_workers` blocks, `swizzle_size` columns at a time.

    By default all blocks of the kernel, or all its clusters, are workers.

    With `column_major` consecutive tiles go down a panel of `swizzle_size` columns, row by row of the panel; without it
    along a panel of `swizzle_size` rows. Blocks of a cluster (`cluster_size`) take neighbours along M: a worker is
    then a cluster, and the row of a block's tile is `m_idx * cluster_size + T.block_rank_in_cluster()`.

        sched = T.PersistentTileScheduler(T.ceildiv(M, 128), T.ceildiv(N, 128), num_workers=132, swizzle_size=8)
        sched.init(bx)
        while sched.valid():
            T.copy(A[sched.m_idx * 128, 0], A_shared)
            sched.next_tile()

    Raises:
        TileValueError: a swizzle or cluster size below one.
    """

    def __init__(
        self,
        num_m_tiles: Any,
        num_n_tiles: Any,
        num_workers: Any = None,
        swizzle_size: int = 1,
        column_major: bool = True,
        cluster_size: int = 1,
        stateful: bool = True,
        name: str | None = None,
    ) -> None:
        if isinstance(num_m_tiles, str):  # earlier releases: the name in front of the sizes
            name, num_m_tiles, num_n_tiles, num_workers = num_m_tiles, num_n_tiles, num_workers, None
        for what, value in (("swizzle_size", swizzle_size), ("cluster_size", cluster_size)):
            if not isinstance(value, int) or value < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TileValueError(f"{what} of T.PersistentTileScheduler must be positive, got {describe(value)}")
        super().__init__(stateful, name)
        self.num_m_tiles, self.num_n_tiles, self.num_workers = num_m_tiles, num_n_tiles, num_workers
        self.swizzle_size, self.column_major, self.cluster_size = swizzle_size, column_major, cluster_size

    @property
    def total(self) -> Any:
        """How many tiles there are, of clusters when the blocks form some."""
        long, across = self._extents()
        return arith.mul(long, across)

    def _extents(self) -> tuple[Any, Any]:
        """Steps along a panel and lines across panels."""
        rows = arith.ceildiv(self.num_m_tiles, self.cluster_size)
        return (rows, self.num_n_tiles) if self.column_major else (self.num_n_tiles, rows)

    def valid(self) -> Any:
        """Whether the current tile exists."""
        return arith.compare("Lt", self.linear_idx, self.total)

    def next_tile(self, step: Any = None) -> None:
        """Go on to the worker's next tile: `step` further, by default the number of workers."""
        self._advance(self._workers() if step is None else step)

    def _workers(self) -> Any:
        """How many workers share the tiles: by default the kernel's blocks, or its clusters."""
        if self.num_workers is not None:
            return self.num_workers
        blocks: Any = 1
        for extent in get_block_extents():
            blocks = arith.mul(blocks, extent)
        return arith.floordiv(blocks, self.cluster_size)

    def coord(self, tile: Any) -> tuple[Any, Any]:
        """Row and column of a tile by its number."""
        long, across = self._extents()
        panel_tiles = arith.mul(long, self.swizzle_size)
        panel, inside = arith.floordiv(tile, panel_tiles), arith.floormod(tile, panel_tiles)
        first = arith.mul(panel, self.swizzle_size)
        width: Any = self.swizzle_size
        if not (isinstance(across, int) and across % self.swizzle_size == 0):
            width = arith.minimum(self.swizzle_size, arith.sub(across, first))
        step, line = arith.floordiv(inside, width), arith.add(first, arith.floormod(inside, width))
        return (step, line) if self.column_major else (line, step)

    @property
    def m_idx(self) -> Any:
        return _Coordinate.of(self.coord(self.linear_idx)[0])

    @property
    def n_idx(self) -> Any:
        return _Coordinate.of(self.coord(self.linear_idx)[1])
