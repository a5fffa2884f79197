"""`AutoTuner`: a search put together step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

from tilelang_mlir.autotuner import store
from tilelang_mlir.autotuner.result import AutotuneResult
from tilelang_mlir.autotuner.search import Config, expand, search
from tilelang_mlir.autotuner.settings import CompileArgs, ProfileArgs
from tilelang_mlir.errors import TileError, TileTypeError
from tilelang_mlir.jit.batch import Batch
from tilelang_mlir.jit.decorator import JITImpl
from tilelang_mlir.jit.kernel import JITKernel


class AutoTuner:
    """Tunes a function that returns a prim_func (or a jit function) over its keyword arguments."""

    def __init__(self, fn: Callable[..., Any], configs: Any) -> None:
        self.fn = fn
        self.configs = configs
        self.compile_args = CompileArgs()
        self.profile_args = ProfileArgs()

    @classmethod
    def from_kernel(cls, kernel: Callable[..., Any], configs: Any) -> AutoTuner:
        """A tuner of `kernel` over `configs`: a list of dictionaries, or a dictionary of lists."""
        return cls(kernel, configs)

    def set_compile_args(
        self,
        out_idx: int | Sequence[int] | None = None,
        target: Any = "auto",
        execution_backend: str | None = "auto",
        target_host: Any = None,
        verbose: bool = False,
        pass_configs: Any = None,
        compile_flags: Any = None,
    ) -> AutoTuner:
        """Options of every compilation, as `tilelang.compile` takes them. Returns itself."""
        self.compile_args = CompileArgs(
            out_idx, target, execution_backend, target_host, verbose, pass_configs, compile_flags
        )
        return self

    def set_profile_args(self, **settings: Any) -> AutoTuner:
        """How candidates are checked and measured: the fields of `ProfileArgs`. Returns itself.

        Raises:
            TileTypeError: there is no such setting.
        """
        try:
            self.profile_args = replace(self.profile_args, **settings)
        except TypeError as error:
            raise TileTypeError(
                f"set_profile_args: {error}", hint=f"settings are {', '.join(ProfileArgs.__dataclass_fields__)}"
            ) from None
        return self

    def run(
        self,
        warmup: float = 25,
        rep: float = 100,
        timeout: float = 100,
        use_pipeline: bool = False,
        enable_grouped_compile: bool = False,
        group_compile_size: int = 2,
        benchmark_devices: Sequence[int] | None = None,
        benchmark_multi_gpu: bool = False,
        early_stop: bool | None = None,
        early_stop_factor: float | None = None,
        executor: Executor | None = None,
    ) -> AutotuneResult:
        """Search.

        Args:
            warmup, rep: milliseconds to spend on each candidate. timeout: seconds for each candidate.
            use_pipeline, enable_grouped_compile, group_compile_size: accepted; compilations always run side by side.
            benchmark_devices, benchmark_multi_gpu: accepted; candidates are measured on the current device, one by
                one, so that they are compared under the same conditions.
            early_stop, early_stop_factor, executor: instead of those of `set_profile_args`.

        Raises:
            TileError: no candidate compiles and gives right results.
        """
        del use_pipeline, enable_grouped_compile, group_compile_size, benchmark_devices, benchmark_multi_gpu
        chosen = {"early_stop": early_stop, "early_stop_factor": early_stop_factor, "executor": executor}
        given = {name: value for name, value in chosen.items() if value is not None}
        profile = replace(self.profile_args, warmup=warmup, rep=rep, timeout=timeout, **given)
        configs = expand(self.configs)
        address = self.cache_path(configs)
        found = store.load(address)
        if found is None:
            found = search(configs, self._submit, profile)
            store.save(address, found)
        return found

    def cache_path(self, configs: Sequence[Config]) -> Path | None:
        """The folder of the result; None where it cannot be cached."""
        func = self.fn.func if isinstance(self.fn, JITImpl) else self.fn
        return store.path_of(func, {"configs": configs, "compile": repr(self.compile_args)})

    def _submit(self, batch: Batch, config: Config) -> Future[JITKernel]:
        chosen = {key: value for key, value in config.items() if key != "pass_configs"}
        passes = {**(self.compile_args.pass_configs or {}), **(config.get("pass_configs") or {})}
        if isinstance(self.fn, JITImpl):
            return self.fn.submit(batch, (), chosen, passes)
        options = self.compile_args
        try:
            traced = self.fn(**chosen)
            return batch.submit(traced, options.out_idx, options.target, passes, options.compile_flags)
        except TileError as error:
            failed: Future[JITKernel] = Future()
            failed.set_exception(error)
            return failed
