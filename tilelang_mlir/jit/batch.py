"""Compiling many traced functions at once: in worker processes, or wherever an executor runs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

from tilelang_mlir import cache
from tilelang_mlir.compiler.artifact import Artifact
from tilelang_mlir.errors import CacheError, TileError
from tilelang_mlir.jit.compile import cache_key_of, compile_options, prepare
from tilelang_mlir.jit.kernel import JITKernel
from tilelang_mlir.target import Target


class Batch:
    """Compilations in flight. Use as a context; leaving it waits for them.

    Args:
        workers: how many run at once in worker processes of this one.
        executor: where they run instead; any `concurrent.futures.Executor` whose workers can import this package, such
            as that of a dask or ray cluster. It stays open.
        timeout: seconds per compilation.
    """

    def __init__(self, workers: int = 1, executor: Executor | None = None, timeout: float | None = None) -> None:
        self._own = None if executor is not None else ThreadPoolExecutor(max(workers, 1), "tilelang-batch")
        self._executor: Any = executor or self._own
        self._timeout = timeout

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
            machine = prepare(prim_func, target)
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
        from tilelang_mlir.compiler import whole

        request = whole.whole_request(prim_func.module, machine, options)
        running: Future[bytes] = self._executor.submit(whole.compile_request, request, self._timeout)
        running.add_done_callback(_finisher(result, lambda data: _kernel(key, data, prim_func, options)))
        return result


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
