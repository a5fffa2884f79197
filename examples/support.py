"""What the examples share: the command line, random inputs, the check against numpy, and timing on a GPU.

    run = Run(__doc__, argv)                        # --target, --size, --compile-only
    rows, columns = run.pick((37, 1000), (8192, 16384))
    kernel = run.kernel(softmax, rows, columns, run.dtype)
    x = run.random((rows, columns), run.dtype)
    run.check(kernel(x), reference, x)

Inputs are torch tensors on a GPU and numpy arrays in the simulator, so no example needs torch unless it has a GPU.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import tilelang_mlir as tilelang
from tilelang_mlir.jit.target import resolve_target

TOLERANCE = {"float32": 1e-5, "float16": 2e-3, "bfloat16": 1e-2}
SAMPLED_ROWS = 64
_ELSEWHERE = {"float8_e4m3": "float8_e4m3fn"}  # dtypes that torch and ml_dtypes name otherwise


class Run:
    """One run of an example. Sizes are `small` (odd ones, seconds in the simulator) or `real` (those of large models).

    `kernels` holds what was compiled, `errors` the relative error of each check, `ratios` torch's time over ours.
    """

    def __init__(self, doc: str | None, argv: Sequence[str] | None = None) -> None:
        parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--target", default="auto", help="cuda, sim, sim:sm_80, ... (default: auto)")
        parser.add_argument("--size", choices=("small", "real"), help="default: real on a GPU, small in the simulator")
        parser.add_argument("--compile-only", action="store_true", help="print registers and spills, run nothing")
        options = parser.parse_args(argv)
        self.target = resolve_target(options.target)
        self.on_gpu = not self.target.simulated and not options.compile_only
        self.real = options.size == "real" if options.size else self.on_gpu
        self.compile_only: bool = options.compile_only
        self.dtype = self.pick("float16", "bfloat16")
        self.kernels: list[Any] = []
        self.errors: list[float] = []
        self.ratios: list[float] = []
        self._random = np.random.default_rng(0)

    def pick(self, small: Any, real: Any) -> Any:
        """The value for the chosen size."""
        return real if self.real else small

    def kernel(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """The compiled kernel of a `tilelang.jit` function, for the target of the command line."""
        for_target = tilelang.jit(function.func, **{**function.options, "target": self.target})
        kernel = for_target.compile(*args, **kwargs)
        self.kernels.append(kernel)
        if self.compile_only:
            for name, used in kernel.resources.items():
                print(f"{name} for {self.target}: {used.registers} registers, {used.spills} bytes of spills, "
                      f"{kernel.shared_bytes} bytes of shared memory")
        return kernel

    def random(self, shape: Sequence[int], dtype: str = "float32", scale: float = 1.0) -> Any:
        """Normal random numbers: a torch tensor on a GPU, else a numpy array."""
        if self.on_gpu:
            import torch

            return (torch.randn(*shape, device="cuda") * scale).to(getattr(torch, _ELSEWHERE.get(dtype, dtype)))
        return (self._random.standard_normal(shape) * scale).astype(_numpy_type(dtype))

    def zeros(self, shape: Sequence[int], dtype: str = "float32") -> Any:
        if not self.on_gpu:
            return np.zeros(shape, dtype)
        import torch

        return torch.zeros(*shape, device="cuda", dtype=getattr(torch, dtype))

    def on_device(self, array: np.ndarray) -> Any:
        """A numpy array where the kernels of this run can read it."""
        if not self.on_gpu:
            return array
        import torch

        return torch.from_numpy(array).cuda()

    def rows(self, count: int) -> list[int]:
        """Rows to check: all of them when they are few, else an evenly spread sample."""
        step = max(1, count // SAMPLED_ROWS) if self.real else 1
        return sorted({*range(0, count, step), count - 1})

    def check(self, what: str, got: Any, want: np.ndarray, dtype: str | None = None) -> float:
        """Compare with a float64 reference by the relative norm of the difference; returns it.

        Raises:
            AssertionError: it is above the tolerance of `dtype` (the run's dtype by default).
        """
        difference = float(np.linalg.norm(float64(got) - want) / np.linalg.norm(want))
        self.errors.append(difference)
        print(f"{what} on {self.target}: relative error {difference:.1e}")
        limit = TOLERANCE[dtype or self.dtype]
        assert difference < limit, f"{what}: relative error {difference:.3g} is above {limit}"
        return difference

    def time(
        self,
        call: Callable[[], Any],
        peer: Callable[[], Any] | None = None,
        *,
        bytes_moved: float = 0,
        flops: float = 0,
    ) -> None:
        """On a GPU, print the time of a call, its rate, and what torch takes for the same work."""
        if not self.on_gpu:
            return
        ours = tilelang.profiler.do_bench(call, rep=50, return_mode="median")
        rate = f"{flops / ours * 1e-9:.0f} TFLOP/s" if flops else f"{bytes_moved / ours * 1e-9:.2f} TB/s"
        line = f"    {ours:.3f} ms, {rate}"
        if peer is not None:
            theirs = tilelang.profiler.do_bench(peer, rep=50, return_mode="median")
            self.ratios.append(theirs / ours)
            line += f", {theirs / ours:.2f} x torch ({theirs:.3f} ms)"
        print(line, flush=True)


def _numpy_type(dtype: str) -> Any:
    import ml_dtypes

    name = _ELSEWHERE.get(dtype, dtype)
    return np.dtype(getattr(ml_dtypes, name, name))


def float64(array: Any) -> np.ndarray:
    """A numpy array or torch tensor as float64."""
    if hasattr(array, "detach"):
        array = array.detach().double().cpu().numpy()
    return np.asarray(array, np.float64)
