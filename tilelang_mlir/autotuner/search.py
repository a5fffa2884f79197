"""The search: all candidates are compiled at once, then measured one by one on the device.

Tracing and measuring take turns with nothing else in this process, so that no time is measured while Python is busy;
compilations run in other processes. Every candidate is first timed over a few runs; those that are far behind the
best keep that estimate, the others are measured to the end in the order of their estimates. Candidates that become the
same machine code are measured once. Those whose fragments exceed the registers by far are compiled only where no other
works: they take longest, and their spills are slower than what the others do.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass
from typing import Any

from tilelang_mlir import knobs
from tilelang_mlir.autotuner.inputs import get_autotune_inputs
from tilelang_mlir.autotuner.result import AutotuneResult
from tilelang_mlir.autotuner.settings import ProfileArgs
from tilelang_mlir.errors import TileError, TileValueError
from tilelang_mlir.jit.batch import Batch
from tilelang_mlir.jit.kernel import JITKernel

LOG = logging.getLogger("tilelang_mlir.autotuner")
Config = dict[str, Any]
Submit = Callable[[Batch, Config], "Future[JITKernel]"]
# A candidate whose first runs take this many times the best one's is not measured to the end.
_FAR_BEHIND = 1.5
# Candidates whose fragments take this many times a thread's registers are tried only where no other works.
_HOPELESS = 1.5


@dataclass
class _Candidate:
    config: Config
    job: Future[JITKernel]
    kernel: JITKernel | None = None
    estimate: float = float("inf")  # ms
    outcome: float | str = "not measured"
    twin: _Candidate | None = None  # one with the same machine code, which stands for both


def search(configs: Sequence[Config], submit: Submit, profile: ProfileArgs, inputs: Sequence[Any] | None = None,
           ) -> AutotuneResult:  # fmt: skip
    """Find the fastest correct candidate. `inputs` are the tensors to run on; made up where there are none.

    Raises:
        TileValueError: there is no candidate.
        TileError: no candidate compiles and gives right results; the message has the first reasons.
    """
    if not configs:
        raise TileValueError("autotuning needs at least one configuration")
    started = time.perf_counter()
    with Batch(workers(len(configs)), profile.executor, profile.timeout, _HOPELESS) as batch:
        tried = [_Candidate(config, submit(batch, config)) for config in configs]
        LOG.info("traced %d candidates in %.2f s", len(tried), time.perf_counter() - started)
        runner = _Runner(profile, inputs)
        held = [candidate for candidate in tried if candidate.job in batch.held]
        for candidate in progress([c for c in tried if c.job not in batch.held], "compiling and checking"):
            _screen(candidate, runner, profile)
        if any(candidate.kernel is not None for candidate in tried):
            batch.refuse()
        else:
            batch.release()
        for candidate in held:
            _screen(candidate, runner, profile)
    best = min((c.estimate for c in tried), default=float("inf"))
    factor = min(profile.early_stop_factor, _FAR_BEHIND) if profile.early_stop else _FAR_BEHIND
    for candidate in progress(sorted(tried, key=lambda c: c.estimate), "measuring"):
        if candidate.kernel is None or candidate.twin is not None:
            continue
        candidate.outcome = candidate.estimate
        if candidate.estimate <= factor * best:
            candidate.outcome = _attempt(candidate, lambda c: runner.measure(c.kernel), profile.timeout)
    for candidate in tried:
        if candidate.twin is not None:
            candidate.outcome = candidate.twin.outcome
    LOG.info("tuned over %d candidates in %.2f s", len(tried), time.perf_counter() - started)
    return _result(tried, runner)


def _screen(candidate: _Candidate, runner: _Runner, profile: ProfileArgs) -> None:
    """Wait for a candidate, check it, and time a few runs, unless an earlier one has the same machine code."""

    def check(one: _Candidate) -> float:
        try:
            kernel = one.job.result(timeout=profile.timeout)
        except NotInTime:
            raise TimeoutError(f"not compiled after {profile.timeout} s") from None
        first = runner.seen.setdefault(_content(kernel), one)
        if first is not one:
            one.twin, one.kernel = first, first.kernel
            return first.estimate
        runner.check(kernel)
        one.kernel = kernel
        return runner.estimate(kernel)

    outcome = _attempt(candidate, check, 2 * profile.timeout)
    if isinstance(outcome, float):
        candidate.estimate = outcome
    else:
        candidate.kernel, candidate.outcome = None, outcome


def _content(kernel: JITKernel) -> str:
    """What kernels that do the same have in common."""
    artifact = kernel.artifact
    code = artifact.binary or artifact.assembly.encode() or artifact.lowered
    return hashlib.sha256(code + json.dumps(artifact.plan.to_json(), sort_keys=True).encode()).hexdigest()


def _attempt(candidate: _Candidate, run: Callable[[_Candidate], float], timeout: float) -> float | str:
    """The number that a step gives, or the reason why there is none; the step may take `timeout` seconds."""
    try:
        return in_time(lambda: run(candidate), timeout)
    except (TileError, AssertionError, TimeoutError, RuntimeError, ValueError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        LOG.info("%s: %s", candidate.config, reason)
        return reason


def in_time(run: Callable[[], Any], timeout: float) -> Any:
    """What `run` returns. It runs in a thread of its own, which is left behind when the time is over.

    Raises:
        TimeoutError: it takes more than `timeout` seconds.
    """
    found: list[Any] = []
    failed: list[BaseException] = []
    context = _inherited()

    def body() -> None:
        try:
            found.append(context(run))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    thread.join(timeout)
    if thread.is_alive():
        raise TimeoutError(f"not done after {timeout} s")
    if failed:
        raise failed[0]
    return found[0]


def _inherited() -> Callable[[Callable[[], Any]], Any]:
    """Runs a function with the context variables, the device and the stream of this thread."""
    import contextvars

    context = contextvars.copy_context()
    torch: Any = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return context.run
    device, stream = torch.cuda.current_device(), torch.cuda.current_stream()

    def run(func: Callable[[], Any]) -> Any:
        torch.cuda.set_device(device)
        with torch.cuda.stream(stream):
            return context.run(func)

    return run


class _Runner:
    """Checks and times kernels on inputs."""

    def __init__(self, profile: ProfileArgs, inputs: Sequence[Any] | None) -> None:
        self.profile = profile
        self.given = inputs if inputs is not None else get_autotune_inputs()
        self.made: list[Any] | None = None
        self.timed: dict[str, list[Any]] = {}  # inputs to time on, by the kernel's parameters
        self.seen: dict[str, _Candidate] = {}  # the first candidate of each machine code

    def inputs(self, kernel: JITKernel) -> list[Any]:
        """Inputs of a kernel: the program's own, else made by `supply_prog` or up."""
        if self.given is not None:
            return [value.clone() if hasattr(value, "clone") else value for value in self.given]
        if self.made is not None and self.profile.cache_input_tensors:
            return self.made
        if self.profile.supply_prog is not None:
            made = list(self.profile.supply_prog([p for p in kernel.params if not p.output]))
        else:
            made = kernel.get_profiler(self.profile.supply_type)._get_inputs()
        self.made = made
        return made

    def check(self, kernel: JITKernel) -> None:
        """Compare with the reference program, where there is one.

        Raises:
            AssertionError: the results differ.
        """
        profile = self.profile
        if profile.skip_check or profile.ref_prog is None:
            return
        profiler = kernel.get_profiler(profile.supply_type)
        if profile.manual_check_prog is not None:
            profiler.manual_assert_close(profile.ref_prog, self.inputs(kernel), profile.manual_check_prog)
            return
        profiler.assert_allclose(
            profile.ref_prog, self.inputs(kernel), profile.atol, profile.rtol, profile.max_mismatched_ratio
        )

    def estimate(self, kernel: JITKernel) -> float:
        """Milliseconds, from a few runs."""
        return float(self._bench(kernel, early_stop_baseline=0.0))

    def measure(self, kernel: JITKernel | None) -> float:
        """Milliseconds, measured for as long as the settings say."""
        assert kernel is not None
        return float(self._bench(kernel, warmup=self.profile.warmup, rep=self.profile.rep))

    def _bench(self, kernel: JITKernel, **options: Any) -> Any:
        """Candidates with the same parameters share the tensors: making those can take longer than a run."""
        kind = repr(kernel.params)
        if kind not in self.timed:
            self.timed[kind] = self.inputs(kernel)
        profiler = kernel.get_profiler(self.profile.supply_type)
        return profiler.do_bench(input_tensors=self.timed[kind], backend=self.profile.backend, **options)

    def reference(self, kernel: JITKernel) -> float | None:
        """Milliseconds of the reference program; None without one."""
        if self.profile.ref_prog is None:
            return None
        profiler = kernel.get_profiler(self.profile.supply_type)
        return float(
            profiler.do_bench(
                self.profile.ref_prog,
                warmup=self.profile.warmup,
                rep=self.profile.rep,
                input_tensors=self.inputs(kernel),
                backend=self.profile.backend,
            )
        )


def _result(tried: Sequence[_Candidate], runner: _Runner) -> AutotuneResult:
    measured = [c for c in tried if c.kernel is not None and isinstance(c.outcome, float)]
    outcomes = tuple((c.config, c.outcome) for c in tried)
    if not measured:
        reasons = "\n".join(f"  {config}: {str(reason).splitlines()[0]}" for config, reason in outcomes[:5])
        raise TileError(f"no candidate of {len(tried)} compiles and gives right results:\n{reasons}")
    best = min(measured, key=lambda c: float(c.outcome))
    kernel, latency = best.kernel, float(best.outcome)
    assert kernel is not None
    reference = runner.reference(kernel)
    kernel.update_tuner_result(latency, best.config, reference)
    source = "" if kernel.target.simulated else kernel.kernel_source
    return AutotuneResult(latency, best.config, reference, str(source), kernel.prim_func, kernel, outcomes)


def workers(count: int) -> int:
    """How many candidates are compiled at once."""
    cores = knobs.AUTOTUNE_CPU_COUNTS.get()
    if cores <= 0:
        cores = max(1, int((os.cpu_count() or 1) * knobs.AUTOTUNE_CPU_UTILITIES.get()))
    limit = knobs.AUTOTUNE_MAX_CPU_COUNT.get()
    return max(1, min(count, cores, limit if limit > 0 else cores))


def progress(items: Sequence[Any], title: str) -> Iterable[Any]:
    """The items under a progress bar on a terminal, by tqdm where it is installed."""
    if not sys.stderr.isatty():
        return items
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return _plain_progress(items, title)
    shown: Iterable[Any] = tqdm(items, desc=title)
    return shown


def _plain_progress(items: Sequence[Any], title: str) -> Iterable[Any]:
    for index, item in enumerate(items):
        print(f"\r{title}: {index}/{len(items)}", end="", file=sys.stderr, flush=True)
        yield item
    print(f"\r{title}: {len(items)}/{len(items)}", file=sys.stderr)


def expand(configs: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> list[Config]:
    """The candidates of a list of dictionaries, a dictionary of lists (all combinations), or a function of the call.

    Raises:
        TileValueError: it is nothing of these.
    """
    import itertools

    if callable(configs):
        configs = configs(*args, **(kwargs or {}))
    if isinstance(configs, Mapping):
        table: Mapping[str, Any] = configs
        names = list(table)
        return [dict(zip(names, values, strict=True)) for values in itertools.product(*(table[n] for n in names))]
    if not isinstance(configs, Iterable) or isinstance(configs, str):
        raise TileValueError(
            f"autotune configs must be a list of dictionaries, got {type(configs).__name__}",
            hint="or a dictionary of lists, or a function that returns one of them",
        )
    found = list(configs)
    for config in found:
        if not isinstance(config, Mapping):
            raise TileValueError(
                f"an autotune configuration must be a dictionary, got {config!r}",
                hint="write {'block_M': 128, 'num_stages': 3}",
            )
    return [dict(config) for config in found]
