"""`WGMMATensorCoreIntrinEmitter`: the products of a block's warpgroups, for programs that start and await them.

A program makes descriptors of its tiles and then asks for one instruction after the other, in loops over the counts
that the emitter gives. Here one step is the whole product: the counts are 1, descriptors stand for their tiles, and the
compiler makes the instructions.
"""

from __future__ import annotations

from typing import Any

from tilelang_mlir.dialect.layout import Fragment
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend.expr import describe
from tilelang_mlir.language.emitted_product import EmittedProduct
from tilelang_mlir.language.explicit import (
    wait_wgmma,
    warpgroup_arrive,
    warpgroup_commit_batch,
    warpgroup_fence_operand,
    wgmma_gemm,
)
from tilelang_mlir.language.gemm import GemmWarpPolicy
from tilelang_mlir.language.matrix_descriptors import WGMMADescriptorParams

_GROUP, _ROWS, _MOST = 4, 64, 256  # warps of a warpgroup; rows and most columns of an instruction


class WGMMATensorCoreIntrinEmitter(EmittedProduct):
    """Products `C += A B` of `block_row_warps` by `block_col_warps` warps, each with `warp_row_tiles` rows and
    `warp_col_tiles` columns of C, over `chunk` of K.

        emitter = T.WGMMATensorCoreIntrinEmitter("float16", "float16", "float32", False, False, 4, 1, 16, 64, chunk=64)
        a, b = emitter.compute_wgmma_a_desc_params(A_shared), emitter.compute_wgmma_b_desc_params(B_shared)
        emitter.wgmma_arrive()
        emitter.wgmma_ss_atom(desc_a, desc_b, C, 0, 0, 0, a, b, True)
        emitter.wgmma_commit()
        emitter.wgmma_wait(0)

    Raises:
        TileValueError: warps that form no warpgroups, or tiles that are no multiples of the instruction's.
    """

    wgmma_num_inst_m = wgmma_num_inst_n = wgmma_num_k_atoms = 1

    def __init__(
        self,
        a_dtype: Any = "float16",
        b_dtype: Any = "float16",
        accum_dtype: Any = "float32",
        a_transposed: bool = False,
        b_transposed: bool = False,
        block_row_warps: int = 4,
        block_col_warps: int = 1,
        warp_row_tiles: int = 16,
        warp_col_tiles: int = 64,
        chunk: int = 16,
        reduce_k: int = 1,
        num_elems_per_byte: int = 1,
        is_m_first: bool | None = False,
        thread_var: Any = None,
    ) -> None:
        del num_elems_per_byte, is_m_first, thread_var
        super().__init__(
            (a_dtype, b_dtype, accum_dtype), (a_transposed, b_transposed), (block_row_warps, block_col_warps),
            (warp_row_tiles, warp_col_tiles), chunk,
        )  # fmt: skip
        rows, columns = block_row_warps * warp_row_tiles, block_col_warps * warp_col_tiles
        if block_row_warps % _GROUP or reduce_k != 1:
            raise TileValueError(
                f"{block_row_warps} warps along the rows and {reduce_k} along K form no warpgroups",
                hint="block_row_warps is a multiple of 4, reduce_k is 1",
            )
        if rows * _GROUP // block_row_warps % _ROWS or columns // block_col_warps % 8:
            raise TileValueError(f"warp tiles of {warp_row_tiles}x{warp_col_tiles} are no multiples of 16x8")
        self.wgmma_inst_m = _ROWS
        self.wgmma_inst_n = next(n for n in range(min(_MOST, warp_col_tiles), 0, -8) if warp_col_tiles % n == 0)
        self.micro_size_k = 256 // self.a_dtype.bits
        self.shape = (rows, columns)

    def _assign_a_shared_layout(self, layout: Any) -> WGMMATensorCoreIntrinEmitter:
        """The layout of A is the tile's own (`T.annotate_layout`)."""
        del layout
        return self

    _assign_b_shared_layout = _assign_a_shared_layout

    def compute_wgmma_a_desc_params(self, A_shared: Any) -> WGMMADescriptorParams:
        """What the descriptor of a tile of A is made of."""
        return WGMMADescriptorParams(A_shared)

    def compute_wgmma_b_desc_params(self, B_shared: Any) -> WGMMADescriptorParams:
        """What the descriptor of a tile of B is made of."""
        return WGMMADescriptorParams(B_shared)

    def init_wgmma_a_desc(self, desc: Any, buffer: Any, params: Any = None) -> None:
        """Descriptors are made with the product."""
        del desc, buffer, params

    init_wgmma_b_desc = init_wgmma_a_desc

    def make_mma_store_layout(self, local_buf: Any) -> Fragment:
        """The fragment of the sums: blocks of 64 rows, 16 a warp; warpgroups along the rows, then the columns."""
        from tilelang_mlir.passes.nvidia.wgmma_layout import GroupGrid, accumulator  # few programs need it

        if tuple(local_buf.shape) != self.shape:
            raise TileValueError(f"the sums are of shape {list(self.shape)}, got {describe(local_buf)}")
        along = self.block_row_warps // _GROUP
        return accumulator(GroupGrid(along, self.block_col_warps, self.shape[0] // along, self.warp_col_tiles))

    def wgmma_fence_c(self, C_buf: Any) -> None:
        """Keep accesses of the sums on their side of the products."""
        warpgroup_fence_operand(C_buf)

    def wgmma_arrive(self) -> None:
        """`T.warpgroup_arrive`."""
        warpgroup_arrive()

    def wgmma_commit(self) -> None:
        """`T.warpgroup_commit_batch`."""
        warpgroup_commit_batch()

    def wgmma_wait(self, num_inflight: int = 0) -> None:
        """`T.wait_wgmma`."""
        wait_wgmma(num_inflight)

    def wgmma_ss_atom(
        self, desc_a: Any, desc_b: Any, C_local_buf: Any, m: Any, n: Any, ki: Any, a_params: Any, b_params: Any,
        clear_accum: Any = False,
    ) -> None:  # fmt: skip
        """Start the product of two tiles in shared memory.

        Raises:
            TileTypeError: parameters that come from elsewhere.
        """
        del desc_a, desc_b, m, n, ki
        self._start(_tile(a_params), _tile(b_params), C_local_buf, clear_accum)

    def wgmma_rs_atom(
        self, A_local_buf: Any, desc_b: Any, C_local_buf: Any, m: Any, n: Any, ki: Any, b_params: Any,
        clear_accum: Any = False,
    ) -> None:  # fmt: skip
        """Start the product of a fragment and a tile in shared memory."""
        del desc_b, m, n, ki
        self._start(A_local_buf, _tile(b_params), C_local_buf, clear_accum)

    def wgmma(
        self, A_region: Any, B_region: Any, C_region: Any, clear_accum: Any = False, wg_wait: int = 0
    ) -> None:
        """A product, with a wait for all but `wg_wait` groups (negative: none)."""
        self._start(A_region, B_region, C_region, clear_accum)
        if wg_wait >= 0:
            wait_wgmma(wg_wait)

    def _start(self, a: Any, b: Any, c: Any, clear: Any) -> None:
        policy = GemmWarpPolicy.from_warp_partition(self.block_row_warps, self.block_col_warps)
        wgmma_gemm(a, b, c, self.a_transposed, self.b_transposed, policy, clear)


def _tile(params: Any) -> Any:
    if not isinstance(params, WGMMADescriptorParams):
        raise TileTypeError(f"a product needs the parameters of its descriptors, got {describe(params)}",
                            hint="compute_wgmma_a_desc_params(A_shared), compute_wgmma_b_desc_params(B_shared)")
    return params.buffer
