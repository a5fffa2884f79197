"""Products with a 2:4 sparse operand: python benchmarks/bench_sparse.py

`ops.sparse_matmul` against cuBLAS' dense product of the same matrices, and cuSPARSELt's sparse one through
`torch.sparse.to_sparse_semi_structured` where torch has it. Operations count as those of the dense product; `ratio` is
cuBLAS' time over ours, `sparse_ratio` cuSPARSELt's. Matrices are compressed beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from harness import Report, arguments, compare, relative_error, require

from tilelang_mlir import ops
from tilelang_mlir.utils.sparse import randn_semi_sparse

FP8 = "float8_e4m3"
CASES = [
    ((4096, 4096, 4096), "float16"), ((8192, 8192, 8192), "float16"), ((1024, 4096, 4096), "float16"),
    ((4096, 4096, 4096), FP8), ((8192, 8192, 8192), FP8),
]  # fmt: skip
LIMIT = 1e-2


def dense(a: Any, b: Any) -> Callable[[], Any]:
    """cuBLAS' product of `a` and the transpose of `b`."""
    import torch

    if a.dtype == torch.float16:
        return lambda: torch.matmul(a, b.T)
    one = torch.ones((), device="cuda")
    return lambda: torch._scaled_mm(a, b.T, one, one, out_dtype=torch.bfloat16, use_fast_accum=True)


def measure(report: Report, shape: tuple[int, int, int], dtype: str) -> None:
    """Add a row."""
    import torch

    M, N, K = shape
    kind = torch.float8_e4m3fn if dtype == FP8 else getattr(torch, dtype)
    a = randn_semi_sparse(M, K, dtype=torch.float16).to(kind)
    b = torch.randn(N, K, device="cuda").to(kind)
    kept, places = ops.sparsify(a)
    call = lambda: ops.sparse_matmul(kept, places, b.T)
    error = require(f"{shape} {dtype}", relative_error(call()[:256], a[:256].double() @ b.double().T), LIMIT)
    calls: dict[str, Callable[[], Any]] = {"ours": call, "dense": dense(a, b)}
    if dtype == "float16":
        torch.sparse.SparseSemiStructuredTensor._FORCE_CUTLASS = False
        theirs = torch.sparse.to_sparse_semi_structured(a)
        calls["sparse"] = lambda: torch.matmul(theirs, b.T)
    times = compare(calls)
    rate = 2 * M * N * K * 1e-9
    report.add(
        case=f"{M}x{N}x{K} {dtype}", config=str(ops.sparse_tiling(M, N, dtype)), error=error, ms=times["ours"],
        tflops=rate / times["ours"], dense_tflops=rate / times["dense"],
        sparse_tflops=rate / times["sparse"] if "sparse" in times else math.nan, ratio=times["dense"] / times["ours"],
        sparse_ratio=times["sparse"] / times["ours"] if "sparse" in times else math.nan,
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(__doc__, argv)
    report = Report("sparse", options.out)
    for case in CASES:
        measure(report, *case)
    report.save()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
