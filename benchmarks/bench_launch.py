"""Host time per call of a small kernel with three tensors: python benchmarks/bench_launch.py

Ours (outputs passed, and allocated by the callee), `torch.add`, and Triton, in microseconds on the host. The GPU's
work is one block; batches are short, so the launch queue never fills.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

from harness import Report, arguments, host_time, relative_error, require

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.runtime.cuda.kernel import CudaKernel

SIZE = 1024


def add_factory(outputs: list[int] | None) -> Any:
    """Vector addition whose result is passed by the caller, or allocated when `outputs` names it."""

    @tilelang.jit(out_idx=outputs)
    def add(n):
        @T.prim_func
        def add_vectors(A: T.Tensor((n,), "float32"), B: T.Tensor((n,), "float32"), C: T.Tensor((n,), "float32")):
            with T.Kernel(T.ceildiv(n, 1024), threads=256) as bx:
                for i in T.Parallel(1024):
                    C[bx * 1024 + i] = A[bx * 1024 + i] + B[bx * 1024 + i]

        return add_vectors

    return add


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(__doc__, argv)
    import torch

    report = Report("launch", options.out)
    a, b = torch.randn(2, SIZE, device="cuda").unbind()
    c = torch.empty_like(a)
    given, allocating = add_factory(None)(SIZE), add_factory([-1])(SIZE)
    with knobs.overrides({"TILELANG_DISABLE_NATIVE": True}):
        pure = CudaKernel(given.plan, given.artifact.cubin or given.artifact.ptx.encode())
    native = importlib.util.find_spec("tilelang_mlir.runtime._launch") is not None
    ours = "tilelang_mlir" if native else "tilelang_mlir (no native launcher)"
    calls: dict[str, Callable[[], Any]] = {
        f"{ours}, output passed": lambda: given(a, b, c),
        f"{ours}, output made": lambda: allocating(a, b),
        "tilelang_mlir through ctypes": lambda: pure(a, b, c),
        "torch.add, output passed": lambda: torch.add(a, b, out=c),
        "torch.add, output made": lambda: torch.add(a, b),
    }
    if importlib.util.find_spec("triton") is not None:
        from triton_peers import add

        calls["triton, output passed"] = lambda: add[(1,)](a, b, c, SIZE, block=1024)
    for name, call in calls.items():
        c.fill_(float("nan"))
        result = call()
        require(name, relative_error(result if isinstance(result, torch.Tensor) else c, a + b), 1e-6)
    times = host_time(calls)
    for name, microseconds in times.items():
        ratio = times["torch.add, output passed"] / microseconds
        report.add(call=name, microseconds=microseconds, ratio_to_torch=ratio)
    report.save()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
