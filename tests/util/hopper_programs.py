"""What the Hopper tests share: a GEMM with every choice open, inputs, the form a kernel was lowered to, and checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

import tilelang_mlir as tilelang
import tilelang_mlir.language as T

TARGET = "sim:sm_90a"
NUMPY: dict[str, Any] = {
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float32": np.float32,
    "float64": np.float64,
    "float8_e4m3": ml_dtypes.float8_e4m3fn,
    "float8_e5m2": ml_dtypes.float8_e5m2,
    "int8": np.int8,
    "int32": np.int32,
}
TOLERANCE = {"float16": 2e-3, "bfloat16": 1e-2, "float32": 1e-5, "int32": 1e-12}


@dataclass(frozen=True)
class Gemm:
    """A tiled product of [M, K] and [K, N]; `tiles` are block_M, block_N, block_K."""

    size: tuple[int, int, int]
    tiles: tuple[int, int, int]
    stages: int = 2
    threads: int = 128
    dtype: str = "float16"
    sums: str = "float32"
    out: str = "float32"
    transpose_A: bool = False
    transpose_B: bool = False
    disable_tma: bool = False

    def shapes(self) -> list[tuple[int, int]]:
        (M, N, K), ta, tb = self.size, self.transpose_A, self.transpose_B
        return [(K, M) if ta else (M, K), (N, K) if tb else (K, N), (M, N)]

    def program(self) -> Any:
        """The T program, with its output as the last parameter."""
        (M, N, K), (bm, bn, bk), dtype, out = self.size, self.tiles, self.dtype, self.out
        shape_a, shape_b, shape_c = self.shapes()
        stages, threads, sums, ta, tb, no_tma = (
            self.stages, self.threads, self.sums, self.transpose_A, self.transpose_B, self.disable_tma,
        )  # fmt: skip

        @T.prim_func
        def main(A: T.Tensor(shape_a, dtype), B: T.Tensor(shape_b, dtype), C: T.Tensor(shape_c, out)):
            with T.Kernel(T.ceildiv(N, bn), T.ceildiv(M, bm), threads=threads) as (bx, by):
                A_shared = T.alloc_shared((bk, bm) if ta else (bm, bk), dtype)
                B_shared = T.alloc_shared((bn, bk) if tb else (bk, bn), dtype)
                acc = T.alloc_fragment((bm, bn), sums)
                T.clear(acc)
                for k in T.Pipelined(T.ceildiv(K, bk), num_stages=stages):
                    if ta:
                        T.copy(A[k * bk, by * bm], A_shared, disable_tma=no_tma)
                    else:
                        T.copy(A[by * bm, k * bk], A_shared, disable_tma=no_tma)
                    if tb:
                        T.copy(B[bx * bn, k * bk], B_shared)
                    else:
                        T.copy(B[k * bk, bx * bn], B_shared)
                    T.gemm(A_shared, B_shared, acc, transpose_A=ta, transpose_B=tb)
                T.copy(acc, C[by * bm, bx * bn])

        return main


@T.macro
def accumulate(A: Any, B: Any, A_shared: Any, B_shared: Any, acc: Any, row: Any, column: Any, steps: Any) -> None:
    """acc = A[row :] B[:, column :], in tiles of the shared buffers' shapes."""
    block_K = A_shared.shape[1]
    T.clear(acc)
    for k in T.Pipelined(steps, num_stages=2):
        T.copy(A[row, k * block_K], A_shared)
        T.copy(B[k * block_K, column], B_shared)
        T.gemm(A_shared, B_shared, acc)


def compiled(program: Any, **configs: bool) -> Any:
    """The kernel for the simulator; `configs` are pass configurations without their `tl.`."""
    return tilelang.compile(program, target=TARGET, pass_configs={f"tl.{key}": value for key, value in configs.items()})


def form(kernel: Any) -> set[str]:
    """How a kernel was lowered: its roles, its instruction for products, its copies."""
    lowered = kernel.ir("lowered")
    found = {
        "roles": '"tl.specialize"' in kernel.ir("scheduled"),
        "wgmma": "wgmma.mma_async" in lowered,
        "mma": "nvvm.mma.sync" in lowered,
        "bulk load": "nvvm.cp.async.bulk.tensor.shared" in lowered,
        "bulk store": "nvvm.cp.async.bulk.tensor.global" in lowered,
        "cp.async": "nvvm.cp.async.shared" in lowered,
        "overlap": '"wgmma.wait_group.sync.aligned 1' in lowered,
    }
    return {name for name, present in found.items() if present}


HOPPER = {"roles", "wgmma", "bulk load", "bulk store"}


def random(shape: Sequence[int], dtype: str = "float16", seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng([seed, *shape])
    if dtype.startswith("int"):
        return rng.integers(-9, 9, shape).astype(NUMPY[dtype])
    return rng.standard_normal(shape).astype(NUMPY[dtype])


def poisoned(shape: Sequence[int], dtype: str) -> np.ndarray:
    """An output that shows what was not written."""
    return np.full(shape, -(2**31) if dtype == "int32" else np.nan, NUMPY[dtype])


def f64(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64)


def check(got: np.ndarray, want: np.ndarray, dtype: str, tolerance: float = 0.0) -> None:
    value = f64(got)
    assert not np.isnan(value).any(), "a part of the output was not written"
    error = np.linalg.norm(value - want) / np.linalg.norm(want)
    assert error < (tolerance or TOLERANCE[dtype])


def check_gemm(case: Gemm, **configs: bool) -> Any:
    """Run a product on random inputs; returns the kernel."""
    kernel = compiled(case.program(), **configs)
    shape_a, shape_b, shape_c = case.shapes()
    a, b, c = random(shape_a, case.dtype, 1), random(shape_b, case.dtype, 2), poisoned(shape_c, case.out)
    kernel(a, b, c)
    left, right = f64(a).T if case.transpose_A else f64(a), f64(b).T if case.transpose_B else f64(b)
    tolerance = 2e-3 if case.dtype == "float32" else 0.0  # tf32 has ten bits
    check(c, left @ right, case.out, tolerance)
    return kernel
