"""Products of 8-bit and 4-bit operands: python benchmarks/bench_quantised.py [--quick]

fp8 with one scale per tensor against cuBLAS with fast accumulation; with scales per 128 columns (A) and 128 x 128
blocks (B) against the kernel with one scale per tensor; float16 by 4-bit weights against cuBLAS on the same weights in
float16. `ratio` is the peer's time over ours. The kernels are those of the examples; of their configurations the
fastest counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from harness import Report, arguments, compare, compiled, example, fastest, relative_error

from tilelang_mlir.ops import Tiling
from tilelang_mlir.ops.scaled import gemm_fp8
from tilelang_mlir.ops.scaled_blocks import BLOCKS, E4M3, PAIRS, gemm_fp8_blocks, gemm_fp8_blocks_persistent

# 8192 cubed, and projections of DeepSeek-V3.
FP8_SHAPES = [(8192, 8192, 8192), (4096, 7168, 2048), (4096, 24576, 1536), (4096, 4096, 7168)]
FP8_TILINGS = [Tiling(128, 256, 128, 4, 256), Tiling(128, 192, 128, 4, 128), Tiling(128, 128, 128, 3, 128)]
BLOCK_FORMS = [(PAIRS, 2), (BLOCKS, 1)]  # tiles, products per step
# Llama-3-8B: prefill and decoding.
INT4_SHAPES = [
    (4096, 14336, 4096), (64, 14336, 4096), (16, 14336, 4096), (1, 14336, 4096), (64, 4096, 14336), (16, 4096, 14336),
]  # fmt: skip
# block_N, block_K, stages, threads, parts of K; block_M is M from 8 up to 256.
INT4_CONFIGS = [
    (128, 128, 2, 256, 1), (128, 64, 4, 256, 1), (64, 128, 6, 128, 1), (128, 128, 6, 256, 1), (64, 128, 4, 128, 4),
    (128, 128, 6, 256, 4),
]  # fmt: skip
TOLERANCE = 1e-2  # bfloat16 results


def fp8(report: Report, M: int, N: int, K: int) -> None:
    """Two rows: one scale per tensor, and scales of blocks."""
    import torch

    a, b = (torch.randn(rows, K, device="cuda").to(torch.float8_e4m3fn) for rows in (M, N))
    scales = [torch.full((1,), value, device="cuda") for value in (0.75, K**-0.5)]
    steps, bands = -(-K // 128), -(-N // 128)
    by_row, by_block = (torch.rand(*shape, device="cuda") + 0.5 for shape in ((steps, M), (bands, steps)))
    left, right = a[:256].double(), b.double()
    want = left @ right.T * (0.75 * K**-0.5)
    spread = by_block.double().repeat_interleave(128, 0)[:N].repeat_interleave(128, 1)[:, :K]
    want_blocks = (left * by_row.T[:256].double().repeat_interleave(128, 1)[:, :K]) @ (right * spread).T
    tensor = compiled(gemm_fp8, [(M, N, K, E4M3, "bfloat16", tiling) for tiling in FP8_TILINGS], 1)
    blocks = compiled(gemm_fp8_blocks, [(M, N, K, E4M3, "bfloat16", BLOCKS)], 1)
    forms = [(M, N, K, E4M3, "bfloat16", *form) for form in BLOCK_FORMS]
    blocks |= compiled(gemm_fp8_blocks_persistent, forms, 2)
    of_tensor, of_blocks = (lambda k: k(a, b, *scales)), (lambda k: k(a, by_row, b, by_block))
    first = fastest(tensor, of_tensor, lambda c: relative_error(c[:256], want), TOLERANCE)
    second = fastest(blocks, of_blocks, lambda c: relative_error(c[:256], want_blocks), TOLERANCE)
    times = compare({
        "tensor": lambda: of_tensor(tensor[first]),
        "blocks": lambda: of_blocks(blocks[second]),
        "cublas": lambda: torch._scaled_mm(a, b.T, *scales, out_dtype=torch.bfloat16, use_fast_accum=True),
    }, 0.8)  # fmt: skip
    _add(report, f"fp8 per tensor {M}x{N}x{K}", first, 2 * M * N * K, times["tensor"], times["cublas"])
    _add(report, f"fp8 by blocks {M}x{N}x{K}, against ours per tensor", second, 2 * M * N * K, times["blocks"],
         times["tensor"])  # fmt: skip


def int4(report: Report, M: int, N: int, K: int) -> None:
    import torch

    module, rng, group = example("13"), np.random.default_rng(1), 128
    q = rng.integers(0, 16, (N, K), np.uint8)
    numbers = (rng.random((K // group, N)) * K**-0.5).astype(np.float16)
    weights = torch.from_numpy(module.dequantise(q, numbers, group)).cuda()
    packed, scales = torch.from_numpy(module.pack(q)).cuda(), torch.from_numpy(numbers).cuda()
    a = torch.randn(M, K, device="cuda").half()
    want = a[:64].double() @ weights.double().T
    cases = [(M, N, K, group, min(max(M, 8), 256), *config) for config in INT4_CONFIGS]
    kernels = compiled(module.gemm_int4, cases, 6)
    call = lambda k: k(a, packed, scales)
    best = fastest(kernels, call, lambda c: relative_error(c[:64], want), 2e-3)
    times = compare({"ours": lambda: call(kernels[best]), "cublas": lambda: a @ weights.T}, 0.5)
    _add(report, f"float16 x int4 {M}x{N}x{K}", best, 2 * M * N * K, times["ours"], times["cublas"])


def _add(report: Report, case: str, config: str, flops: float, ours: float, peer: float) -> None:
    report.add(
        case=case, config=config, ms=ours, tflops=flops / ours * 1e-9, peer_tflops=flops / peer * 1e-9,
        ratio=peer / ours,
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(__doc__, argv, "quick")
    report = Report("quantised", options.out)
    count: Any = 1 if options.quick else None
    for shape in FP8_SHAPES[:count]:
        fp8(report, *shape)
    for shape in INT4_SHAPES[:count]:
        int4(report, *shape)
    report.save()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
