"""Matrix products against cuBLAS and Triton: python benchmarks/bench_gemm.py [--quick]

Kernels are those of `tilelang_mlir.ops.gemm`: tiles are chosen from the sizes, nothing is tuned. Peers are
`torch.matmul` (`torch._scaled_mm` with fast accumulation for eight-bit elements) and a Triton kernel with tensor
descriptors, autotuned over a few configurations. All are timed in one interleaved run per shape, after a check. The
last rows are a program on the instructions of older parts: `mma.sync` fed by `cp.async`.
"""

from __future__ import annotations

import importlib.util
import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from harness import Report, arguments, compare, relative_error, require

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import ops
from tilelang_mlir.ops.tiling import Tiling

# block_M, block_N, block_K, stages, threads of the program on `mma.sync`, whose tiles stay in registers.
MMA_CONFIGS = [(128, 128, 64, 3, 128), (128, 256, 64, 4, 256), (256, 128, 64, 4, 256)]
MMA_ONLY = {"tl.disable_warp_specialized": True, "tl.disable_wgmma": True}
SHAPES = [
    (4096, 4096, 4096),
    (8192, 8192, 8192),
    (8192, 8192, 256),
    (8192, 8192, 1024),
    (8192, 8192, 16384),
    (4096, 28672, 8192),  # the two products of an MLP of Llama 3 70B
    (4096, 8192, 28672),
    (4096, 2112, 7168),
    (64, 8192, 8192),
]
OTHER_SHAPES = [(64, 28672, 8192), (64, 8192, 28672), (1024, 1024, 1024), (2048, 2048, 2048)]
# Few rows: decoding and small batches, projections of Llama 3 and DeepSeek-V3.
FEW_ROWS = [
    (1, 28672, 8192), (1, 4096, 14336), (16, 4096, 4096), (16, 8192, 28672), (64, 4096, 7168), (128, 7168, 16384),
    (192, 8192, 8192), (320, 8192, 4096), (512, 4096, 7168), (1000, 7168, 2048),
]  # fmt: skip
LAYOUTS = {"NT": (False, True), "NN": (False, False), "TN": (True, False), "TT": (True, True)}
TOLERANCE = {"float16": 2e-3, "bfloat16": 1e-2, "float8_e4m3": 1e-2}
EIGHT_BIT = "float8_e4m3"


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


matmul_mma = tilelang.jit(out_idx=[-1], pass_configs=MMA_ONLY)(matmul)


def operands(M: int, N: int, K: int, dtype: str, layout: str) -> tuple[Any, Any, Callable[[], Any], Any]:
    """A and B as they are stored, cuBLAS' product of them, and the exact first rows."""
    import torch

    trans_a, trans_b = LAYOUTS[layout]
    kind = torch.float8_e4m3fn if dtype == EIGHT_BIT else getattr(torch, dtype)
    a = torch.randn(*((K, M) if trans_a else (M, K)), device="cuda").to(kind)
    b = torch.randn(*((N, K) if trans_b else (K, N)), device="cuda").to(kind)
    left, right = a.T if trans_a else a, b.T if trans_b else b
    want = left[:256].double() @ right.double()
    if dtype != EIGHT_BIT:
        return a, b, lambda: torch.matmul(left, right), want
    one = torch.ones((), device="cuda")
    options: dict[str, Any] = {"out_dtype": torch.bfloat16, "use_fast_accum": True}
    return a, b, lambda: torch._scaled_mm(left, right, one, one, **options), want


def measure(report: Report, shape: tuple[int, int, int], dtype: str, layout: str, peers: bool = False,
            kind: str = "wgmma") -> float:  # fmt: skip
    """Add a row; returns cuBLAS' time over ours. `kind`: what it counts for, by default the instruction."""
    M, N, K = shape
    a, b, cublas, want = operands(M, N, K, dtype, layout)
    trans_A, trans_B = LAYOUTS[layout]
    kernel = ops.gemm(M, N, K, dtype, trans_A=trans_A, trans_B=trans_B)
    # cuBLAS rounds K terms of eight bits in another order: both are compared with the exact product.
    error = require(f"{shape} {dtype} {layout}", relative_error(kernel(a, b)[:256], want), TOLERANCE[dtype])
    calls: dict[str, Callable[[], Any]] = {"ours": lambda: kernel(a, b), "cublas": cublas}
    if peers and importlib.util.find_spec("triton"):
        from triton_peers import gemm_by_descriptors

        calls["triton"] = gemm_by_descriptors(a, b)
        require("triton", relative_error(calls["triton"]()[:256], want), TOLERANCE[dtype])
    times = compare(calls)
    rate = 2 * M * N * K * 1e-9
    tiling: Tiling = ops.choose(M, N, K, 8 if dtype == EIGHT_BIT else 16, trans_A=trans_A, trans_B=trans_B)
    config = str(tiling)
    report.add(
        shape=f"{M}x{N}x{K} {dtype} {layout}", instruction=kind, config=config, error=error,
        registers=kernel.n_regs, ms=times["ours"], tflops=rate / times["ours"], cublas_tflops=rate / times["cublas"],
        triton_tflops=rate / times["triton"] if "triton" in times else math.nan, ratio=times["cublas"] / times["ours"],
    )  # fmt: skip
    return times["cublas"] / times["ours"]


def measure_mma(report: Report, M: int, N: int, K: int, dtype: str, b_rows: bool) -> None:
    """The best configuration of the program on `mma.sync`."""
    a, b, cublas, want = operands(M, N, K, dtype, "NT" if b_rows else "NN")
    kernels = matmul_mma.par_compile([(M, N, K, dtype, b_rows, *c) for c in MMA_CONFIGS], ignore_error=True)
    timed: dict[tuple[int, ...], float] = {}
    for config, kernel in zip(MMA_CONFIGS, kernels, strict=True):
        if kernel is not None and kernel.n_spills == 0:
            require(f"gemm {config}", relative_error(kernel(a, b)[:256], want), TOLERANCE[dtype])
            timed[config] = compare({"ours": lambda kernel=kernel: kernel(a, b)}, 0.1)["ours"]
    best = min(timed, key=lambda config: timed[config])
    kernel: Any = kernels[MMA_CONFIGS.index(best)]
    error = relative_error(kernel(a, b)[:256], want)
    times = compare({"ours": lambda: kernel(a, b), "cublas": cublas})
    rate = 2 * M * N * K * 1e-9
    report.add(
        shape=f"{M}x{N}x{K} {dtype} {'NT' if b_rows else 'NN'}", instruction="mma.sync",
        config="x".join(map(str, best)), error=error, registers=kernel.n_regs, ms=times["ours"],
        tflops=rate / times["ours"], cublas_tflops=rate / times["cublas"], triton_tflops=math.nan,
        ratio=times["cublas"] / times["ours"],
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(__doc__, argv, "quick")
    report = Report("gemm", options.out)
    some = 1 if options.quick else None
    ratios = [measure(report, shape, "float16", "NT", peers=True) for shape in SHAPES[:some]]
    if not options.quick:
        ratios += [measure(report, shape, "bfloat16", "NT", peers=True) for shape in SHAPES]
        others = [(shape, "bfloat16", "NT") for shape in OTHER_SHAPES]
        others += [(SHAPES[0], dtype, layout) for dtype in ("float16", "bfloat16") for layout in ("NN", "TN", "TT")]
        others += [(SHAPES[1], "float16", layout) for layout in ("NN", "TN", "TT")]
        for case in others:
            measure(report, *case)
        cases = [(shape, "bfloat16", layout) for shape in FEW_ROWS for layout in ("NT", "NN")]
        few = [measure(report, *case, kind="wgmma, 1 to 1000 rows") for case in cases]
        print(f"geometric mean of cublas / ours, few rows: {statistics.geometric_mean(few):.3f}, least {min(few):.3f}")
        measure(report, SHAPES[1], EIGHT_BIT, "NT")
        measure(report, SHAPES[0], EIGHT_BIT, "NT")
    for b_rows in (True, False):
        measure_mma(report, *SHAPES[0], "float16", b_rows)
    print(f"geometric mean of cublas / ours, {len(ratios)} shapes: {statistics.geometric_mean(ratios):.3f}")
    report.save()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
