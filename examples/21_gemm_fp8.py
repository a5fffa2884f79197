"""GEMMs of 8-bit floats, two ways to scale them.

`gemm_fp8` has one scale per tensor: C = scale_a * scale_b * A B^T, summed by the tensor cores as they are ("fast
accumulation"). `gemm_fp8_blocks` has a scale per row of A and 128 columns, and one per 128 x 128 block of B, as models
trained in 8 bits use: the product of each 128 columns is scaled and added up in float32, which also makes up for the
few bits that the tensor cores keep of their sums.

The programs are those of the ready operation `ops.scaled_matmul` (tilelang_mlir/ops/scaled.py). Shown there: fp8
tensors, two accumulators of one product (`clear_accum`), a row of factors that follows the layout of an accumulator.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from support import Run, float64

from tilelang_mlir.ops import Tiling
from tilelang_mlir.ops.scaled import WIDE, gemm_fp8, tensor_tiling
from tilelang_mlir.ops.scaled_blocks import BLOCK, E4M3, blocks_form, gemm_fp8_blocks
from tilelang_mlir.target import Feature

NEEDS = Feature.MMA_FP8


def kind(run: Run) -> str:
    """The 8-bit floats of the target: CDNA3 has a format of its own."""
    return "float8_e4m3fnuz" if run.target.supports(Feature.FP8_FNUZ) else E4M3


def spread(scales: np.ndarray, rows: int, columns: int, height: int) -> np.ndarray:
    """Scales of blocks of `height` x 128, one per element of a (rows, columns) matrix."""
    return scales.repeat(height, axis=0)[:rows].repeat(BLOCK, axis=1)[:, :columns]


def per_tensor(run: Run, M: int, N: int, K: int, tiling: Tiling) -> None:
    out = run.dtype
    kernel = run.kernel(gemm_fp8, M, N, K, kind(run), out, tiling)
    if run.compile_only:
        return
    a, b = run.random((M, K), kind(run)), run.random((N, K), kind(run))
    scales = [run.on_device(np.full(1, value, np.float32)) for value in (0.75, K**-0.5)]
    rows = run.rows(M)
    want = float64(a[rows]) @ float64(b).T * 0.75 * K**-0.5
    # The tensor cores keep some 13 bits of a sum: the error grows with K.
    run.check(f"gemm_fp8 {M}x{N}x{K}", kernel(a, b, *scales)[rows], want, "bfloat16")

    def peer() -> Any:
        import torch

        dtype = torch.bfloat16
        return torch._scaled_mm(a, b.T, *scales, out_dtype=dtype, use_fast_accum=True)  # pyright: ignore

    run.time(lambda: kernel(a, b, *scales), peer, flops=2 * M * N * K)


def by_blocks(run: Run, M: int, N: int, K: int, factory: Any, *form: Any) -> None:
    kernel = run.kernel(factory, M, N, K, kind(run), run.dtype, *form)
    if run.compile_only:
        return
    a, b = run.random((M, K), kind(run)), run.random((N, K), kind(run))
    rng = np.random.default_rng(1)
    steps, bands = -(-K // BLOCK), -(-N // BLOCK)
    scales_a, scales_b = (rng.random(shape, np.float32) + 0.5 for shape in ((steps, M), (bands, steps)))
    rows = run.rows(M)
    left = float64(a[rows]) * spread(scales_a.T[rows], len(rows), K, 1)
    want = left @ (float64(b) * spread(scales_b, N, K, BLOCK)).T
    inputs = a, run.on_device(scales_a), b, run.on_device(scales_b)
    run.check(f"gemm_fp8_blocks {M}x{N}x{K}", kernel(*inputs)[rows], want)
    run.time(lambda: kernel(*inputs), flops=2 * M * N * K)


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    square = Tiling(128, 128, 128, 2, 256)
    small = [(per_tensor, 136, 264, 400, square), (by_blocks, 130, 136, 400, gemm_fp8_blocks, square)]
    # 8192 cubed, and projections of DeepSeek-V3 (hidden size 7168).
    shapes = [(8192, 8192, 8192), (4096, 7168, 2048), (4096, 24576, 1536)]
    wide = run.target.supports(Feature.WGMMA)
    real: list[Any] = [(per_tensor, *shape, WIDE if wide else tensor_tiling(*shape, run.target)) for shape in shapes]
    real += [(by_blocks, *shape, *blocks_form(*shape[:2], run.target)) for shape in shapes]
    for measure, *case in run.pick(small, real):
        measure(run, *case)
    return run


if __name__ == "__main__":
    main()
