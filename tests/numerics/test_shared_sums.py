"""Products that add to the same sums, and products with less to compute than warps; in the simulator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T

RNG = np.random.default_rng(11)


def _close(got: Any, want: Any, tolerance: float = 1e-5) -> None:
    assert np.linalg.norm(np.asarray(got, np.float64) - want) <= tolerance * np.linalg.norm(want)


@pytest.mark.parametrize("registers", [False, True])
def test_products_of_the_same_sums_run_on_the_same_instructions(registers: bool) -> None:
    """A narrow tile across K follows the other product to wgmma; B in registers takes both to mma.sync."""

    @tilelang.jit(out_idx=[-1], target="sim:sm_90a")
    def make() -> Any:
        @T.prim_func
        def kernel(
            Q: T.Tensor((64, 64), "float16"), H: T.Tensor((32, 64), "float16"), V: T.Tensor((64, 32), "float16"),
            O: T.Tensor((64, 32), "float32"),
        ):  # fmt: skip
            with T.Kernel(1, threads=128):
                q, h, v = (T.alloc_shared(s, "float16") for s in ((64, 64), (32, 64), (64, 32)))
                held, acc = T.alloc_fragment((64, 32), "float16"), T.alloc_fragment((64, 32), "float32")
                T.copy(Q, q)
                T.copy(H, h)
                T.copy(V, v)
                T.gemm(q, h, acc, transpose_B=True, clear_accum=True)
                if registers:
                    T.copy(v, held)
                    T.gemm(q, held, acc)
                else:
                    T.gemm(q, v, acc)
                T.copy(acc, O)

        return kernel

    kernel = make()
    assert ("wgmma" in kernel.ir("lowered")) != registers
    q, h, v = (RNG.standard_normal(s).astype(np.float16) for s in ((64, 64), (32, 64), (64, 32)))
    _close(kernel(q, h, v), q.astype(np.float64) @ (h.T.astype(np.float64) + v))


@pytest.mark.parametrize(("target", "dtype", "threads"), [
    ("sm_80", "float16", 128), ("sm_90a", "float32", 192), ("sm_80", "float64", 160), ("gfx942", "float16", 256),
])  # fmt: skip
def test_warps_without_a_part_of_their_own_repeat_one(target: str, dtype: str, threads: int) -> None:
    """C of 16x16, from shared memory and from registers, added up and stored by all warps."""
    sums = "float64" if dtype == "float64" else "float32"

    @tilelang.jit(out_idx=[-2, -1], target=f"sim:{target}")
    def make() -> Any:
        @T.prim_func
        def kernel(
            A: T.Tensor((16, 64), dtype), B: T.Tensor((64, 16), dtype), C: T.Tensor((16, 16), sums),
            D: T.Tensor((16,), sums),
        ):  # fmt: skip
            with T.Kernel(1, threads=threads):
                a, b, again = (T.alloc_shared(s, dtype) for s in ((16, 32), (32, 16), (16, 16)))
                acc, low = T.alloc_fragment((16, 16), sums), T.alloc_fragment((16, 16), dtype)
                both, rows = T.alloc_fragment((16, 16), sums), T.alloc_fragment((16,), sums)
                T.clear(acc)
                for k in T.Pipelined(2, num_stages=2):
                    T.copy(A[0, k * 32], a)
                    T.copy(B[k * 32, 0], b)
                    T.gemm(a, b, acc)
                for i, j in T.Parallel(16, 16):
                    acc[i, j] = acc[i, j] / 8
                T.copy(acc, low)
                T.copy(acc, again)
                T.gemm(low, again, both, clear_accum=True)
                T.reduce_sum(both, rows, dim=1)
                T.copy(both, C)
                T.copy(rows, D)

        return kernel

    a, b = (RNG.standard_normal(s).astype(dtype) for s in ((16, 64), (64, 16)))
    c, d = make()(a, b)
    once = a.astype(np.float64) @ b.astype(np.float64) / 8
    tolerance = {"float16": 2e-3, "float32": 5e-3, "float64": 1e-12}[dtype]  # tf32 cuts mantissas off, twice here
    _close(c, once @ once, tolerance)
    _close(d, (once @ once).sum(1), tolerance)
