"""Compiling many traced functions at once: in worker processes, or wherever an executor runs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tilelang_mlir import cache
from tilelang_mlir.compiler.artifact import Artifact
from tilelang_mlir.errors import CacheError, ResourceError, TileError
from tilelang_mlir.frontend import suspicions
from tilelang_mlir.jit import crowded
from tilelang_mlir.jit.compile import cache_key_of, compile_options, prepare
from tilelang_mlir.jit.kernel import JITKernel
from tilelang_mlir.mlir import ir
from tilelang_mlir.passes.fragment_demand import fragment_demand
from tilelang_mlir.target import Target


class Batch:
    """Compilations in flight. Use as a context; leaving it waits for them.

    Programs that are the same are compiled once.

    Args:
        workers: how many run at once in worker processes of this one.
        executor: where they run instead; any `concurrent.futures.Executor` whose workers can import this package, such
            as that of a dask or ray cluster. It stays open.
        timeout: seconds per compilation.
        hold_back: programs whose fragments need this many times the registers of a thread wait in `held` until
            `release` or `refuse`; None compiles all at once.
    """

    def __init__(self, workers: int = 1, executor: Executor | None = None, timeout: float | None = None,
                 hold_back: float | None = None) -> None:  # fmt: skip
        self._own = None if executor is not None else ThreadPoolExecutor(max(workers, 1), "tilelang-batch")
        self._executor: Any = executor or self._own
        self._timeout = timeout
        self._hold_back = hold_back
        self._running: dict[str, Future[JITKernel]] = {}
        self.held: dict[Future[JITKernel], _Held] = {}

    def __enter__(self) -> Batch:
        return self

    def __exit__(self, *error: object) -> None:
        if self._own is not None:
            self._own.shutdown(wait=True, cancel_futures=error[0] is not None)

    def submit(
        self,
        prim_func: Any,
        out_idx: int | Sequence[int] | None = None,
        target: str | Target | dict[str, object] | None = "auto",
        pass_configs: Mapping[Any, object] | None = None,
        compile_flags: str | Sequence[str] | None = None,
    ) -> Future[JITKernel]:
        """The kernel of a traced function, from the cache where it is there; it raises what compiling raises."""
        result: Future[JITKernel] = Future()
        try:
            prim_func, machine = prepare(prim_func, target)
            options = compile_options(prim_func, out_idx, pass_configs, compile_flags)
        except TileError as error:
            result.set_exception(error)
            return result
        key = cache_key_of(prim_func, machine, options)
        if cache.is_cache_enabled():
            known = cache.KERNELS.loaded(key) or _from_disk(key, prim_func, options)
            if known is not None:
                result.set_result(known)
                return result
        if key in self._running:
            return self._running[key]
        from tilelang_mlir.compiler import whole

        try:
            self._judge(prim_func.module, machine, options.pass_configs)
        except TileError as error:
            result.set_exception(error)
            return result
        request = whole.whole_request(prim_func.module, machine, options)

        def start() -> None:
            running: Future[bytes] = self._executor.submit(whole.compile_request, request, self._timeout)
            running.add_done_callback(_finisher(result, lambda data: _kernel(key, data, prim_func, options)))

        self._running[key] = result
        demand = 0 if self._hold_back is None else fragment_demand(prim_func.module)
        if self._hold_back is not None and demand > self._hold_back * machine.thread_registers:
            self.held[result] = _Held(start, demand, machine.thread_registers)
        else:
            start()
        return result

    def _judge(self, module: ir.Module, target: Target, configs: Mapping[str, object]) -> None:
        """Warnings and errors of a traced program as where one is compiled; a tuner's candidates get no warnings."""
        tuning = self._hold_back is not None
        if not tuning:
            suspicions.warn(module, configs)
        crowded.check(module, target, configs, quietly=tuning)

    def release(self) -> None:
        """Compile what was held back."""
        for held in self.held.values():
            held.start()
        self.held.clear()

    def refuse(self) -> None:
        """Do not compile what was held back: it fails with the reason."""
        for result, held in self.held.items():
            result.set_exception(
                ResourceError(
                    f"not compiled: the fragments need at least {held.demand} registers per thread, there are "
                    f"{held.limit}, and others need fewer",
                    hint="use more threads or smaller tiles",
                )
            )
        self.held.clear()


@dataclass(frozen=True)
class _Held:
    """A compilation that waits: what starts it, registers per thread that its fragments need and that there are."""

    start: Callable[[], None]
    demand: int
    limit: int


def _finisher(result: Future[JITKernel], make: Callable[[bytes], JITKernel]) -> Callable[[Future[bytes]], None]:
    def finish(done: Future[bytes]) -> None:
        try:
            result.set_result(make(done.result()))
        except BaseException as error:  # also cancellation: who waits must hear of it
            result.set_exception(error)

    return finish


def _kernel(key: str, data: bytes, prim_func: Any, options: Any) -> JITKernel:
    kernel = JITKernel(Artifact.from_bytes(data), prim_func, options)
    if not cache.is_cache_enabled():
        return kernel
    cache.KERNELS.write(key, data)
    return cache.KERNELS.remember(key, kernel)


def _from_disk(key: str, prim_func: Any, options: Any) -> JITKernel | None:
    data = cache.KERNELS.read(key)
    if data is None:
        return None
    try:
        return cache.KERNELS.remember(key, JITKernel(Artifact.from_bytes(data), prim_func, options))
    except CacheError:
        return None


def results(futures: Sequence[Future[JITKernel]], ignore_error: bool, report: Callable[[int, TileError], None],
            ) -> list[JITKernel | None]:  # fmt: skip
    """The kernels in order. With `ignore_error` a failure is reported and None stands in its place."""
    found: list[JITKernel | None] = []
    for index, future in enumerate(futures):
        try:
            found.append(future.result())
        except TileError as error:
            if not ignore_error:
                raise
            report(index, error)
            found.append(None)
    return found
