"""Speed of the simulator on one core: OPENBLAS_NUM_THREADS=1 python benchmarks/bench_simulator.py

Best of several runs in milliseconds, in fast and in checked mode. Goals for the 512-cubed f16 GEMM of mma.sync, 64
CTAs of 128 threads: 100 ms fast, 150 ms checked.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.unit.simulator.texts import Text, gemm, softmax, vector_add  # noqa: E402
from tilelang_mlir.mlir import ir  # noqa: E402
from tilelang_mlir.simulator import Program  # noqa: E402

GOALS = {("gemm 512", False): 100.0, ("gemm 512", True): 150.0}


def _cases() -> list[tuple[str, Text, int, list[Any], Callable[[list[Any]], bool]]]:
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-4, 5, (512, 512)).astype(np.float16) for _ in range(2))
    x = rng.standard_normal(1 << 20).astype(np.float32)
    rows = rng.standard_normal((4096, 1024)).astype(np.float32)
    product = a.astype(np.float32) @ b.astype(np.float32)
    return [
        (
            "gemm 512",
            gemm(512, 512, 512),
            64,
            [a, b, np.zeros((512, 512), np.float32)],
            lambda args: np.array_equal(args[2], product),
        ),
        (
            "vector add 1M",
            vector_add(256),
            4096,
            [x, x, np.zeros_like(x), len(x)],
            lambda args: np.array_equal(args[2], x + x),
        ),
        (
            "softmax 4096x1024",
            softmax(1024),
            1024,
            [rows, np.zeros_like(rows), 4096],
            lambda args: bool(abs(args[1].sum(1) - 1).max() < 1e-4),
        ),
    ]


def main() -> int:
    """Print the table; the exit status is 1 when a result is wrong."""
    status = 0
    print(f"{'kernel':20s} {'mode':8s} {'generate':>9s} {'run':>9s} {'goal':>9s}")
    for name, text, grid, args, right in _cases():
        with ir.Context():
            program = Program(ir.Module.parse(text.text))
            for checked in (False, True):
                start = time.perf_counter()
                program.kernel("k", checked)
                generate = time.perf_counter() - start
                best = min(program.launch("k", (grid, 1, 1), args, checked=checked).seconds for _ in range(5))
                goal = GOALS.get((name, checked))
                mode = "checked" if checked else "fast"
                wrong = "" if right(args) else "  WRONG RESULT"
                status |= bool(wrong)
                print(f"{name:20s} {mode:8s} {generate * 1e3:9.1f} {best * 1e3:9.1f} {goal or '':>9}{wrong}")
    return status


if __name__ == "__main__":
    sys.exit(main())
