"""Attention, forward, against cuDNN and flash attention in torch: python benchmarks/bench_attention.py [--quick]

float16, 16 heads of 128, full and causal; 4 sequences of 4096 and one of 16384. Ours is the kernel of the example, in
the best of a few configurations, on (batch, S, heads, D) tensors; torch gets (batch, heads, S, D), contiguous. Causal
work counts half. `ratio` is cuDNN's time over ours.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from harness import Report, arguments, compare, example, relative_error, require

HEADS, D = 16, 128
CONFIGS = [(128, 64, 2, 256), (128, 128, 2, 256), (64, 64, 2, 128)]  # block_M, block_N, stages, threads
QUERIES = 256  # that are checked: the last ones of the last head


def torch_attention(q: Any, k: Any, v: Any, causal: bool, backend: Any) -> Callable[[], Any]:
    """torch's attention through one backend."""
    from torch.nn.attention import sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    def call() -> Any:
        with sdpa_kernel(backend):
            return scaled_dot_product_attention(q, k, v, is_causal=causal)

    return call


def reference(q: Any, k: Any, v: Any, causal: bool) -> Any:
    """The checked queries in float64; q, k, v are (batch, heads, S, D)."""
    import torch

    S = q.shape[2]
    x, y, z = q[-1, -1, -QUERIES:].double(), k[-1, -1].double(), v[-1, -1].double()
    scores = x @ y.T * D**-0.5
    if causal:
        later = torch.arange(S, device=q.device)[None, :] > torch.arange(S - QUERIES, S, device=q.device)[:, None]
        scores = scores.masked_fill(later, float("-inf"))
    return scores.softmax(-1) @ z


def measure(report: Report, batch: int, S: int, causal: bool) -> float:
    """Add a row; returns cuDNN's time over ours."""
    import torch
    from torch.nn.attention import SDPBackend

    attention = example("11").attention
    heads_first = [torch.randn(batch, HEADS, S, D, device="cuda", dtype=torch.float16) for _ in range(3)]
    inputs = [x.transpose(1, 2).contiguous() for x in heads_first]
    want = reference(*heads_first, causal)
    kernels = attention.par_compile(
        [(batch, S, HEADS, HEADS, D, causal, "float16", *config) for config in CONFIGS], ignore_error=True
    )
    tried: dict[int, float] = {}
    for index, kernel in enumerate(kernels):
        if kernel is not None and kernel.n_spills == 0:
            got = kernel(*inputs)[-1, -QUERIES:, -1]
            require(f"attention {CONFIGS[index]}", relative_error(got, want), 2e-3)
            tried[index] = compare({"ours": lambda kernel=kernel: kernel(*inputs)}, 0.05)["ours"]
    best = min(tried, key=lambda index: tried[index])
    kernel: Any = kernels[best]
    calls: dict[str, Callable[[], Any]] = {"ours": lambda: kernel(*inputs)}
    for name, backend in (("cudnn", SDPBackend.CUDNN_ATTENTION), ("flash", SDPBackend.FLASH_ATTENTION)):
        calls[name] = torch_attention(*heads_first, causal, backend)
        require(name, relative_error(calls[name]()[-1, -1, -QUERIES:], want), 2e-3)
    times = compare(calls)
    rate = 4 * batch * HEADS * S * S * D * (0.5 if causal else 1) * 1e-9
    report.add(
        case=f"{'causal' if causal else 'full'} B={batch} S={S}", config="x".join(map(str, CONFIGS[best])),
        error=relative_error(kernel(*inputs)[-1, -QUERIES:, -1], want), registers=kernel.n_regs, ms=times["ours"],
        tflops=rate / times["ours"], cudnn_tflops=rate / times["cudnn"], flash_tflops=rate / times["flash"],
        ratio=times["cudnn"] / times["ours"],
    )  # fmt: skip
    return times["cudnn"] / times["ours"]


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(__doc__, argv, "quick")
    report = Report("attention", options.out)
    shapes = [(4, 4096)] if options.quick else [(4, 4096), (1, 16384)]
    ratios = [measure(report, batch, S, causal) for causal in (False, True) for batch, S in shapes]
    print(f"geometric mean of cudnn / ours: {statistics.geometric_mean(ratios):.3f}")
    report.save()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
