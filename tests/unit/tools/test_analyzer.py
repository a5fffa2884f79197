"""`tools.Analyzer`: operations and bytes of programs, counted by hand here."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import tilelang_mlir.language as T
from tilelang_mlir.compat.modules.arch import CUDA
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.tools import Analyzer


def product(M: Any, N: int = 96, K: int = 80) -> Any:
    @T.prim_func
    def main(A: T.Tensor((M, K), "float16"), B: T.Tensor((K, N), "float16"), C: T.Tensor((M, N), "float32")):
        with T.Kernel(N // 32, T.ceildiv(M, 64), threads=128) as (bx, by):
            a, b = T.alloc_shared((64, 16), "float16"), T.alloc_shared((16, 32), "float16")
            c = T.alloc_fragment((64, 32), "float32")
            T.clear(c)
            for k in T.Pipelined(K // 16, num_stages=2):
                T.copy(A[by * 64, k * 16], a)
                T.copy(B[k * 16, bx * 32], b)
                T.gemm(a, b, c)
            for i, j in T.Parallel(64, 32):
                C[by * 64 + i, bx * 32 + j] = c[i, j]

    return main


def test_operations_and_bytes_of_a_product() -> None:
    found = Analyzer.analysis(product(128), CUDA("cuda:sm_90a"))
    assert found.total_flops == 2 * 128 * 96 * 80
    loads = 3 * 2 * 5 * (64 * 16 + 16 * 32) * 2
    assert found.total_global_bytes == loads + 128 * 96 * 4
    assert found.estimated_time is not None and found.expected_bandwidth_GBps is not None
    assert found.estimated_time == max(found.total_flops / 989e12, found.total_global_bytes / 4.8e12)
    assert found.expected_bandwidth_GBps * found.estimated_time * 1e9 == pytest.approx(found.total_global_bytes)


def test_machines_without_figures_have_counts_only() -> None:
    found = Analyzer.analysis(product(64), SimpleNamespace(compute_capability="1"))
    assert found.total_flops == 2 * 64 * 96 * 80 and found.estimated_time is None


def test_what_cannot_be_counted() -> None:
    with pytest.raises(TileValueError, match="the size of the grid is not known"):
        Analyzer.analysis(product(T.dynamic("m")))
    with pytest.raises(TileTypeError, match="Analyzer needs a prim_func, got int"):
        Analyzer.analysis(3)
