"""Passes that keep tiles keep their meaning: the reference evaluator gives the same result after every stage."""

from __future__ import annotations

import numpy as np
import pytest

import tilelang_mlir.language as T
from tilelang_mlir.dialect import spec
from tilelang_mlir.frontend.primfunc import PrimFunc
from tilelang_mlir.mlir import ir
from tilelang_mlir.passes.manager import RunOptions, run_pipeline
from tilelang_mlir.passes.pipelines import stages
from tilelang_mlir.reference import evaluate
from tilelang_mlir.target import parse_target

TARGET = parse_target("sm_80")


def _gemm(num_stages: int) -> PrimFunc:
    M, N, K = 96, 64, 80

    @T.prim_func
    def main(A: T.Tensor((M, K), "float16"), B: T.Tensor((K, N), "float16"), C: T.Tensor((M, N), "float32")):
        with T.Kernel(T.ceildiv(N, 32), T.ceildiv(M, 64), threads=128) as (bx, by):
            A_shared = T.alloc_shared((64, 32), "float16")
            B_shared = T.alloc_shared((32, 32), "float16")
            acc = T.alloc_fragment((64, 32), "float32")
            row = T.alloc_fragment((64,), "float32")
            T.clear(acc)
            for k in T.Pipelined(T.ceildiv(K, 32), num_stages=num_stages):
                T.copy(A[by * 64, k * 32], A_shared)
                T.copy(B[k * 32, bx * 32], B_shared)
                T.gemm(A_shared, B_shared, acc)
            T.reduce_max(acc, row, dim=1)
            for i, j in T.Parallel(64, 32):
                acc[i, j] = acc[i, j] - row[i]
            T.copy(acc, C[by * 64, bx * 32])

    return main


@pytest.mark.parametrize("num_stages", [0, 1, 2, 3])
def test_every_stage_means_the_same(num_stages: int) -> None:
    kernel = _gemm(num_stages)
    rng = np.random.default_rng(num_stages)
    a, b = rng.standard_normal((96, 80)).astype(np.float16), rng.standard_normal((80, 64)).astype(np.float16)
    product = (a.astype(np.float64) @ b.astype(np.float64)).reshape(96, 2, 32)
    want = (product - product.max(axis=2, keepdims=True)).reshape(96, 64)
    for level, passes in stages().items():
        if level == "lowered":
            break
        with kernel.context, ir.Location.unknown():
            run_pipeline(kernel.module, passes, TARGET, RunOptions(reproducer=None))
            spec.check(level, kernel.module)
            c = np.full((96, 64), np.nan, np.float32)
            evaluate(kernel.module, kernel.name, [a, b, c])
        assert np.linalg.norm(c - want) <= 1e-6 * np.linalg.norm(want), level
