"""Kernels bound by memory, against a plain device copy and against torch: python benchmarks/bench_bandwidth.py

Rates count each input and output once; the L2 cache holds nothing then that is still to be written. `of_copy` is a rate
over that of `tensor.copy_` on the same matrix in the same rounds; `ratio` is torch's time over ours. The kernels are
those of the examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness import Call, Report, arguments, compare, example, relative_error, require

import tilelang_mlir as tilelang
import tilelang_mlir.language as T

ROWS, COLUMNS, DTYPE = 8192, 16384, "bfloat16"
TOLERANCE = 1e-2


@tilelang.jit(out_idx=[-1])
def copy(M, N, dtype, block_M=4, block_N=2048, threads=256):
    @T.prim_func
    def copy_tiles(X: T.Tensor((M, N), dtype), Y: T.Tensor((M, N), dtype)):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=threads) as (bx, by):
            tile = T.alloc_fragment((block_M, block_N), dtype)
            T.copy(X[by * block_M, bx * block_N], tile)
            T.copy(tile, Y[by * block_M, bx * block_N])

    return copy_tiles


def cases(x: Any) -> dict[str, tuple[list[Any], Call, Call, int]]:
    """By name: kernels to choose from, their arguments bound; the reference; torch's call; bytes moved."""
    import torch
    from torch.nn import functional as F

    M, N = x.shape
    weight, bias = (torch.randn(N, device="cuda", dtype=x.dtype) for _ in range(2))
    double, moved = x[:256].double(), 2 * x.nbytes
    labels = torch.randint(0, N, (M,), device="cuda", dtype=torch.int32)
    wide, entropy = labels.long(), example("20").cross_entropy
    softmax, layer_norm = example("04").softmax, example("06").layer_norm
    rms_norm, transpose, gemv = example("05").rms_norm, example("07").transpose, example("10").gemv
    rms = [rms_norm.compile(M=M, N=N, dtype=DTYPE, threads=threads) for threads in (512, 1024)]
    return {
        "copy": (
            [lambda k=k: k(x) for k in (copy(M, N, DTYPE), copy(M, N, DTYPE, 1, 4096))],
            lambda: double, x.clone, moved,
        ),
        "softmax": (
            [lambda k=k: k(x) for k in (softmax(M, N, DTYPE, threads) for threads in (256, 512))],
            lambda: double.softmax(-1), lambda: x.softmax(-1), moved,
        ),
        "rms_norm": (
            [lambda k=k: k(x, weight) for k in rms],
            lambda: F.rms_norm(double, (N,), weight.double(), 1e-5), lambda: F.rms_norm(x, (N,), weight, 1e-5), moved,
        ),
        "layer_norm": (
            [lambda k=k: k(x, weight, bias) for k in (layer_norm(M, N, DTYPE, threads) for threads in (256, 512))],
            lambda: F.layer_norm(double, (N,), weight.double(), bias.double()),
            lambda: F.layer_norm(x, (N,), weight, bias), moved,
        ),
        "cross_entropy": (
            [lambda k=k: k(x, labels) for k in (entropy(M, N, DTYPE, *c) for c in ((256, 32), (256, 64), (512, 16)))],
            lambda: F.cross_entropy(double, wide[:256], reduction="none"),
            lambda: F.cross_entropy(x, wide, reduction="none"), x.nbytes,
        ),
        "transpose": (
            [lambda k=k: k(x) for k in (transpose.compile(M=M, N=N, dtype=DTYPE, block=b, threads=4 * b)
                                        for b in (64, 128))],
            lambda: x.T[:256].double(), lambda: x.T.contiguous(), moved,
        ),
        "gemv": (
            [lambda k=k: k(x, weight) for k in (gemv.compile(N=M, K=N, dtype=DTYPE, rows=r, block_K=b, threads=t)
                                        for r, b, t in ((4, 1024, 128), (1, 1024, 128), (1, 8192, 256)))],
            lambda: double @ weight.double(), lambda: x @ weight, x.nbytes,
        ),
    }  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(__doc__, argv)
    import torch

    report = Report("bandwidth", options.out)
    x = torch.randn(ROWS, COLUMNS, device="cuda").to(getattr(torch, DTYPE))
    target = torch.empty_like(x)
    for name, (variants, reference, peer, moved) in cases(x).items():
        want = reference()
        errors = [require(name, relative_error(call()[: len(want)], want), TOLERANCE) for call in variants]
        tried = [compare({"ours": call}, 0.05, clean=True)["ours"] for call in variants]
        best = tried.index(min(tried))
        times = compare({"ours": variants[best], "torch": peer, "copy": lambda: target.copy_(x)}, clean=True)
        rates = {
            "ours": moved / times["ours"], "torch": moved / times["torch"], "copy": 2 * x.nbytes / times["copy"]
        }  # fmt: skip
        report.add(
            kernel=f"{name} {ROWS}x{COLUMNS} {DTYPE}", error=errors[best], ms=times["ours"],
            tbps=rates["ours"] * 1e-9, copy_tbps=rates["copy"] * 1e-9, of_copy=rates["ours"] / rates["copy"],
            torch_tbps=rates["torch"] * 1e-9, ratio=times["torch"] / times["ours"],
        )  # fmt: skip
    report.save()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
