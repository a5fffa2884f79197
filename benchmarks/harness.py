"""What the benchmarks share: fair timing on one GPU, tables, and results with the facts needed to compare them.

Method: competitors are timed in the same run. Before every timed call the L2 cache is flushed by writing 256 MB, which
also keeps the GPU behind the host, so that launch latency is not measured; kernels bound by memory bandwidth find it
without pending writes. One call of each competitor makes a round;
every other round runs them in reverse order. The figure is the median over the rounds.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import importlib.util
import json
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

Call = Callable[[], Any]
FLUSH_BYTES = 256 << 20
_CLOCKS = ("driver_version", "clocks.sm", "clocks.mem", "clocks.max.sm", "power.draw", "temperature.gpu", "pstate")
_PACKAGES = ("torch", "triton", "tilelang", "tilelang_mlir", "torch-mlir", "llvmlite", "numpy")


def has_gpu() -> bool:
    """Whether torch is there and sees a CUDA device."""
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


def example(name: str) -> ModuleType:
    """An example as a module, by the start of its file name: `example("04")`."""
    folder = ROOT / "examples"
    (path,) = folder.glob(f"{name}*.py")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Timing ---------------------------------------------------------------------------------------------------------------


def compare(calls: Mapping[str, Call], seconds: float = 0.4, *, clean: bool = False) -> dict[str, float]:
    """Median milliseconds of each call on the current CUDA device, timed round by round for about `seconds` in all.

    With `clean` another 256 MB are read behind those that are written to flush the L2 cache. Else the cache is full of
    lines that memory has not got yet, some 40 MB, and the call waits while they are written: an eighth of the time of
    a kernel that reads 256 MB.
    """
    flush = _flush(clean)
    estimates = {name: statistics.median(_rounds({name: call}, 3, flush)[name]) for name, call in calls.items()}
    per_round = sum(estimates.values()) + 0.08 * len(calls)  # a flush takes some 0.08 ms
    count = max(10, min(400, int(seconds * 1e3 / per_round)))
    _rounds(calls, max(3, count // 5), flush)  # warm-up: clocks settle under this very load
    return {name: statistics.median(times) for name, times in _rounds(calls, count, flush).items()}


def _flush(clean: bool) -> Call:
    import torch

    written = torch.empty(FLUSH_BYTES // 4, dtype=torch.int32, device="cuda")
    if not clean:
        return written.zero_
    others = torch.zeros_like(written)

    def flush() -> None:
        written.zero_()
        others.amax()  # what was written leaves the cache

    return flush


def _rounds(calls: Mapping[str, Call], count: int, flush: Call) -> dict[str, list[float]]:
    import torch

    events: dict[str, list[tuple[Any, Any]]] = {name: [] for name in calls}
    order = list(calls)
    for _ in range(count):
        for name in order:
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            flush()
            start.record()
            calls[name]()
            end.record()
            events[name].append((start, end))
        order.reverse()
    torch.cuda.synchronize()
    return {name: [float(start.elapsed_time(end)) for start, end in pairs] for name, pairs in events.items()}


def fastest(kernels: Mapping[str, Any], call: Callable[[Any], Any], error: Callable[[Any], float], limit: float) -> str:
    """The name of the kernel whose `call` takes least time, of those that run; each is checked before all are timed
    round by round: one by one, those that come while the GPU is still cool would win.

    `kernels` may hold None for a configuration that does not compile. `error` is the relative error of a result.

    Raises:
        AssertionError: a kernel is wrong, or there is none.
    """
    usable = {name: kernel for name, kernel in kernels.items() if kernel is not None and kernel.n_spills == 0}
    assert usable, "no configuration compiles"
    for name, kernel in usable.items():
        require(name, error(call(kernel)), limit)
    times = compare({name: lambda kernel=kernel: call(kernel) for name, kernel in usable.items()}, 0.03 * len(usable))
    return min(times, key=lambda name: times[name])


def compiled(function: Any, cases: Sequence[tuple[Any, ...]], tail: int) -> dict[str, Any]:
    """Kernels of a `tilelang.jit` function, compiled in parallel, by the last `tail` arguments; None where it fails."""
    kernels = function.par_compile(list(cases), ignore_error=True)
    return {"x".join(map(str, case[-tail:])): kernel for case, kernel in zip(cases, kernels, strict=True)}


def host_time(calls: Mapping[str, Call], batch: int = 200, rounds: int = 40) -> dict[str, float]:
    """Median microseconds of host time per call: batches short enough that the launch queue never fills."""
    import torch

    times: dict[str, list[float]] = {name: [] for name in calls}
    order = list(calls)
    for round_number in range(rounds + 5):
        for name in order:
            call = calls[name]
            torch.cuda.synchronize()
            started = time.perf_counter()
            for _ in range(batch):
                call()
            elapsed = time.perf_counter() - started
            if round_number >= 5:
                times[name].append(elapsed / batch * 1e6)
        order.reverse()
    torch.cuda.synchronize()
    return {name: statistics.median(values) for name, values in times.items()}


def relative_error(got: Any, want: Any) -> float:
    """Norm of the difference over the norm of `want`, in float64, of torch tensors on any device."""
    want = want.double()
    return float((got.double() - want).norm() / want.norm())


def require(what: str, error: float, limit: float) -> float:
    """The error. Raises AssertionError when it is above the limit: a wrong kernel is not timed."""
    assert error < limit, f"{what}: relative error {error:.3g} is above {limit}"
    return error


# Results --------------------------------------------------------------------------------------------------------------


@dataclass
class Report:
    """A table that is printed row by row and saved as JSON."""

    name: str
    folder: Path = ROOT / "benchmarks" / "results"
    rows: list[dict[str, Any]] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)

    def add(self, **row: Any) -> None:
        """Add and print a row; numbers get four significant digits in print and keep them all in the file."""
        if not self.rows or list(self.rows[-1]) != list(row):
            print("  ".join(f"{key:>{_width(key, value)}}" for key, value in row.items()))
        print("  ".join(f"{_text(value):>{_width(key, value)}}" for key, value in row.items()), flush=True)
        self.rows.append(row)

    def save(self) -> Path:
        """Write NAME-DEVICE-DATE.json; returns its path."""
        facts = environment()
        self.folder.mkdir(parents=True, exist_ok=True)
        device = re.sub(r"[^A-Za-z0-9]+", "-", facts["device"]).strip("-").lower()
        path = self.folder / f"{self.name}-{device}-{facts['date'][:10]}.json"
        facts["seconds"] = round(time.perf_counter() - self.started, 1)
        path.write_text(json.dumps({"benchmark": self.name, **facts, "rows": self.rows}, indent=1) + "\n")
        print(f"saved {path}")
        return path


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _width(key: str, value: Any) -> int:
    return max(len(key), 28 if isinstance(value, str) else 9)


def environment() -> dict[str, Any]:
    """The device, its driver and clocks right now, versions, date and commit."""
    device = platform.processor() or platform.machine()
    if has_gpu():
        import torch

        device = torch.cuda.get_device_name()
    return {
        "device": device,
        "nvidia_smi": _nvidia_smi(),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
    }


def _commit() -> str:
    """The commit of this checkout; a copy inside another one has none of its own."""
    top, *commit = _output(["git", "-C", str(ROOT), "rev-parse", "--show-toplevel", "HEAD"]).split("\n")
    return commit[0] if commit and Path(top).resolve() == ROOT else "unknown"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _nvidia_smi() -> dict[str, str]:
    line = _output(["nvidia-smi", f"--query-gpu={','.join(_CLOCKS)}", "--format=csv,noheader", "--id=0"])
    values = [value.strip() for value in line.split(",")]
    return dict(zip(_CLOCKS, values, strict=True)) if len(values) == len(_CLOCKS) else {}


def _output(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def arguments(doc: str | None, argv: Sequence[str] | None = None, *flags: str) -> argparse.Namespace:
    """The command line: --out for the folder of results, and on/off flags."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder for the JSON results")
    for flag in flags:
        parser.add_argument(f"--{flag}", action="store_true")
    return parser.parse_args(argv)
