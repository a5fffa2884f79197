"""`@autotune` above `@jit`: the first call with arguments of a kind searches, others use what was found."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import fields, replace
from typing import Any

from tilelang_mlir.autotuner import store
from tilelang_mlir.autotuner.result import AutotuneResult
from tilelang_mlir.autotuner.search import Config, expand, search
from tilelang_mlir.autotuner.settings import ProfileArgs
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend.annot import freeze
from tilelang_mlir.jit.batch import Batch
from tilelang_mlir.jit.decorator import JITImpl, decorated
from tilelang_mlir.jit.kernel import JITKernel
from tilelang_mlir.jit.profiler import TensorSupplyType

_WHOLE_CALL = ("args", "kwargs")  # parameters of functions that take a call as a tuple and a dictionary


class AutoTuneImpl:
    """A jit function that chooses some of its arguments itself.

    Calls that leave out all arguments which the configurations give are tuned. One that gives some of them runs as it
    is: the others have their defaults.
    `results` has what was found, by the key of the call.
    """

    def __init__(self, jit_impl: JITImpl, configs: Any, profile: ProfileArgs, free: Sequence[str] = ()) -> None:
        functools.update_wrapper(self, jit_impl.func)
        self.jit_impl = jit_impl
        self.configs = configs
        self.profile = profile
        self.free = frozenset(free)
        self.tunable: set[str] | None = None  # what configurations give, once it is known
        self.gives_results = isinstance(jit_impl, _Checked)
        self.results: dict[Any, AutotuneResult] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["jit_impl"], name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Lazy style: the best kernel. Eager style: run it. With `__return_kernel=True` the kernel in either style."""
        if kwargs.pop("__return_kernel", False):
            return self.compile(*args, **kwargs)
        if self._is_complete(args, kwargs):
            return self.jit_impl(*args, **kwargs)
        best = self.tune(*args, **kwargs)
        if self.gives_results:
            return best
        if self.jit_impl.style == "eager":
            assert best.kernel is not None
            if (best.config or {}).get("pass_configs"):
                return best.kernel(*self.jit_impl.runtime_arguments(args, kwargs))
            return self.jit_impl(*args, **{**kwargs, **(best.config or {})})
        return best.kernel

    def compile(self, *args: Any, **kwargs: Any) -> JITKernel:
        """The best kernel for the arguments."""
        if self._is_complete(args, kwargs):
            return self.jit_impl.compile(*args, **kwargs)
        found = self.tune(*args, **kwargs).kernel
        assert found is not None
        return found

    def tune(self, *args: Any, **kwargs: Any) -> AutotuneResult:
        """The result of the search for the arguments: from memory, from disk, or searched now.

        Raises:
            TileError: no candidate compiles and gives right results.
        """
        key = self.key(args, kwargs)
        found = self.results.get(key)
        if found is not None:
            return found
        configs = self._called(args, kwargs) if callable(self.configs) else expand(self.configs)
        path = store.path_of(self.jit_impl.func, {"configs": configs, "call": repr(key), "options": self._options()})
        found = store.load(path)
        if found is None:
            found = search(
                configs, functools.partial(self._submit, args, kwargs), self.profile, self._tensors(args, kwargs)
            )
            store.save(path, found)
        self.results[key] = found
        return found

    def key(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """What a search depends on: compile-time arguments, and kinds and static sizes of tensors.

        Names of `do_not_specialize`, and sizes made by `T.dynamic`, are left out.
        """
        names = self.jit_impl.func_annot.arg_names
        bound = self.jit_impl.func_annot.bind(args, {k: v for k, v in kwargs.items() if k in names}, partial=True)
        bound.update({k: v for k, v in kwargs.items() if k not in names})  # sizes by keyword
        return tuple((name, _kind(name, value)) for name, value in bound.items() if name not in self.free)

    def _options(self) -> str:
        return repr(sorted((name, repr(value)) for name, value in self.jit_impl.options.items()))

    def _is_complete(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """Whether the call gives an argument that the configurations would, and that these do not replace (`free`)."""
        names = {*self.jit_impl.func_annot.arg_names[: len(args)], *kwargs}
        if self.tunable is None:
            found = self._called(args, kwargs) if callable(self.configs) else expand(self.configs)
            self.tunable = {name for config in found for name in config} - {"pass_configs"}
        return bool(self.tunable & names - self.free)

    def _called(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Config]:
        """What a function of the call gives, which need not take what it chooses."""
        taken = inspect.signature(self.configs).parameters.values()
        if [(p.name, p.kind) for p in taken] == [(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in _WHOLE_CALL]:
            return expand(self.configs, (args, kwargs))
        if not any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in taken):
            positions = [p for p in taken if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
            args = args[: len(positions)]
        if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in taken):
            kwargs = {name: value for name, value in kwargs.items() if name in {p.name for p in taken}}
        return expand(self.configs, args, kwargs)

    def _submit(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], batch: Batch, config: Config
    ) -> Future[JITKernel]:
        chosen = {key: value for key, value in config.items() if key != "pass_configs"}
        return self.jit_impl.submit(batch, args, {**kwargs, **chosen}, config.get("pass_configs"))

    def _tensors(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any] | None:
        """The tensors of an eager call, which candidates run on."""
        if self.jit_impl.style != "eager":
            return None
        values = self.jit_impl.runtime_arguments(args, kwargs)
        return values if values and all(_is_real(value) for value in values) else None


def _is_real(value: Any) -> bool:
    """Whether a kernel can run on an argument: a description of a tensor says only what it is like."""
    return isinstance(value, int | float) or hasattr(value, "data_ptr") or hasattr(value, "__array_interface__")


def _kind(name: str, value: Any) -> Any:
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and dtype is not None:
        return ("tensor", tuple(str(size) for size in shape), str(dtype))
    return freeze(name, value)


def autotune(
    func: Callable[..., Any] | None = None,
    *,
    configs: Any = None,
    warmup: float = 25,
    rep: float = 100,
    timeout: float = 100,
    supply_type: TensorSupplyType = TensorSupplyType.Auto,
    ref_prog: Callable[..., Any] | None = None,
    supply_prog: Callable[..., Any] | None = None,
    rtol: float = 1e-2,
    atol: float = 1e-2,
    max_mismatched_ratio: float = 0.01,
    skip_check: bool = False,
    manual_check_prog: Callable[..., Any] | None = None,
    cache_input_tensors: bool = False,
    do_not_specialize: Sequence[str] | None = None,
    early_stop: bool = False,
    early_stop_factor: float = 2.0,
    backend: str = "event",
    executor: Executor | None = None,
    keys: Sequence[str] | None = None,
) -> Any:
    """Decorator above `@tilelang.jit`: choose arguments that calls leave out among `configs`.

    Args:
        configs: a list of dictionaries, a dictionary of lists (all combinations), or a function from the call's
            arguments to one of them. The key `pass_configs` sets pass configurations of a candidate.
        do_not_specialize: names whose values do not start a new search.
        executor: where candidates are compiled, any `concurrent.futures.Executor`.
        keys: accepted; every argument that the call gives is part of a search's key.

    The others are fields of `ProfileArgs`.

    Raises:
        TileTypeError: what is decorated is no jit function. TileValueError: there are no configs.
    """
    if configs is None:
        raise TileValueError("autotune needs configs", hint="@tilelang.autotune(configs=[{'block_M': 64}, ...])")
    profile = ProfileArgs(
        warmup, rep, timeout, supply_type, ref_prog, supply_prog, rtol, atol, max_mismatched_ratio, skip_check,
        manual_check_prog, cache_input_tensors, early_stop, early_stop_factor, backend, executor,
    )  # fmt: skip

    def decorate(inner: Any) -> AutoTuneImpl:
        if not isinstance(inner, JITImpl):
            raise TileTypeError(
                f"autotune decorates jit functions, got {type(inner).__name__}",
                hint="put @tilelang.autotune above @tilelang.jit",
            )
        told = replace(profile, **inner.profile) if isinstance(inner, _Checked) else profile
        return AutoTuneImpl(inner, configs, told, do_not_specialize or ())

    del keys
    return decorate if func is None else decorate(func)


class _Checked(JITImpl):
    """A jit function that says how its candidates are checked."""

    def __init__(self, func: Callable[..., Any], options: dict[str, Any], scope: dict[str, Any] | None = None) -> None:
        super().__init__(func, options, scope)
        self.profile: Mapping[str, Any] = {}


def jit(
    func: Callable[..., Any] | None = None,
    *,
    out_idx: int | Sequence[int] | None = None,
    execution_backend: str | None = None,
    target: Any = None,
    verbose: bool | None = None,
    pass_configs: Mapping[Any, Any] | None = None,
    profiler: str = "auto",
    **profile: Any,
) -> Any:
    """The `@jit` of earlier releases of TileLang's autotuner, below `@autotune`, with how candidates are checked.

        @autotune(configs=[{"block_M": 64}, {"block_M": 128}], keys=["block_M"])
        @jit(out_idx=[-1], ref_prog=reference, supply_type=TensorSupplyType.Integer)
        def kernel(block_M=None): ...

        latency, config, ref_latency = kernel()

    A call gives the `AutotuneResult`, not the kernel.

    Args:
        profile: fields of `ProfileArgs`: supply_type, ref_prog, supply_prog, rtol, atol, max_mismatched_ratio,
            skip_check, cache_input_tensors. They win over those of `@autotune`.
        profiler: accepted.

    Raises:
        TileTypeError: another argument.
    """
    del profiler
    known = {field.name for field in fields(ProfileArgs)}
    if unknown := sorted(set(profile) - known):
        raise TileTypeError(f"autotuner.jit has no argument {unknown[0]!r}", hint=f"it has {', '.join(sorted(known))}")

    options = {
        "out_idx": out_idx, "target": target, "execution_backend": execution_backend, "verbose": verbose,
        "pass_configs": pass_configs, "target_host": None, "debug_root_path": None, "compile_flags": None,
    }  # fmt: skip

    def decorate(inner: Callable[..., Any]) -> _Checked:
        made = decorated(_Checked, inner, options)
        made.profile = profile
        return made

    return decorate if func is None else decorate(func)
