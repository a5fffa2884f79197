"""How candidates are compiled and measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from tilelang_mlir.jit.profiler import TensorSupplyType


@dataclass(frozen=True)
class CompileArgs:
    """Options of every candidate's compilation."""

    out_idx: int | Sequence[int] | None = None
    target: Any = "auto"
    execution_backend: str | None = "auto"
    target_host: Any = None
    verbose: bool = False
    pass_configs: Mapping[Any, Any] | None = None
    compile_flags: str | Sequence[str] | None = None


@dataclass(frozen=True)
class ProfileArgs:
    """How a candidate is checked and measured.

    Args:
        warmup, rep: milliseconds to spend on each candidate.
        timeout: seconds for the compilation of a candidate, and for its check and measurement.
        supply_type: what made-up inputs hold; supply_prog: a function from the kernel's parameters to inputs.
        ref_prog: a function of the inputs that returns what the kernel should.
        rtol, atol, max_mismatched_ratio: tolerances against `ref_prog`; manual_check_prog compares instead.
        skip_check: do not compare.
        cache_input_tensors: make inputs once for all candidates.
        early_stop: do not measure a candidate to the end whose first runs take `early_stop_factor` times the best.
        backend: timing method, see `profiler.do_bench`.
        executor: where candidates are compiled; worker processes of this one by default.
    """

    warmup: float = 25
    rep: float = 100
    timeout: float = 100
    supply_type: TensorSupplyType = TensorSupplyType.Auto
    ref_prog: Callable[..., Any] | None = None
    supply_prog: Callable[..., Any] | None = None
    rtol: float = 1e-2
    atol: float = 1e-2
    max_mismatched_ratio: float = 0.01
    skip_check: bool = False
    manual_check_prog: Callable[..., Any] | None = None
    cache_input_tensors: bool = False
    early_stop: bool = False
    early_stop_factor: float = 2.0
    backend: str = "event"
    executor: Executor | None = None
