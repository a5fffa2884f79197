"""GEMM against cuBLAS: python benchmarks/bench_gemm.py [--quick]

fp16 and bf16, B as (K, N) and as (N, K). Per shape the best of a few tile configurations, compiled in parallel, is
compared with `torch.matmul` in one interleaved run. Every configuration is checked before it is timed. The last rows
are the same program on the instructions of older parts: `mma.sync` fed by `cp.async`.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from harness import Report, arguments, compare, relative_error, require

import tilelang_mlir as tilelang
import tilelang_mlir.language as T

# block_M, block_N, block_K, stages, threads
CONFIGS = [
    (128, 128, 32, 3, 128),
    (128, 128, 32, 4, 128),
    (128, 128, 64, 3, 128),
    (128, 256, 32, 3, 256),
    (128, 256, 64, 3, 256),
    (128, 256, 64, 4, 256),
]
# The same for `mma.sync`, whose tiles stay in registers.
MMA_CONFIGS = [
    (128, 128, 64, 3, 128),
    (128, 256, 64, 4, 256),
    (256, 128, 64, 4, 256),
]
MMA_ONLY = {"tl.disable_warp_specialized": True, "tl.disable_wgmma": True}
SHAPES = [(4096, 4096, 4096), (8192, 8192, 8192), (8192, 8192, 1024), (4096, 14336, 4096), (2048, 2048, 2048)]
TOLERANCE = {"float16": 2e-3, "bfloat16": 1e-2}


def matmul(M, N, K, dtype, b_rows, block_M, block_N, block_K, stages, threads):
    """C = A @ B; with `b_rows` B is stored as (N, K)."""

    @T.prim_func
    def gemm(A: T.Tensor((M, K), dtype), B: T.Tensor((N, K) if b_rows else (K, N), dtype), C: T.Tensor((M, N), dtype)):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=threads) as (bx, by):
            A_shared = T.alloc_shared((block_M, block_K), dtype)
            B_shared = T.alloc_shared((block_N, block_K) if b_rows else (block_K, block_N), dtype)
            acc = T.alloc_fragment((block_M, block_N), "float32")
            T.use_swizzle(8)
            T.clear(acc)
            for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=stages):
                T.copy(A[by * block_M, k * block_K], A_shared)
                if b_rows:
                    T.copy(B[bx * block_N, k * block_K], B_shared)
                else:
                    T.copy(B[k * block_K, bx * block_N], B_shared)
                T.gemm(A_shared, B_shared, acc, transpose_B=b_rows)
            T.copy(acc, C[by * block_M, bx * block_N])

    return gemm


matmul_wgmma = tilelang.jit(out_idx=[-1])(matmul)
matmul_mma = tilelang.jit(out_idx=[-1], pass_configs=MMA_ONLY)(matmul)


def measure(report: Report, M: int, N: int, K: int, dtype: str, b_rows: bool, mma: bool = False) -> float:
    """Add a row; returns cuBLAS' time over ours."""
    import torch

    kind = getattr(torch, dtype)
    a = torch.randn(M, K, device="cuda", dtype=kind)
    b = torch.randn(*((N, K) if b_rows else (K, N)), device="cuda", dtype=kind)
    right = b.T if b_rows else b
    want = a[:256].double() @ right.double()
    build, configs = (matmul_mma, MMA_CONFIGS) if mma else (matmul_wgmma, CONFIGS)
    kernels = build.par_compile([(M, N, K, dtype, b_rows, *config) for config in configs], ignore_error=True)
    timed: dict[tuple[int, ...], float] = {}
    for config, kernel in zip(configs, kernels, strict=True):
        if kernel is not None and kernel.n_spills == 0:
            require(f"gemm {config}", relative_error(kernel(a, b)[:256], want), TOLERANCE[dtype])
            timed[config] = compare({"ours": lambda kernel=kernel: kernel(a, b)}, 0.1)["ours"]
    best = min(timed, key=lambda config: timed[config])
    kernel: Any = kernels[configs.index(best)]
    error = relative_error(kernel(a, b)[:256], want)
    times = compare({"ours": lambda: kernel(a, b), "cublas": lambda: torch.matmul(a, right)})
    rate = 2 * M * N * K * 1e-9
    report.add(
        shape=f"{M}x{N}x{K} {dtype} {'NT' if b_rows else 'NN'}",
        instruction="mma.sync" if mma else "wgmma",
        config="x".join(map(str, best)), error=error, registers=kernel.n_regs, ms=times["ours"],
        tflops=rate / times["ours"], cublas_tflops=rate / times["cublas"], ratio=times["cublas"] / times["ours"],
    )  # fmt: skip
    return times["cublas"] / times["ours"]


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(__doc__, argv, "quick")
    report = Report("gemm", options.out)
    cases = [(*shape, "float16", True) for shape in SHAPES[: 1 if options.quick else None]]
    cases += [(*shape, "float16", False) for shape in SHAPES[:1]]
    if not options.quick:
        cases += [(*shape, "bfloat16", True) for shape in SHAPES[:2]]
    ratios = [measure(report, *case) for case in cases]
    for b_rows in (True, False):
        measure(report, *SHAPES[0], "float16", b_rows, mma=True)
    print(f"geometric mean of cublas / ours: {statistics.geometric_mean(ratios):.3f}")
    report.save()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
