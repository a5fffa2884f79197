"""Timing functions: on the GPU by events with a cold L2 cache, on the CPU by the host's clock."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from tilelang_mlir.errors import TileValueError

_ESTIMATE_RUNS = 5
_MODES = ("mean", "min", "max", "median")


_OF_KERNELS = ("Profiler", "TensorSupplyType")  # in `jit.profiler`, which needs kernels


def __getattr__(name: str) -> Any:
    if name not in _OF_KERNELS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tilelang_mlir.jit import profiler

    return getattr(profiler, name)


def do_bench(
    fn: Callable[[], Any],
    warmup: float = 25,
    rep: float = 100,
    _n_warmup: int = 0,
    _n_repeat: int = 0,
    quantiles: Sequence[float] | None = None,
    fast_flush: bool = True,
    backend: str = "event",
    return_mode: str = "mean",
    device: Any = None,
    cache_size: int = 256,
    early_stop_baseline: float | None = None,
) -> Any:
    """Milliseconds that one call of `fn` takes.

    Args:
        fn: what to time; it launches on the current stream.
        warmup, rep: milliseconds to spend warming up and measuring; the counts come from five estimating runs.
        _n_warmup, _n_repeat: counts instead, when not 0.
        quantiles: return these quantiles as a list instead.
        fast_flush: write the flush buffer as 32-bit words rather than bytes.
        backend: `event` (one event pair per call), `cudagraph` (calls captured in one graph), `host` (the CPU's clock).
            `cupti` is taken as `event`.
        return_mode: mean, min, max or median.
        cache_size: megabytes written before each timed call, so that it finds a cold L2 cache; 0 for none.
        early_stop_baseline: milliseconds; when the estimate is already worse, it is returned at once.

    Raises:
        TileValueError: an unknown return mode or backend.
    """
    if return_mode not in _MODES:
        raise TileValueError(f"unknown return_mode {return_mode!r}", hint=f"one of {', '.join(_MODES)}")
    timers = {"event": _events, "cupti": _events, "cudagraph": _graph, "host": _host}
    if backend not in timers:
        raise TileValueError(f"unknown backend {backend!r}", hint=f"one of {', '.join(timers)}")
    timer = timers[backend if backend == "host" or _has_cuda() else "host"]
    flush = _flusher(cache_size, fast_flush, device) if timer is not _host else None
    fn()
    estimate = statistics.median(timer(fn, _ESTIMATE_RUNS, flush))
    if early_stop_baseline is not None and estimate > early_stop_baseline:
        return estimate if quantiles is None else [estimate] * len(quantiles)
    for _ in range(_n_warmup or _runs(warmup, estimate)):
        fn()
    times = timer(fn, _n_repeat or _runs(rep, estimate), flush)
    if quantiles is not None:
        return [_quantile(times, q) for q in quantiles]
    reduce: dict[str, Callable[[list[float]], float]] = {
        "mean": statistics.fmean, "min": min, "max": max, "median": statistics.median
    }  # fmt: skip
    return reduce[return_mode](times)


def _runs(budget: float, estimate: float) -> int:
    return max(1, int(budget / max(estimate, 1e-6)))


def _has_cuda() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


def _flusher(cache_size: int, fast: bool, device: Any) -> Callable[[], Any] | None:
    if not cache_size:
        return None
    import torch

    size, dtype = (cache_size << 18, torch.int32) if fast else (cache_size << 20, torch.int8)
    return torch.empty(size, dtype=dtype, device=device or "cuda").zero_


def _events(fn: Callable[[], Any], count: int, flush: Callable[[], Any] | None) -> list[float]:
    import torch

    pairs = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(count)]
    for start, end in pairs:
        if flush is not None:
            flush()
        start.record()
        fn()
        end.record()
    torch.cuda.synchronize()
    return [float(start.elapsed_time(end)) for start, end in pairs]


def _graph(fn: Callable[[], Any], count: int, flush: Callable[[], Any] | None) -> list[float]:
    """All calls in one graph: the mean without launch overhead, and with a warm cache."""
    import torch

    graph = torch.cuda.CUDAGraph()
    fn()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        for _ in range(count):
            fn()
    (total,) = _events(graph.replay, 1, flush)
    return [total / count]


def _host(fn: Callable[[], Any], count: int, flush: Callable[[], Any] | None) -> list[float]:
    times: list[float] = []
    for _ in range(count):
        start = time.perf_counter()
        fn()
        times.append((time.perf_counter() - start) * 1e3)
    return times


def _quantile(times: list[float], q: float) -> float:
    """Linear interpolation between the sorted times."""
    ordered = sorted(times)
    position = q * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)
