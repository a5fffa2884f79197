"""Products of many groups in one launch, as the experts of one device: python benchmarks/bench_grouped.py

Groups one after another (contiguous) against torch's grouped product and a loop of cuBLAS calls; a fixed number of rows
per group of which some are used (masked) against a batched product of all rows. `ratio` is the time of the best peer
over ours. The kernels are those of `ops`; of their configurations the fastest counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from harness import Call, Report, arguments, compare, compiled, fastest, relative_error

from tilelang_mlir.ops import Tiling, grouped_gemm, masked_gemm

BLOCK = 128
TILINGS = [Tiling(128, 128, 64, 3, 128), Tiling(128, 256, 64, 4, 256), Tiling(128, 128, 64, 4, 256)]
# Rows of each group; N; K: the experts of DeepSeek-V3.
CONTIGUOUS = [((1024,) * 8, 4096, 7168), ((777, 1500, 3, 4096, 512, 129, 2048, 64), 7168, 2048)]
# Used rows of each group; rows; N; K.
MASKED = [
    ((96, 31, 0, 64, 128, 77, 1, 115), 1024, 4096, 7168),
    ((1024, 900, 700, 512, 1000, 128, 640, 333), 1024, 4096, 7168),
]
TOLERANCE = 1e-2


def contiguous(report: Report, sizes: Sequence[int], N: int, K: int) -> None:
    import torch

    tiles = [-(-size // BLOCK) for size in sizes]
    starts = [int(start) * BLOCK for start in np.cumsum([0, *tiles[:-1]])]
    M, groups = sum(tiles) * BLOCK, len(sizes)
    experts = torch.from_numpy(np.repeat(np.arange(groups, dtype=np.int32), tiles)).cuda()
    a = torch.randn(M, K, device="cuda").bfloat16()
    b = (torch.randn(groups, N, K, device="cuda") * K**-0.5).bfloat16()
    want = torch.cat([a[s : s + 16].double() @ b[g].double().T for g, s in enumerate(starts)])
    cases = [(M, N, K, groups, "bfloat16", tiling) for tiling in TILINGS]
    kernels = compiled(grouped_gemm, cases, 1)
    call = lambda k: k(a, b, experts)
    picked = [row for s, size in zip(starts, sizes, strict=True) for row in range(s, s + 16)]
    best = fastest(kernels, call, lambda c: relative_error(c[picked], want), TOLERANCE)
    ends = torch.tensor([s + t * BLOCK for s, t in zip(starts, tiles, strict=True)], device="cuda", dtype=torch.int32)
    calls: dict[str, Call] = {
        "ours": lambda: call(kernels[best]),
        "loop": lambda: [a[s : s + size] @ b[g].T for g, (s, size) in enumerate(zip(starts, sizes, strict=True))],
    }
    if hasattr(torch, "_grouped_mm"):
        calls["torch"] = lambda: torch._grouped_mm(a, b.transpose(1, 2), offs=ends, out_dtype=torch.bfloat16)
    _add(report, f"contiguous, {sum(sizes)} rows {N}x{K}", best, 2 * sum(sizes) * N * K, compare(calls, 0.6))


def masked(report: Report, counts: Sequence[int], M: int, N: int, K: int) -> None:
    import torch

    groups = len(counts)
    used = torch.tensor(counts, device="cuda", dtype=torch.int32)
    a = torch.randn(groups, M, K, device="cuda").bfloat16()
    b = (torch.randn(groups, N, K, device="cuda") * K**-0.5).bfloat16()
    want = torch.cat([a[g, :n].double() @ b[g].double().T for g, n in enumerate(counts)])
    kernels = compiled(masked_gemm, [(M, N, K, groups, "bfloat16", tiling) for tiling in TILINGS], 1)
    call = lambda k: k(a, b, used)
    error = lambda c: relative_error(torch.cat([c[g, :n] for g, n in enumerate(counts)]), want)
    best = fastest(kernels, call, error, TOLERANCE)
    calls = {"ours": lambda: call(kernels[best]), "torch": lambda: torch.bmm(a, b.transpose(1, 2))}
    _add(report, f"masked, {sum(counts)} of {groups * M} rows {N}x{K}", best, 2 * sum(counts) * N * K,
         compare(calls, 0.6))  # fmt: skip


def _add(report: Report, case: str, config: str, flops: float, times: dict[str, float]) -> None:
    peer = min((name for name in times if name != "ours"), key=lambda name: times[name])
    report.add(
        case=case, config=config, ms=times["ours"], tflops=flops / times["ours"] * 1e-9, peer=peer,
        peer_tflops=flops / times[peer] * 1e-9, ratio=times[peer] / times["ours"],
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(__doc__, argv)
    report = Report("grouped", options.out)
    for case in CONTIGUOUS:
        contiguous(report, *case)
    for counts, *shape in MASKED:
        masked(report, counts, *shape)
    report.save()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
