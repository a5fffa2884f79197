"""`tilelang.jit`: kernels that compile when they are first called.

A factory (lazy style) takes compile-time values and returns a `PrimFunc`; calling it gives a `JITKernel`. An eager
function is the kernel itself; calling it compiles for the tensors it gets and runs.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from tilelang_mlir.errors import TileError, TileTypeError
from tilelang_mlir.frontend.annot import FuncAnnot, freeze
from tilelang_mlir.frontend.primfunc import PrimFunc
from tilelang_mlir.frontend.source import calls, function_tree, has_nested
from tilelang_mlir.frontend.trace import enclosing_names, has_text_annotations
from tilelang_mlir.jit.eager import EagerFunction
from tilelang_mlir.jit.fastpath import CallForm
from tilelang_mlir.runtime.router import make_router

if TYPE_CHECKING:
    from tilelang_mlir.jit.batch import Batch
    from tilelang_mlir.jit.kernel import JITKernel

_LOG = logging.getLogger("tilelang_mlir")


class JITImpl:
    """A decorated function. Compiled kernels are kept by their compile-time arguments and sizes."""

    def __init__(self, func: Callable[..., Any], options: dict[str, Any], scope: dict[str, Any] | None = None) -> None:
        functools.update_wrapper(self, func)
        self._scope = scope  # the names where the function is defined, for annotations that are strings
        self.func = func
        self.options = options
        self._kernels: dict[Any, JITKernel] = {}
        self._forms: dict[Any, CallForm] = {}
        self._locks: dict[Any, threading.Lock] = {}
        self._lock = threading.Lock()

    @functools.cached_property
    def style(self) -> str:
        """`lazy` for a factory of prim_funcs, `eager` for a function that is the kernel."""
        names = getattr(getattr(self.func, "__code__", None), "co_names", ())
        if "prim_func" in names and not {"Kernel", "ClusterKernel"}.intersection(names):
            return "lazy"  # without parsing it
        tree = function_tree(self.func)
        if has_nested(tree, "prim_func"):
            return "lazy"
        return "eager" if calls(tree, "Kernel") or calls(tree, "ClusterKernel") or self._eager.runtime else "lazy"

    @functools.cached_property
    def _eager(self) -> EagerFunction:
        return EagerFunction(self.func, self._scope)

    @functools.cached_property
    def signature(self) -> inspect.Signature:
        """The signature of the decorated function."""
        return inspect.signature(self.func)

    @functools.cached_property
    def func_annot(self) -> FuncAnnot:
        """The binder of the function's signature."""
        return FuncAnnot.from_sig_annots(self.signature, {}, self.func.__name__)

    def __getattr__(self, name: str) -> Any:
        options = self.__dict__.get("options", {})
        if name in options:
            return options[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Lazy: the kernel for these compile-time arguments. Eager: run, and return the tensors of `T.empty`.

        With `__return_kernel=True` an eager function gives its kernel too.
        """
        if "__return_kernel" in kwargs:
            kwargs = {name: value for name, value in kwargs.items() if name != "__return_kernel"}
            return self.compile(*args, **kwargs)
        return self._router(*args, **kwargs) if self.style == "eager" else self.compile(*args, **kwargs)

    @functools.cached_property
    def _router(self) -> Any:
        """Runs an eager kernel; calls like earlier ones go straight to their kernel."""
        eager = self._eager
        names = enumerate(eager.binder.arg_names[:64])
        constants = sum(1 << place for place, name in names if name not in eager.runtime)
        return make_router(constants, self._call_eager)

    def _call_eager(self, *args: Any, **kwargs: Any) -> Any:
        values = (*args, *kwargs.values()) if kwargs else args
        pattern = (len(args), tuple(kwargs)) if kwargs else len(args)
        form = self._forms.get(pattern)
        if form is not None:
            kernel = form.find(values)
            if kernel is not None:
                if form.positions is not None:
                    self._router.add(args, kwargs, kernel, form.positions)
                return kernel(*form.arguments(values))
        constants, runtime, given = self._eager.split(args, kwargs)
        sizes = self._eager.sizes(constants, runtime, given)
        kernel = self._eager_kernel(constants, sizes, runtime)
        form = self._forms.setdefault(pattern, CallForm(self._eager, len(args), tuple(kwargs)))
        form.remember(values, constants, runtime, sizes, kernel)
        return kernel(*[runtime[name] for name in self._eager.runtime])

    def compile(self, *args: Any, **kwargs: Any) -> JITKernel:
        """The kernel for the arguments. Eager functions take tensors, `T.Tensor` placeholders, or sizes by keyword."""
        if self.style == "lazy":
            key = self.parse_cache_key(*args, **kwargs)
            return self._cached(key, (args, kwargs), lambda: self.get_tir(*args, **kwargs))
        constants, runtime, given = self._eager.split(args, kwargs, partial=True)
        return self._eager_kernel(constants, self._eager.sizes(constants, runtime, given), runtime)

    def runtime_arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
        """What an eager call passes to its kernel, in the kernel's order; arguments that are missing are left out."""
        _, runtime, _ = self._eager.split(args, kwargs, partial=True, check=False)
        return [runtime[name] for name in self._eager.runtime if name in runtime]

    def get_tir(self, *args: Any, **kwargs: Any) -> PrimFunc:
        """The traced function for the arguments, not compiled."""
        if self.style == "lazy":
            result = self.func(*args, **kwargs)
            if not isinstance(result, PrimFunc):
                raise TileTypeError(
                    f"{self.func.__name__} must return a prim_func, got {type(result).__name__}",
                    hint="return the function decorated with @T.prim_func, or write the kernel directly with T.Kernel",
                )
            return result
        constants, runtime, given = self._eager.split(args, kwargs, partial=True)
        sizes = self._eager.sizes(constants, runtime, given)
        return self._eager.trace(constants, sizes, self._eager.phase(constants, runtime).binder)

    def par_compile(
        self,
        configs: Sequence[Mapping[str, Any] | Sequence[Any]],
        num_workers: int | None = None,
        ignore_error: bool = False,
    ) -> list[JITKernel | None]:
        """Compile for many argument sets at once; with `ignore_error` a failure is None in its place."""
        from tilelang_mlir.jit.batch import Batch, results

        calls = [((), dict(c)) if isinstance(c, Mapping) else (tuple(c), {}) for c in configs]
        with Batch(num_workers or min(max(len(calls), 1), os.cpu_count() or 1)) as batch:
            running = [self.submit(batch, *call) for call in calls]
            return results(running, ignore_error, lambda index, error: _LOG.warning(
                "%s with %s does not compile: %s", self.func.__name__, configs[index], error))

    def submit(self, batch: Batch, args: tuple[Any, ...], kwargs: Mapping[str, Any],
               pass_configs: Mapping[Any, Any] | None = None) -> Future[JITKernel]:  # fmt: skip
        """Trace for the arguments and compile in a batch. `pass_configs` are added to those of the decorator."""
        done: Future[JITKernel] = Future()
        try:
            key = (self.parse_cache_key(*args, **kwargs), freeze("pass_configs", dict(pass_configs or {})))
            known = self._kernels.get(key if pass_configs else key[0])
            if known is not None:
                done.set_result(known)
                return done
            chosen = {name: self.options[name] for name in ("out_idx", "target", "pass_configs", "compile_flags")}
            chosen["pass_configs"] = {**(chosen["pass_configs"] or {}), **(pass_configs or {})}
            done = batch.submit(self.get_tir(*args, **kwargs), **chosen)
            done.add_done_callback(lambda job: self._keep(key if pass_configs else key[0], job))
        except TileError as error:
            done.set_exception(error)
        return done

    def _keep(self, key: Any, job: Future[JITKernel]) -> None:
        if job.exception() is None:
            self._kernels.setdefault(key, job.result())

    def get_kernel_source(self, *args: Any, **kwargs: Any) -> str:
        """The device code of the kernel for the arguments."""
        return self.compile(*args, **kwargs).get_kernel_source()

    def parse_cache_key(self, *args: Any, **kwargs: Any) -> Any:
        """What identifies the kernel for the arguments; equal calls give equal keys."""
        if self.style == "lazy":
            return self.func_annot.parse_key(*args, **kwargs)
        constants, runtime, given = self._eager.split(args, kwargs, partial=True)
        return self._eager_key(constants, self._eager.sizes(constants, runtime, given), runtime)

    def _eager_key(self, constants: dict[str, Any], sizes: dict[str, int], runtime: dict[str, Any]) -> Any:
        return (_key(constants), self._eager.kind_key(runtime), _key(sizes))

    def _eager_kernel(self, constants: dict[str, Any], sizes: dict[str, int], runtime: dict[str, Any]) -> JITKernel:
        key = self._eager_key(constants, sizes, runtime)
        given = (constants, sizes, self._eager.kind_key(runtime))
        binder = self._eager.phase(constants, runtime).binder  # the tensors themselves are not kept
        return self._cached(key, given, lambda: self._eager.trace(constants, sizes, binder))

    def _cached(self, key: Any, given: object, trace: Callable[[], PrimFunc]) -> JITKernel:
        kernel = self._kernels.get(key)
        if kernel is not None:
            return kernel
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            kernel = self._kernels.get(key)
            if kernel is None:
                from tilelang_mlir.jit.compile import Untraced, compile_untraced

                program = Untraced(self.func, given, tuple(self._scope or ()), trace)
                kernel = self._kernels[key] = compile_untraced(program, **_compile_options(self.options))
        return kernel


def _compiled(prim_func: PrimFunc, options: Mapping[str, Any]) -> JITKernel:
    from tilelang_mlir.jit.compile import compile_prim_func

    return compile_prim_func(prim_func, **_compile_options(options))


def _compile_options(options: Mapping[str, Any]) -> dict[str, Any]:
    names = ("out_idx", "target", "pass_configs", "compile_flags")
    chosen = {name: options[name] for name in names}
    return {**chosen, "verbose": bool(options["verbose"]), "execution_backend": options["execution_backend"] or "auto"}


def _key(arguments: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple((name, freeze(name, value)) for name, value in arguments.items())


Impl = TypeVar("Impl", bound=JITImpl)


def jit(
    func: Callable[..., Any] | None = None,
    *,
    out_idx: int | Sequence[int] | None = None,
    target: Any = None,
    target_host: Any = None,
    execution_backend: str | None = None,
    verbose: bool | None = None,
    pass_configs: Mapping[Any, Any] | None = None,
    debug_root_path: str | None = None,
    compile_flags: str | Sequence[str] | None = None,
) -> Any:
    """Decorator, bare or called: compile a factory of prim_funcs or an eager kernel when it is called.

    Above `@T.prim_func` itself it compiles at once: the name becomes the `JITKernel`.
    `out_idx` names parameters that the kernel allocates and returns (lazy style only). `target_host` and
    `debug_root_path` are accepted for compatibility: the host is Python.
    """
    options: dict[str, Any] = {
        "out_idx": out_idx,
        "target": target,
        "target_host": target_host,
        "execution_backend": execution_backend,
        "verbose": verbose,
        "pass_configs": pass_configs,
        "debug_root_path": debug_root_path,
        "compile_flags": compile_flags,
    }

    def decorate(inner: Any) -> Any:
        return _compiled(inner, options) if isinstance(inner, PrimFunc) else decorated(JITImpl, inner, options)

    return decorate if func is None else decorate(func)


def decorated(kind: type[Impl], inner: Any, options: dict[str, Any]) -> Impl:
    """A function as a jit function of a kind, with the arguments of the decorator.

    Raises:
        TileTypeError: it is no function.
    """
    if not callable(inner):
        raise TileTypeError(f"tilelang.jit decorates functions, got {type(inner).__name__}")
    return kind(inner, options, enclosing_names(inner) if has_text_annotations(inner) else None)


__all__ = ["JITImpl", "decorated", "jit"]
