"""Speed of the simulator on one core: OPENBLAS_NUM_THREADS=1 python benchmarks/bench_simulator.py

Whole kernels as the compiler lowers them, called as users call them; best of several calls in milliseconds of processor
time, in fast and in checked mode, and of the first call, which generates code. A wrong result is an error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from harness import Report, arguments, require

from tests.unit.simulator import programs
from tests.unit.simulator.texts import relative_error
from tilelang_mlir import knobs

GOALS = {
    ("gemm 512 sm_80", "fast"): 100.0,
    ("gemm 512 sm_80", "checked"): 150.0,
    ("attention 512x64 sm_80", "fast"): 100.0,
    ("causal attention 4x512x64 sm_80", "checked"): 500.0,
}
Case = tuple[str, str, Any, list[np.ndarray], np.ndarray, float]


def _gemm(target: str, *details: Any) -> Case:
    a, b = np.random.default_rng(0).standard_normal((2, 512, 512)).astype(np.float16)
    name = f"gemm 512 {target.partition(':')[2]}"
    program, want = programs.gemm((512, 512, 512), *details), a.astype(np.float64) @ b.astype(np.float64)
    return name, target, program, [a, b, np.zeros((512, 512), np.float32)], want, 1e-5


def _attention(heads: int, target: str, causal: bool, *details: Any) -> Case:
    q, k, v = np.random.default_rng(1).standard_normal((3, heads, 512, 64)).astype(np.float16)
    size = "512x64" if heads == 1 else f"{heads}x512x64"
    name = f"{'causal ' if causal else ''}attention {size} {target.partition(':')[2]}"
    program = programs.attention(heads, 512, 64, *details, causal=causal)
    want = programs.attention_reference(q, k, v, causal)
    return name, target, program, [q, k, v, np.zeros_like(q)], want, 2e-3


def cases() -> list[Case]:
    """Name, target, program, arguments (the output last), what it computes, the relative error allowed."""
    return [
        _gemm("sim:sm_80"),
        _gemm("sim:sm_90a", (128, 128, 64), 3, 256),
        _attention(1, "sim:sm_80", False),
        _attention(1, "sim:sm_90a", False, (128, 64), 256),
        _attention(4, "sim:sm_80", True),
    ]


def _milliseconds(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return (time.process_time() - started) * 1e3


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(__doc__, argv, "quick")
    report = Report("sim", options.out)
    for name, target, program, args, want, limit in cases():
        for mode in ("fast", "checked"):
            kernel = programs.compiled(program, target)

            def call(kernel: Any = kernel, args: list[np.ndarray] = args) -> None:
                kernel(*args)

            with knobs.overrides({"TILELANG_SIM_CHECKED": mode == "checked"}):
                args[-1][:] = np.nan
                first = _milliseconds(call)
                require(name, relative_error(args[-1], want), limit)
                best = min(_milliseconds(call) for _ in range(1 if options.quick else 7))
            report.add(what=name, mode=mode, ms=best, first_ms=first, goal_ms=GOALS.get((name, mode)))
    report.save()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
