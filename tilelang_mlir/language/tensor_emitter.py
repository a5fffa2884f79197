"""`TCGEN05TensorCoreIntrinEmitter`: products into tensor memory for programs that start them and arrive themselves.

As in `wgmma_emitter` one step is the whole product, and descriptors stand for their tiles.
"""

from __future__ import annotations

from typing import Any

from tilelang_mlir.dialect.layout import TensorLayout
from tilelang_mlir.dialect.layout.tensor import accumulator
from tilelang_mlir.errors import TileTypeError
from tilelang_mlir.frontend.buffer import buffer_of
from tilelang_mlir.frontend.expr import describe
from tilelang_mlir.language.emitted_product import EmittedProduct
from tilelang_mlir.language.matrix_descriptors import TCGEN05DescriptorParams
from tilelang_mlir.language.tensor import tcgen05_gemm, tcgen05_mma_arrive


class TCGEN05TensorCoreIntrinEmitter(EmittedProduct):
    """Products `C += A B` of `warp_row_tiles` rows and `warp_col_tiles` columns over `chunk` of K, C in tensor memory.

        emitter = T.TCGEN05TensorCoreIntrinEmitter("float16", "float16", "float32", b_transposed=True, chunk=64)
        a, b = emitter.compute_tcgen05_a_desc_params(A_shared), emitter.compute_tcgen05_b_desc_params(B_shared)
        c = emitter.compute_tcgen05_c_tmem_params(C_tmem)
        if T.get_thread_binding() // 32 == 0:
            emitter.tcgen05_ss_atom(desc_a, desc_b, 0, 0, 0, a, b, c, 0, True)
            emitter.tcgen05_atom_arrive(mbar)
        T.mbarrier_wait_parity(mbar, 0)
    """

    tcgen05_num_inst_m = tcgen05_num_inst_n = tcgen05_num_k_atoms = 1

    def __init__(
        self,
        a_dtype: Any = "float16",
        b_dtype: Any = "float16",
        accum_dtype: Any = "float32",
        a_transposed: bool = False,
        b_transposed: bool = False,
        block_row_warps: int = 1,
        block_col_warps: int = 1,
        warp_row_tiles: int = 128,
        warp_col_tiles: int = 128,
        chunk: int = 64,
        reduce_k: int = 1,
        num_elems_per_byte: int = 1,
        is_m_first: bool | None = False,
        thread_var: Any = None,
    ) -> None:
        del reduce_k, num_elems_per_byte, is_m_first, thread_var
        super().__init__(
            (a_dtype, b_dtype, accum_dtype), (a_transposed, b_transposed), (block_row_warps, block_col_warps),
            (warp_row_tiles, warp_col_tiles), chunk,
        )  # fmt: skip
        self.meta: tuple[int, int, int] | None = None

    def get_tcgen5_mma_meta(self, m: int, n: int, k: int, disable_2cta: bool = True) -> tuple[int, int, int]:
        """The sizes of the whole product, which is one step here."""
        del disable_2cta
        self.meta = (m, n, k)
        return self.meta

    def compute_tcgen05_instr_desc(self) -> int:
        """The instruction's descriptor is made with the product."""
        return 0

    def _assign_a_shared_layout(self, layout: Any) -> TCGEN05TensorCoreIntrinEmitter:
        """Layouts are the tiles' own (`T.annotate_layout`)."""
        del layout
        return self

    _assign_b_shared_layout = _assign_c_tmem_layout = _assign_a_shared_layout

    def make_mma_store_layout(self, tmem_buf: Any) -> TensorLayout:
        """The rows of C in the lanes of tensor memory."""
        buffer = buffer_of(tmem_buf, "make_mma_store_layout")
        return accumulator(buffer.shape, buffer.dtype.bits)

    def compute_tcgen05_a_desc_params(self, A_shared: Any) -> TCGEN05DescriptorParams:
        """What a product takes for a tile: of A, B or C."""
        return TCGEN05DescriptorParams(A_shared)

    compute_tcgen05_b_desc_params = compute_tcgen05_c_tmem_params = compute_tcgen05_a_desc_params

    def init_tcgen05_a_desc(self, desc: Any, buffer: Any, params: Any = None) -> None:
        """Descriptors are made with the product."""
        del desc, buffer, params

    init_tcgen05_b_desc = init_tcgen05_a_desc

    def tcgen05_ss_atom(
        self, desc_a: Any, desc_b: Any, m: Any, n: Any, ki: Any, a_params: Any, b_params: Any, c_params: Any,
        instr_desc: Any = 0, clear_accum: Any = False,
    ) -> None:  # fmt: skip
        """Start the product of two tiles in shared memory.

        Raises:
            TileTypeError: parameters that come from elsewhere.
        """
        del desc_a, desc_b, m, n, ki, instr_desc
        a, b, c = (_tile(params) for params in (a_params, b_params, c_params))
        tcgen05_gemm(a, b, c, self.a_transposed, self.b_transposed, clear_accum=clear_accum)

    def tcgen05_atom_arrive(self, mbar: Any, arrive_2cta: bool = False) -> None:
        """`T.tcgen05_mma_arrive`."""
        tcgen05_mma_arrive(mbar, arrive_2cta)


def _tile(params: Any) -> Any:
    if not isinstance(params, TCGEN05DescriptorParams):
        raise TileTypeError(f"a product needs the parameters of its descriptors, got {describe(params)}",
                            hint="compute_tcgen05_a_desc_params(A_shared) and the ones of B and C")
    return params.buffer
