"""Emitters of products that a program starts and awaits: warpgroups, and products into tensor memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import TileTypeError, TileValueError, UnsupportedError


def random(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float16)


def run(program: Any, target: str, a: Any, b: Any, want: Any) -> None:
    c = np.full(want.shape, np.nan, np.float32)
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        tilelang.compile(program, target=target)(a, b, c)
    assert np.linalg.norm(c - want) < 1e-5 * np.linalg.norm(want)


@pytest.mark.parametrize("registers", [False, True])
def test_warpgroups(registers: bool) -> None:
    """Two warpgroups along the rows; A in shared memory, or in the registers of its fragment."""
    e = T.WGMMATensorCoreIntrinEmitter("float16", "float16", "float32", False, True, 8, 1, 16, 48, chunk=64)

    @T.prim_func
    def main(A: T.Tensor((128, 64), "float16"), B: T.Tensor((48, 64), "float16"), C: T.Tensor((128, 48), "float32")):
        with T.Kernel(1, threads=256) as _:
            a, b = T.alloc_shared((128, 64), "float16"), T.alloc_shared((48, 64), "float16")
            own, sums = T.alloc_fragment((128, 64), "float16"), T.alloc_fragment((128, 48), "float32")
            T.annotate_layout({sums: e.make_mma_store_layout(sums)})
            T.copy(A, a)
            T.copy(B, b)
            T.copy(a, own)
            left, right = e.compute_wgmma_a_desc_params(a), e.compute_wgmma_b_desc_params(b)
            da, db = T.alloc_wgmma_desc(), T.alloc_wgmma_desc()
            e.init_wgmma_a_desc(da, a, left)
            e.init_wgmma_b_desc(db, b, right)
            e.wgmma_fence_c(sums)
            e.wgmma_arrive()
            for m in T.unroll(e.wgmma_num_inst_m):
                for k in T.unroll(e.wgmma_num_k_atoms):
                    if registers:
                        e.wgmma_rs_atom(own, db, sums, m, 0, k, right, T.bool(True))
                    else:
                        e.wgmma_ss_atom(da, db, sums, m, 0, k, left, right, T.bool(True))
            e.wgmma_commit()
            e.wgmma_wait(0)
            e.wgmma(a, b, sums)
            T.copy(sums, C)

    a, b = random(128, 64), random(48, 64)
    run(main, "sim:sm_90a", a, b, 2 * (a.astype(np.float64) @ b.astype(np.float64).T))


def test_tensor_memory() -> None:
    e = T.TCGEN05TensorCoreIntrinEmitter("float16", "float16", "float32", False, True, warp_col_tiles=64)

    @T.prim_func
    def main(A: T.Tensor((128, 64), "float16"), B: T.Tensor((64, 64), "float16"), C: T.Tensor((128, 64), "float32")):
        with T.Kernel(1, threads=128) as _:
            a, b = T.alloc_shared((128, 64), "float16"), T.alloc_shared((64, 64), "float16")
            sums, own = T.alloc_tmem((128, 64), "float32"), T.alloc_fragment((128, 64), "float32")
            bar = T.alloc_barrier(1)
            T.annotate_layout({sums: e.make_mma_store_layout(sums)})
            T.copy(A, a)
            T.copy(B, b)
            left, right = e.compute_tcgen05_a_desc_params(a), e.compute_tcgen05_b_desc_params(b)
            result = e.compute_tcgen05_c_tmem_params(sums)
            if T.get_thread_binding() // 32 == 0:
                da, db = T.alloc_tcgen05_smem_desc(), T.alloc_tcgen05_smem_desc()
                e.init_tcgen05_a_desc(da, a, left)
                e.init_tcgen05_b_desc(db, b, right)
                for k in T.unroll(e.tcgen05_num_k_atoms):
                    desc = e.compute_tcgen05_instr_desc()
                    e.tcgen05_ss_atom(da, db, 0, 0, k, left, right, result, desc, T.bool(True))
                e.tcgen05_atom_arrive(bar)
            T.mbarrier_wait_parity(bar, 0)
            T.copy(sums, own)
            T.copy(own, C)

    a, b = random(128, 64), random(64, 64)
    run(main, "sim:sm_100a", a, b, a.astype(np.float64) @ b.astype(np.float64).T)


def test_wrong_use() -> None:
    groups, ladder = T.WGMMATensorCoreIntrinEmitter, T.TensorCoreIntrinEmitterWithLadderTransform
    with pytest.raises(TileValueError, match="form no warpgroups"):
        groups(block_row_warps=2)
    with pytest.raises(TileValueError, match="24x64 are no multiples of 16x8"):
        groups(warp_row_tiles=24)
    with pytest.raises(TileTypeError, match="the parameters of its descriptors, got int 1"):
        groups().wgmma_ss_atom(0, 0, None, 0, 0, 0, 1, 2)
    with pytest.raises(UnsupportedError, match="transform_kind_b=3"):
        ladder(transform_kind_b=3)
    assert ladder("float16", warp_row_tiles=32, transform_kind_a=0).warp_rows == 2
