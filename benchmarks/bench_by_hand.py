"""The plain program of a product against one whose roles, barriers and copies are written by hand.

    python benchmarks/bench_by_hand.py

Plain is `ops.gemm`, with tiles chosen by its model; by hand is example 24, in the faster of two configurations. `ratio`
is the time of the latter over that of the former.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness import Call, Report, arguments, compare, compiled, example, fastest, relative_error, require

from tilelang_mlir import ops

SHAPES = [(4096, 4096, 4096), (8192, 8192, 8192), (8192, 8192, 1024)]
# block_M, block_N, block_K, stages
CONFIGS = [(128, 256, 64, 3), (128, 128, 64, 5)]
TOLERANCE = 2e-3


def measure(report: Report, M: int, N: int, K: int) -> None:
    import torch

    a, b = (torch.randn(rows, K, device="cuda").half() for rows in (M, N))
    want = a[:256].double() @ b.double().T
    kernels = compiled(example("24").gemm_by_hand, [(M, N, K, "float16", *config) for config in CONFIGS], 4)
    best = fastest(kernels, lambda k: k(a, b), lambda c: relative_error(c[:256], want), TOLERANCE)
    plain = ops.gemm(M, N, K)
    error = require("plain", relative_error(plain(a, b)[:256], want), TOLERANCE)
    calls: dict[str, Call] = {"plain": lambda: plain(a, b), "hand": lambda: kernels[best](a, b)}
    times = compare(calls, 0.6)
    rate = 2 * M * N * K * 1e-9
    report.add(
        case=f"{M}x{N}x{K} float16", config=best, error=error, ms=times["plain"], tflops=rate / times["plain"],
        hand_tflops=rate / times["hand"], ratio=times["hand"] / times["plain"],
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(__doc__, argv)
    report = Report("by_hand", options.out)
    for shape in SHAPES:
        measure(report, *shape)
    report.save()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
