"""Host time per call of a small kernel with three tensors: python benchmarks/bench_launch.py

Ours (outputs passed, and allocated by the callee), `torch.add`, and Triton, in microseconds on the host. The GPU's
work is one block; batches are short, so the launch queue never fills. Where there is a C compiler, the first row is the
driver's own cuLaunchKernel called from C, and `over_bare` what each call costs beyond it. The driver's time does not
depend on how it is called: parameters as pointers or packed, their number, cuLaunchKernelEx, the kind of stream, the
length of the batch and the amount of shared memory all make less than 0.2 us of difference.
"""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness import Report, arguments, host_time, relative_error, require

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.runtime.cuda.driver import LIBRARY
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


def bare(kernel: Any, tensors: Sequence[Any], batch: int = 200, rounds: int = 40) -> float | None:
    """Median microseconds of the driver's launch of a kernel, called from C; None where there is no C compiler."""
    import torch

    compiler = shutil.which("cc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "bare_launch.so"
        source = Path(__file__).with_name("bare_launch.c")
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
        call = ctypes.CDLL(str(library)).bare_launch
        call.restype = ctypes.c_double
        spec = kernel.plan.kernels[0]
        launch = ctypes.cast(ctypes.CDLL(LIBRARY).cuLaunchKernel, ctypes.c_void_p)
        function = ctypes.c_void_p(kernel.adapter.module.function(spec.name, 0).handle)
        pointers = (ctypes.c_void_p * 3)(*(tensor.data_ptr() for tensor in tensors))
        times: list[float] = []
        for _ in range(rounds + 5):
            torch.cuda.synchronize()
            times.append(call(launch, function, spec.block[0], pointers, batch))
        assert min(times) > 0, f"cuLaunchKernel failed with {-min(times):.0f}"
        return statistics.median(times[5:])


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(__doc__, argv)
    import torch

    report = Report("launch", options.out)
    a, b = torch.randn(2, SIZE, device="cuda").unbind()
    c = torch.empty_like(a)
    given, allocating = add_factory(None)(SIZE), add_factory([-1])(SIZE)
    with knobs.overrides({"TILELANG_DISABLE_NATIVE": True}):
        pure = CudaKernel(given.plan, given.artifact.binary or given.artifact.assembly.encode())
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
    floor = bare(given, (a, b, c))
    times = host_time(calls)
    if floor is not None:
        times = {"cuLaunchKernel from C": floor, **times}
    for name, microseconds in times.items():
        ratio = times["torch.add, output passed"] / microseconds
        over = {} if floor is None else {"over_bare": microseconds - floor}
        report.add(call=name, microseconds=microseconds, ratio_to_torch=ratio, **over)
    report.save()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
