"""`TensorCoreIntrinEmitter`: a warp's part of a product, step by step, for programs that place loads themselves."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError, TileValueError, UnsupportedError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.buffer import Buffer, Element, Region, store
from tilelang_mlir.frontend.expr import describe
from tilelang_mlir.language.emitted_product import EmittedProduct
from tilelang_mlir.language.kernel import get_thread_binding
from tilelang_mlir.language.matrix import mma_store_index_map, moved, ptx_ldmatrix, ptx_mma

WARP = 32
_DEPTH = {8: 32, 16: 16, 32: 8, 64: 4}  # k of one instruction, by bits of an element


def get_mma_micro_size(dtype: Any) -> tuple[int, int, int]:
    """Rows, columns and depth of the tile that two instructions side by side compute: 16, 16 and 32 bytes."""
    return 16, 16, _DEPTH[DType(dtype).bits]


def get_ldmatrix_offset(
    matrix: str, row_idx: Any, col_idx: Any, stride: Any, dtype: Any = "float16", transposed: bool = False
) -> tuple[Any, Any]:
    """Row and column, in the stored tile, of the 16 bytes that lane `row_idx` points at for four matrices.

    A is stored [M, K], or [K, M] when `transposed`; B [K, N], or [N, K] when `transposed`. `stride` says nothing here.

    Raises:
        TileValueError: no A or B, or elements of another width than 16 bits along M or N.
    """
    del stride
    bits = DType(dtype).bits
    along_k = (matrix == "B") == bool(transposed)
    if matrix not in ("A", "B") or (bits != 16 and not along_k):
        raise TileValueError(f"ldmatrix has no {matrix} of {dtype} stored that way", hint="load element by element")
    lane, chunk = row_idx, 128 // bits
    low, high = lane // 8 % 2, lane // 16
    if not transposed:  # the second matrix lies below the first
        return lane % 8 + 8 * low, chunk * high + col_idx
    return lane % 8 + 8 * high, chunk * low + col_idx


class TensorCoreIntrinEmitter(EmittedProduct):
    """The parts of `C += A B` that a warp computes with `ldmatrix` and `mma.sync`.

    A block of `block_row_warps` by `block_col_warps` warps computes a tile of that many `warp_row_tiles` rows and
    `warp_col_tiles` columns; A and B lie in shared memory, [M, K] and [K, N] or the other way round when transposed,
    and registers in `T.alloc_local` arrays.

        emitter = T.TensorCoreIntrinEmitter("float16", "float16", "float32", False, True, 2, 2, 32, 32, chunk=32)
        A_local = T.alloc_local((emitter.warp_rows * emitter.local_size_a,), "float16")
        for ki in T.serial(32 // emitter.micro_size_k):
            emitter.ldmatrix_a(A_local, A_shared, ki)
            emitter.ldmatrix_b(B_local, B_shared, ki)
            emitter.mma(A_local, B_local, C_local)
        emitter.stmatrix(C_local, C_shared)

    Raises:
        TileValueError: tiles that are no multiples of the instruction's.
    """

    WARP_SIZE = WARP

    def __init__(
        self,
        a_dtype: Any = "float16",
        b_dtype: Any = "float16",
        accum_dtype: Any = "float16",
        a_transposed: bool = False,
        b_transposed: bool = False,
        block_row_warps: int = 2,
        block_col_warps: int = 2,
        warp_row_tiles: int = 8,
        warp_col_tiles: int = 8,
        chunk: int = 16,
        reduce_k: int = 1,
        num_elems_per_byte: int = 1,
        is_m_first: bool | None = False,
        thread_var: Any = None,
    ) -> None:
        super().__init__(
            (a_dtype, b_dtype, accum_dtype), (a_transposed, b_transposed), (block_row_warps, block_col_warps),
            (warp_row_tiles, warp_col_tiles), chunk,
        )  # fmt: skip
        self.reduce_k, self.num_elems_per_byte = reduce_k, num_elems_per_byte
        self.is_m_first, self.thread_var = bool(is_m_first), thread_var
        double = self.a_dtype.bits == 64
        self.micro_size_x = 8 if double else 16
        self.k_dim = self.micro_size_k = min(_DEPTH[self.a_dtype.bits], chunk)
        self.n_dim = self.micro_size_y = 16 if not double and warp_col_tiles % 16 == 0 else 8
        if warp_row_tiles % self.micro_size_x or warp_col_tiles % self.n_dim or 0 in (warp_row_tiles, warp_col_tiles):
            raise TileValueError(
                f"a warp tile of {warp_row_tiles}x{warp_col_tiles} is no multiple of {self.micro_size_x}x{self.n_dim}"
            )
        self.warp_rows, self.warp_cols = warp_row_tiles // self.micro_size_x, warp_col_tiles // self.n_dim
        self.local_size_a = self.micro_size_x * self.k_dim // WARP
        self.local_size_b = self.n_dim * self.k_dim // WARP
        self.local_size_out = self.micro_size_x * self.n_dim // WARP
        self.mma_prefix = f"m{self.micro_size_x}n8k{self.k_dim}"
        self.threads = WARP * block_row_warps * block_col_warps * reduce_k

    @property
    def M_DIM(self) -> int:
        """Rows of one instruction: `micro_size_x`."""
        return self.micro_size_x

    @property
    def mma_num_inst_m(self) -> int:
        """Steps of `mma_atom` along the rows of a warp."""
        return self.warp_rows

    @property
    def mma_num_inst_n(self) -> int:
        """Steps of `mma_atom` along the columns of a warp."""
        return self.warp_cols

    def get_thread_binding(self) -> Any:
        """The thread whose registers are meant: `thread_var`, or the first thread index."""
        return get_thread_binding(0) if self.thread_var is None else self.thread_var

    def extract_thread_binding(self, thread_id: Any, is_m_first: bool | None = None) -> tuple[Any, Any, Any]:
        """Lane, and the warp's column and row in the block; rows run fastest unless `is_m_first`."""
        first = self.is_m_first if is_m_first is None else is_m_first
        warp = thread_id // WARP
        if first:
            column, row = warp % self.block_col_warps, warp // self.block_col_warps % self.block_row_warps
        else:
            row, column = warp % self.block_row_warps, warp // self.block_row_warps % self.block_col_warps
        return thread_id % WARP, column, row

    def ldmatrix_a(self, A_local_buf: Any, A_shared_buf: Any, ki: Any, rk: Any = 0) -> None:
        """Load the warp's rows of A for step `ki` of the instruction's depth (of part `rk` of `chunk`)."""
        lane, _, warp = self.extract_thread_binding(self.get_thread_binding())
        along_k = not self.a_transposed
        for i in range(self.warp_rows):
            first = warp * self.warp_row_tiles + i * self.micro_size_x, rk * self.chunk + ki * self.k_dim
            self._fetch("A", A_local_buf, i * self.local_size_a, A_shared_buf, first, lane, along_k)

    def ldmatrix_b(self, B_local_buf: Any, B_shared_buf: Any, ki: Any, rk: Any = 0) -> None:
        """Load the warp's columns of B for step `ki`."""
        lane, warp, _ = self.extract_thread_binding(self.get_thread_binding())
        for j in range(self.warp_cols):
            first = warp * self.warp_col_tiles + j * self.micro_size_y, rk * self.chunk + ki * self.k_dim
            self._fetch("B", B_local_buf, j * self.local_size_b, B_shared_buf, first, lane, self.b_transposed)

    def _fetch(
        self, side: str, local: Any, offset: int, shared: Any, first: tuple[Any, Any], lane: Any, along_k: bool
    ) -> None:
        """One instruction tile; `first` is its first row (or column) and depth, `along_k` that K is contiguous."""
        dtype = self.a_dtype if side == "A" else self.b_dtype
        if dtype.bits == 64 or (dtype.bits != 16 and not along_k):
            self._fetch_elements(side, local, offset, shared, first, lane, along_k)
            return
        transposed = not along_k if side == "A" else along_k
        row, column = get_ldmatrix_offset(side, lane, 0, 0, dtype, transposed)
        start = first if along_k else first[::-1]
        place = _element(shared, arith.add(start[0], row), arith.add(start[1], column))
        count = 4 if side == "A" or self.n_dim == 16 else 2
        ptx_ldmatrix(not along_k, count, place, moved(_start(local), offset))

    def _fetch_elements(
        self, side: str, local: Any, offset: int, shared: Any, first: tuple[Any, Any], lane: Any, along_k: bool
    ) -> None:
        """The same, one element at a time: the instruction's fragments, see `isa/nvidia/mma`."""
        dtype = self.a_dtype if side == "A" else self.b_dtype
        per_word = max(1, 32 // dtype.bits)
        size = self.local_size_a if side == "A" else self.local_size_b
        for element in range(size):
            word, part = divmod(element, per_word)
            depths = max(1, self.k_dim // (4 * per_word))  # registers along K
            block, step = (word % 2, word // 2) if side == "A" else (word // depths, word % depths)
            if dtype.bits == 64:
                block, step = word, 0
            across = arith.add(first[0], lane // 4 + 8 * block)
            along = arith.add(first[1], lane % 4 * per_word + part + 4 * per_word * step)
            place = _element(shared, across, along) if along_k else _element(shared, along, across)
            store(moved(_start(local), offset + element), place.read())

    def mma(self, A_local_buf: Any, B_local_buf: Any, C_local_buf: Any, k_inner: Any = 0) -> None:
        """Multiply what was loaded, and add to the warp's sums."""
        for i in range(self.warp_rows):
            for j in range(self.warp_cols):
                self.mma_atom(A_local_buf, B_local_buf, C_local_buf, i, j, k_inner)

    def mma_atom(
        self, A_local_buf: Any, B_local_buf: Any, C_local_buf: Any, inst_m_idx: Any, inst_n_idx: Any, k_inner: Any = 0
    ) -> None:
        """One tile of `mma`: row `inst_m_idx` of `mma_num_inst_m`, column `inst_n_idx` of `mma_num_inst_n`."""
        del k_inner
        both_float32 = str(self.a_dtype) == "float32"
        kinds = ["tf32" if both_float32 else str(d) for d in (self.a_dtype, self.b_dtype)]
        a = arith.mul(inst_m_idx, self.local_size_a)
        b = arith.mul(inst_n_idx, self.local_size_b)
        tile = arith.add(arith.mul(inst_m_idx, self.warp_cols), inst_n_idx)
        c = arith.mul(tile, self.local_size_out)
        halves = self.n_dim // 8
        for half in range(halves):
            ptx_mma(
                str(self.accum_dtype), self.mma_prefix, "row", "col", *kinds, str(self.accum_dtype),
                A_local_buf, a, B_local_buf, arith.add(b, half * self.local_size_b // halves),
                C_local_buf, arith.add(c, half * self.local_size_out // halves), False,
            )  # fmt: skip

    def stmatrix(self, C_local_buf: Any, C_buf: Any, pid_m: Any = None, pid_n: Any = None) -> None:
        """Store the warp's sums to a buffer of [M, N], or of [M / 16, N / 16, 16, 16].

        With `pid_m` and `pid_n` the buffer is a tensor and they are the block's place in it, in tiles of the block.

        Raises:
            TileTypeError: the buffer has neither two nor four dimensions.
        """
        if not isinstance(C_buf, Buffer) or C_buf.ndim not in (2, 4):
            raise TileTypeError(f"stmatrix needs a buffer of two or four dimensions, got {describe(C_buf)}")
        lane, warp_n, warp_m = self.extract_thread_binding(self.get_thread_binding())
        row_tile, column_tile = warp_m * self.warp_rows, warp_n * self.warp_cols
        if pid_m is not None and pid_n is not None:
            row_tile = arith.add(arith.mul(pid_m, self.block_row_warps * self.warp_rows), row_tile)
            column_tile = arith.add(arith.mul(pid_n, self.block_col_warps * self.warp_cols), column_tile)
        for i in range(self.warp_rows):
            for j in range(self.warp_cols):
                for item in range(self.local_size_out):
                    row, column = self._place(lane, item)
                    value = moved(_start(C_local_buf), (i * self.warp_cols + j) * self.local_size_out + item).read()
                    tiles = arith.add(row_tile, i), arith.add(column_tile, j)
                    if C_buf.ndim == 4:
                        C_buf[(*tiles, row, column)] = value
                    else:
                        rows = arith.add(arith.mul(tiles[0], self.micro_size_x), row)
                        C_buf[rows, arith.add(arith.mul(tiles[1], self.n_dim), column)] = value

    def _place(self, lane: Any, item: int) -> tuple[Any, Any]:
        if self.micro_size_x == 8:
            return lane // 4, lane % 4 * 2 + item
        return mma_store_index_map(lane, item)

    def get_store_index_map(self, inverse: bool = False) -> Any:
        """The function from (lane, sum) to (row, column) of a tile.

        Raises:
            TileValueError: for the inverse.
        """
        if inverse:
            raise TileValueError("the inverse of the store map is not a function here", hint="use mma_store_index_map")
        return self._place


class TensorCoreIntrinEmitterWithLadderTransform(TensorCoreIntrinEmitter):
    """`TensorCoreIntrinEmitter` with the arguments of operands that were rearranged in memory before; only operands as
    they are (kind 0) have an emitter.

    Raises:
        UnsupportedError: another kind.
    """

    def __init__(
        self, *args: Any, transform_kind_a: Any = 0, transform_kind_b: Any = 0, **options: Any
    ) -> None:
        for side, kind in (("a", transform_kind_a), ("b", transform_kind_b)):
            if int(kind) != 0:
                raise UnsupportedError(f"operands rearranged in memory (transform_kind_{side}={kind})",
                                       hint="pass the operand as it is, and use a swizzled layout for the shared tile")
        super().__init__(*args, **options)


def _start(local: Any) -> Element:
    if isinstance(local, Element):
        return local
    if isinstance(local, Region):
        return Element(local.buffer, local.offsets)
    if isinstance(local, Buffer):
        return Element(local, [0] * local.ndim)
    raise TileTypeError(f"the registers must be an array of T.alloc_local, got {describe(local)}")


def _element(tile: Any, row: Any, column: Any) -> Element:
    """An element of a shared tile, or of a slice of one."""
    start = _start(tile)
    *lead, first, second = start.indices
    return Element(start.buffer, [*lead, arith.add(first, row), arith.add(second, column)])
