"""Attention against cuDNN and flash attention in torch: python benchmarks/bench_attention.py [--quick]

float16 and bfloat16, 16 heads of 128, full and causal; sequences of 1024, 4096 and 16384, 16384 tokens in all; also
heads of 64, 256, and 192 with values of 128, 32 heads that share the keys of 8, and packed sequences of many lengths
(forward). Ours are the kernel of example 11 (forward, the first rows), the best of a few configurations, and
`ops.attention`, `ops.attention_varlen` and `ops.attention_backward`, on (batch, S, heads, D) tensors; torch gets
(batch, heads, S, D), contiguous. Backward is all that is needed besides the forward's results: sums over rows, zeroing,
the gradients. Causal work counts half. `ratio` is cuDNN's time over ours, for packed sequences
that of torch's flash attention.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from harness import Call, Report, arguments, compare, example, relative_error, require

from tilelang_mlir import ops

HEADS, D = 16, 128
LIMITS = {"float16": 2e-3, "bfloat16": 1e-2}
SHAPES = [(16, 1024), (4, 4096), (1, 16384)]
# block_M, block_N, stages, threads; for causal attention also heads per group, and whether blocks come in pairs
CONFIGS = [(192, 80, 2, 384), (128, 128, 2, 256)]
CAUSAL_CONFIGS = [(192, 80, 2, 384, 16, False), (128, 128, 2, 256, 4, True)]
OTHER_HEADS = [(16, 16, 64, 64), (16, 16, 192, 128), (16, 16, 256, 256), (32, 8, 128, 128)]  # queries, keys, widths
LENGTHS = (300, 1717, 4096, 511, 2048, 64, 1025, 6623)  # of packed sequences
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


def measure(report: Report, dtype: str, batch: int, S: int, causal: bool) -> float:
    """Add a row; returns cuDNN's time over ours."""
    import torch
    from torch.nn.attention import SDPBackend

    attention = example("11").attention
    shape = (batch, HEADS, S, D)
    heads_first = [torch.randn(*shape, device="cuda", dtype=getattr(torch, dtype)) for _ in range(3)]
    inputs = [x.transpose(1, 2).contiguous() for x in heads_first]
    want = reference(*heads_first, causal)
    configs: Sequence[tuple[Any, ...]] = CAUSAL_CONFIGS if causal else CONFIGS
    kernels = attention.par_compile(
        [(batch, S, HEADS, HEADS, D, causal, dtype, *config) for config in configs], ignore_error=True
    )
    tried: dict[int, float] = {}
    for index, kernel in enumerate(kernels):
        if kernel is not None and kernel.n_spills == 0:
            got = kernel(*inputs)[-1, -QUERIES:, -1]
            require(f"attention {configs[index]}", relative_error(got, want), LIMITS[dtype])
            tried[index] = compare({"ours": lambda kernel=kernel: kernel(*inputs)}, 0.05)["ours"]
    best = min(tried, key=lambda index: tried[index])
    kernel: Any = kernels[best]
    calls: dict[str, Callable[[], Any]] = {"ours": lambda: kernel(*inputs)}
    for name, backend in (("cudnn", SDPBackend.CUDNN_ATTENTION), ("flash", SDPBackend.FLASH_ATTENTION)):
        calls[name] = torch_attention(*heads_first, causal, backend)
        require(name, relative_error(calls[name]()[-1, -1, -QUERIES:], want), LIMITS[dtype])
    times = compare(calls)
    rate = 4 * batch * HEADS * S * S * D * (0.5 if causal else 1) * 1e-9
    report.add(
        case=f"{'causal' if causal else 'full'} {dtype} B={batch} S={S}", config="x".join(map(str, configs[best])),
        error=relative_error(kernel(*inputs)[-1, -QUERIES:, -1], want), registers=kernel.n_regs, ms=times["ours"],
        tflops=rate / times["ours"], cudnn_tflops=rate / times["cudnn"], flash_tflops=rate / times["flash"],
        ratio=times["cudnn"] / times["ours"],
    )  # fmt: skip
    return times["cudnn"] / times["ours"]


def described(heads: tuple[int, int, int, int]) -> str:
    """What of the heads a row's name says."""
    queries, keys, width, values = heads
    of = "" if queries == keys else f" H={queries}/{keys}"
    return of if (width, values) == (D, D) else f"{of} D={width}" if width == values else f"{of} D={width}/{values}"


def measure_other(
    report: Report, dtype: str, batch: int, S: int, causal: bool, heads: tuple[int, int, int, int]
) -> None:
    """Add a row for `ops.attention` with other numbers or widths of heads."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    queries, keys, width, values = heads
    shapes = ((queries, width), (keys, width), (keys, values))
    q, k, v = (torch.randn(batch, h, S, d, device="cuda", dtype=getattr(torch, dtype)) for h, d in shapes)
    inputs = [x.transpose(1, 2).contiguous() for x in (q, k, v)]

    def theirs() -> Any:
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            return scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=queries != keys)

    ours = lambda: ops.attention(*inputs, causal=causal)
    error = require("attention", relative_error(ours().transpose(1, 2), theirs()), 2 * LIMITS[dtype])
    rate = 2 * batch * queries * S * S * (width + values) * (0.5 if causal else 1) * 1e-9
    _add(report, f"{_kind(causal)} {dtype} B={batch} S={S}{described(heads)}", error, rate, ours, theirs)


def measure_varlen(report: Report, dtype: str, causal: bool) -> None:
    """Add a row for packed sequences, beside torch's flash attention: of cuDNN's torch makes a plan at every call."""
    import torch

    ends = torch.tensor(LENGTHS, device="cuda").cumsum(0).to(torch.int32)
    offsets = torch.cat([torch.zeros_like(ends[:1]), ends])
    kind = getattr(torch, dtype)
    q, k, v = (torch.randn(sum(LENGTHS), HEADS, D, device="cuda", dtype=kind) for _ in range(3))
    bounds = offsets, offsets, max(LENGTHS), max(LENGTHS)
    flash = lambda: torch.ops.aten._flash_attention_forward(q, k, v, *bounds, 0.0, causal, False, scale=D**-0.5)[0]
    ours = lambda: ops.attention_varlen(q, k, v, offsets, max(LENGTHS), causal=causal)
    error = require("packed attention", relative_error(ours(), flash()), 2 * LIMITS[dtype])
    rate = 4 * HEADS * D * sum(length**2 for length in LENGTHS) * (0.5 if causal else 1) * 1e-9
    _add(report, f"packed {_kind(causal)} {dtype} {len(LENGTHS)} sequences", error, rate, ours, flash, "flash")


def _kind(causal: bool) -> str:
    return "causal" if causal else "full"


def _add(
    report: Report, case: str, error: float, rate: float, ours: Call, theirs: Call, peer: str = "cudnn"
) -> float:  # fmt: skip
    """Add a row of `rate` TFLOP; returns the peer's time over ours."""
    times = compare({"ours": ours, peer: theirs})
    ratio = times[peer] / times["ours"]
    rates = {"tflops": rate / times["ours"], f"{peer}_tflops": rate / times[peer]}
    report.add(case=case, error=error, ms=times["ours"], **rates, ratio=ratio)
    return ratio


def measure_backward(
    report: Report, dtype: str, batch: int, S: int, causal: bool,
    heads: tuple[int, int, int, int] = (HEADS, HEADS, D, D),
) -> float:  # fmt: skip
    """Add a row for the gradients, of `heads` (of queries and keys, widths of keys and values)."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    queries, keys, width, values = heads
    kind = getattr(torch, dtype)
    shapes = ((queries, width), (keys, width), (keys, values), (queries, values))
    q, k, v, do = (torch.randn(batch, S, h, d, device="cuda", dtype=kind) for h, d in shapes)
    out, logarithms = ops.attention(q, k, v, causal=causal, return_logarithms=True)

    def ours() -> tuple[Any, Any, Any]:
        return ops.attention_backward(q, k, v, out, logarithms, do, causal=causal)

    leaves = [x.transpose(1, 2).detach().requires_grad_() for x in (q, k, v)]
    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
        theirs_out = scaled_dot_product_attention(
            leaves[0], leaves[1], leaves[2], is_causal=causal, enable_gqa=queries != keys
        )
    theirs = lambda: torch.autograd.grad(theirs_out, leaves, do.transpose(1, 2), retain_graph=True)
    errors = [relative_error(a.transpose(1, 2), b) for a, b in zip(ours(), theirs(), strict=True)]
    error = require("gradients of attention", max(errors), 2 * LIMITS[dtype])
    rate = 2 * batch * queries * S * S * (3 * width + 2 * values) * (0.5 if causal else 1) * 1e-9
    case = f"backward {_kind(causal)} {dtype} B={batch} S={S}{described(heads)}"
    return _add(report, case, error, rate, ours, theirs)


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(__doc__, argv, "quick")
    report = Report("attention", options.out)
    shapes, dtypes = (SHAPES[1:2], ["float16"]) if options.quick else (SHAPES, list(LIMITS))
    cases = [(dtype, *shape, causal) for dtype in dtypes for causal in (False, True) for shape in shapes]
    for name, function in (("forward", measure), ("backward", measure_backward)):
        ratios = [function(report, *case) for case in cases]
        mean = statistics.geometric_mean(ratios)
        print(f"{name}: geometric mean of cudnn / ours {mean:.3f}, least {min(ratios):.3f}")
    if not options.quick:
        for causal, dtype in ((False, "float16"), (True, "bfloat16")):
            measure_varlen(report, dtype, causal)
            for heads in OTHER_HEADS:
                measure_other(report, dtype, *SHAPES[1], causal, heads)
                measure_backward(report, dtype, *SHAPES[1], causal, heads)
    report.save()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
