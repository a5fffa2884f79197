"""Compile times: python benchmarks/bench_compile.py [--quick]

* Cold compilation of the README GEMM and of attention, in a warm process, with the time of every stage; the sizes
  differ each time. Goals on one core: 200 ms and 350 ms, ptxas included.
* The same kernels found in the cache, without tracing: a factory decorated anew is called, so that it looks for them in
  this process and on disk; traced functions looked up; and the factory called again with the same arguments.
* `import tilelang_mlir`, in fresh processes, and that it pulls in neither torch nor MLIR.
* Triton compiling the same two kernels, and TileLang compiling the same GEMM source, where they are installed.

With --quick the GEMM alone is compiled, once.

Needs no GPU: code is made for the GPU there is, else for sm_90a.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness import ROOT, Report, arguments, example, has_gpu

import tilelang_mlir as tilelang
from tilelang_mlir import cache, knobs
from tilelang_mlir.jit.target import resolve_target

GOALS = {"gemm": 200.0, "attention": 350.0, "disk": 2.0, "import": 150.0}
EXAMPLES = {"gemm": "03", "attention": "11"}
Traced = Callable[[int], Any]
FACTORIES: dict[str, Callable[[], tuple[Any, tuple[Any, ...]]]] = {
    "gemm": lambda: (example("03").gemm_bias_relu, (4096, 4096, 4096)),
    "attention": lambda: (example("11").attention, (1, 4096, 32, 32, 128, False)),
}


def prim_funcs() -> dict[str, Traced]:
    """Traced functions by name; the number makes the sizes differ."""
    gemm, attention = example(EXAMPLES["gemm"]).gemm_bias_relu, example(EXAMPLES["attention"]).attention
    return {
        "gemm": lambda salt: gemm.get_tir(4096, 4096, 4096 + 128 * salt),
        "attention": lambda salt: attention.get_tir(1, 4096 + 128 * salt, 32, 32, 128, False),
    }


def build(traced: Traced, salt: int, target: Any) -> tuple[float, float, Any]:
    """Milliseconds of tracing, of all, and the kernel."""
    started = time.perf_counter()
    function = traced(salt)
    middle = time.perf_counter()
    kernel = tilelang.compile(function, out_idx=[-1], target=target)
    return (middle - started) * 1e3, (time.perf_counter() - started) * 1e3, kernel


def cold(report: Report, name: str, traced: Traced, target: Any, repeats: int) -> float:
    """Add the row of cold compilation; returns the median in milliseconds."""
    with knobs.overrides({"TILELANG_DISABLE_CACHE": True}):
        runs = [build(traced, salt, target) for salt in range(repeats + 1)][1:]
    kernel = runs[-1][2]
    assert kernel.artifact.binary, "no machine code was made: is there a ptxas?"
    names = [stage for stage in kernel.timings if stage != "total"]
    stages = {stage: statistics.median(run[2].timings[stage] for run in runs) for stage in names}
    total = statistics.median(run[1] for run in runs)
    report.add(what=f"compile {name}", target=str(target), ms=total, goal_ms=GOALS[name])
    report.add(what=f"compile {name}: stages", trace=statistics.median(run[0] for run in runs), **stages)
    return total


def cached(report: Report, name: str, traced: Traced, target: Any, repeats: int) -> None:
    """Add the rows of cache hits: of factories that are not traced, and of traced functions."""
    function, arguments = FACTORIES[name]()
    options = {**function.options, "target": target}

    def asked() -> tuple[float, float, Any]:
        factory = tilelang.jit(function.func, **options)
        started = time.perf_counter()
        kernel = factory(*arguments)
        return 0.0, (time.perf_counter() - started) * 1e3, kernel

    for where, runs in _hits(asked, repeats).items():
        total = statistics.median(run[1] for run in runs)
        report.add(what=f"{name} in the cache, not traced: {where}", ms=total, goal_ms=GOALS["disk"])
    for where, runs in _hits(lambda: build(traced, 0, target), repeats).items():
        trace, total = (statistics.median(run[index] for run in runs) for index in (0, 1))
        what = f"{name} in the cache, traced: {where}"
        report.add(what=what, trace_ms=trace, lookup_ms=total - trace, goal_ms=GOALS["disk"])


def _hits(run: Callable[[], tuple[float, float, Any]], repeats: int) -> dict[str, list[tuple[float, float, Any]]]:
    """Runs that find their kernel in this process, and on disk, after one that compiles it."""
    with tempfile.TemporaryDirectory() as folder, knobs.overrides({"TILELANG_CACHE_DIR": folder}):
        cache.KERNELS.forget()
        first = run()[2]
        memory = [run() for _ in range(repeats)]
        assert all(hit[2] is first for hit in memory), "the cache of this process was not used"
        disk: list[tuple[float, float, Any]] = []
        for _ in range(repeats):
            cache.KERNELS.forget()
            disk.append(run())
        assert disk[-1][2] is not first and disk[-1][2].artifact.binary == first.artifact.binary
    return {"process": memory, "disk": disk}


def again(report: Report, target: Any, calls: int = 1000) -> None:
    """Add the row of asking a factory for a kernel it has made."""
    function = example("03").gemm_bias_relu
    factory = tilelang.jit(function.func, **{**function.options, "target": target})
    with knobs.overrides({"TILELANG_DISABLE_CACHE": True}):
        first = factory(1024, 1024, 1024)
    started = time.perf_counter()
    kernels = [factory(1024, 1024, 1024) for _ in range(calls)]
    elapsed = time.perf_counter() - started
    assert all(kernel is first for kernel in kernels)
    report.add(what="gemm asked for again", ms=elapsed / calls * 1e3, goal_ms=GOALS["disk"])


def imports(report: Report, repeats: int) -> None:
    """Add the rows of import times."""
    code = (
        "import time, sys; start = time.perf_counter(); import {0}; print((time.perf_counter() - start) * 1e3, "
        "int('torch' in sys.modules), int(any(name.split('.')[0] in ('torch_mlir', 'mlir') for name in sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    for module, goal in (("tilelang_mlir", {"goal_ms": GOALS["import"]}), ("tilelang_mlir.language", {})):
        command = [sys.executable, "-c", code.format(module)]
        outputs = [
            subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.split()
            for _ in range(repeats + 1)
        ][1:]
        times, torch, mlir = zip(*outputs, strict=True)
        assert set(torch) == {"0"}, f"{module} imports torch"
        assert not goal or set(mlir) == {"0"}, f"{module} imports MLIR"
        report.add(what=f"import {module}", ms=statistics.median(map(float, times)), **goal)


def peers(report: Report, ours: dict[str, float], capability: int, repeats: int) -> None:
    """Add the rows of Triton and TileLang, where they are installed; `ratio` is their time over ours."""
    if importlib.util.find_spec("triton") is not None:
        from triton_peers import check, compile_times

        if has_gpu():
            check()
        for name, mine in ours.items():
            theirs = statistics.median(compile_times(name, capability, repeats))
            report.add(what=f"triton compiles {name}", ms=theirs, ratio=theirs / mine)
    if importlib.util.find_spec("tilelang") is not None and has_gpu():
        theirs = statistics.median(_tilelang_times(repeats))
        report.add(what="tilelang compiles gemm", ms=theirs, ratio=theirs / ours["gemm"])


def _tilelang_times(repeats: int) -> list[float]:
    """Cold compilations of the very same example file, with its imports pointed at TileLang."""
    import tilelang as other

    other.disable_cache()
    text = (ROOT / "examples" / "03_gemm_bias_relu.py").read_text().partition("def reference")[0]
    text = text.replace("from support import Run, float64\n", "").replace("tilelang_mlir", "tilelang")
    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gemm_for_tilelang.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for salt in range(repeats + 1):
            started = time.perf_counter()
            module.gemm_bias_relu(4096, 4096, 4096 + 128 * salt)
            times.append((time.perf_counter() - started) * 1e3)
    return times[1:]


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(__doc__, argv, "quick")
    repeats = 1 if options.quick else 5
    report = Report("compile", options.out)
    target = resolve_target("auto").device()
    functions = prim_funcs()
    if options.quick:
        del functions["attention"]
    for name in functions:
        example(EXAMPLES[name]).main(["--size", "small"])  # raises when a kernel is wrong
    ours = {name: cold(report, name, traced, target, repeats) for name, traced in functions.items()}
    for name, traced in functions.items():
        cached(report, name, traced, target, 2 * repeats)
    again(report, target)
    imports(report, repeats)
    capability = int("".join(filter(str.isdigit, target.arch)))
    peers(report, ours, capability, min(repeats, 2))
    report.save()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
