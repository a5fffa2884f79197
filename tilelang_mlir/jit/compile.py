"""Compiling traced functions, one or many, through the kernel cache."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import os
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tilelang_mlir import cache, knobs
from tilelang_mlir.compiler.artifact import Artifact
from tilelang_mlir.compiler.options import CompileOptions, codegen_options, wants_fast_math
from tilelang_mlir.compiler.pass_configs import normalize
from tilelang_mlir.compiler.toolchain.ptxas import find_ptxas, interleaving_ptxas
from tilelang_mlir.compiler.toolchain.search import files
from tilelang_mlir.errors import CacheError, TileTypeError, TileValueError, ToolchainError
from tilelang_mlir.frontend.warps import traced_for, warps_of
from tilelang_mlir.frontend.wide import wide_sizes
from tilelang_mlir.jit.kernel import JITKernel
from tilelang_mlir.jit.program_key import Unknown, program_key
from tilelang_mlir.jit.target import resolve_target
from tilelang_mlir.target import Target

_LOG = logging.getLogger("tilelang_mlir")
_BACKENDS = ("auto", "tvm_ffi", "cython", "nvrtc", "cutedsl", "ctypes", "dlpack", "native", "sim", "torch")


def compile_prim_func(
    prim_func: Any,
    out_idx: int | Sequence[int] | None = None,
    target: str | Target | dict[str, object] | None = "auto",
    pass_configs: Mapping[Any, object] | None = None,
    compile_flags: str | Sequence[str] | None = None,
    verbose: bool = False,
    execution_backend: str | None = "auto",
) -> JITKernel:
    """Compile a `PrimFunc`.

    Arguments given here win over the function's own attributes (`T.annotate_pass_configs` and so on).
    `execution_backend` is accepted for compatibility; the target decides how a kernel runs.

    Raises:
        TileError: a pass, LLVM or ptxas rejects the program, or an option is unknown.
    """
    return _compile_prim_func(prim_func, out_idx, target, pass_configs, compile_flags, verbose, execution_backend)[0]


def _compile_prim_func(
    prim_func: Any, out_idx: int | Sequence[int] | None, target: Any, pass_configs: Mapping[Any, object] | None,
    compile_flags: str | Sequence[str] | None, verbose: bool, execution_backend: str | None,
) -> tuple[JITKernel, str]:  # fmt: skip
    """The kernel, and its address in the cache where that is in use."""
    prim_func, machine = prepare(prim_func, target)
    if execution_backend not in (None, *_BACKENDS):
        raise TileValueError(f"unknown execution backend {execution_backend!r}", hint=f"known: {', '.join(_BACKENDS)}")
    return _compile_with(prim_func, machine, compile_options(prim_func, out_idx, pass_configs, compile_flags), verbose)


def widened(prim_func: Any, machine: Target, options: CompileOptions) -> JITKernel | None:
    """The kernel with indices of 64 bits along dimensions of run-time size; None where it cannot be traced again."""
    if prim_func is None or prim_func.again is None:
        return None
    with wide_sizes(), warps_of(machine.warp_size):
        func = prim_func.again()
        return _compile_with(func, machine, options, verbose=False)[0]


def _compile_with(
    prim_func: Any, machine: Target, options: CompileOptions, verbose: bool
) -> tuple[JITKernel, str]:
    if not cache.is_cache_enabled():
        return JITKernel(_compile(prim_func, machine, options, verbose), prim_func, options), ""
    key = cache_key_of(prim_func, machine, options)
    known = cache.KERNELS.loaded(key)
    if known is None:
        known = JITKernel(_cached(key, prim_func, machine, options, verbose), prim_func, options)
        known = cache.KERNELS.remember(key, known)
    return known, key


@dataclass(frozen=True)
class Untraced:
    """A kernel function and its compile-time arguments: what tells the program, and how to trace it.

    `scope` has the names of the function around it that annotations as text may mean.
    """

    func: Callable[..., Any]
    given: object
    scope: Collection[str]
    trace: Callable[[], Any]


def compile_untraced(
    program: Untraced,
    out_idx: int | Sequence[int] | None = None,
    target: str | Target | dict[str, object] | None = "auto",
    pass_configs: Mapping[Any, object] | None = None,
    compile_flags: str | Sequence[str] | None = None,
    verbose: bool = False,
    execution_backend: str | None = "auto",
) -> JITKernel:
    """Compile a function that has not been traced yet; one whose program is in the cache is not traced at all.

    Raises:
        TileError: as `compile_prim_func`.
    """
    def traced() -> tuple[Any, CompileOptions]:
        prim_func = program.trace()
        return prim_func, compile_options(prim_func, out_idx, pass_configs, compile_flags)

    key = ""
    if cache.is_cache_enabled():
        machine = resolve_target(target)
        settings: dict[str, object] = {
            "out_idx": out_idx, "target": str(machine), "flags": compile_flags, "backend": execution_backend,
            "configs": sorted({**_CONFIGURED.get(), **normalize(pass_configs)}.items()),
            "ptxas": None if machine.simulated or machine.vendor != "cuda" else files("ptxas"),
            "versions": cache.versions(),
        }  # fmt: skip
        with contextlib.suppress(Unknown):
            key = program_key(program.func, program.given, settings, program.scope)
    found = _linked(key, traced) if key else None
    if found is not None:
        return found
    kernel, address = _compile_prim_func(
        program.trace(), out_idx, target, pass_configs, compile_flags, verbose, execution_backend
    )
    if key:
        cache.KERNELS.link(key, address)
    return kernel


def _linked(program: str, traced: Callable[[], tuple[Any, CompileOptions]]) -> JITKernel | None:
    """The kernel in the cache that a program became, if there is one. It is traced when someone asks for its source."""
    address = cache.KERNELS.linked(program)
    if address is None:
        return None
    known = cache.KERNELS.loaded(address)
    if known is not None:
        return known
    artifact = _on_disk(address)
    if artifact is None:
        return None
    context = contextvars.copy_context()  # with the pass configurations that are in force now
    return cache.KERNELS.remember(address, JITKernel(artifact, traced=lambda: context.run(traced)))


def compile(
    func: Any = None,
    out_idx: int | Sequence[int] | None = None,
    execution_backend: str | None = "auto",
    target: str | Target | dict[str, object] | None = "auto",
    target_host: Any = None,
    verbose: bool = False,
    pass_configs: Mapping[Any, object] | None = None,
    compile_flags: str | Sequence[str] | None = None,
) -> JITKernel:
    """TileLang's `tilelang.compile`: a `JITKernel` from a `PrimFunc`. `target_host` is ignored: the host is Python."""
    return compile_prim_func(func, out_idx, target, pass_configs, compile_flags, verbose, execution_backend)


def par_compile(
    funcs: Sequence[Any],
    out_idx: int | Sequence[int] | None = None,
    execution_backend: str | None = "auto",
    target: str | Target | dict[str, object] | None = "auto",
    target_host: Any = None,
    verbose: bool = False,
    pass_configs: Mapping[Any, object] | None = None,
    compile_flags: str | Sequence[str] | None = None,
    num_workers: int | None = None,
    ignore_error: bool = False,
) -> list[JITKernel | None]:
    """Compile many functions at once; results in order. With `ignore_error` a failure is None in its place."""
    from tilelang_mlir.jit.batch import Batch, results

    del execution_backend, target_host, verbose
    if not funcs:
        return []
    with Batch(num_workers or min(len(funcs), os.cpu_count() or 1)) as batch:
        running = [batch.submit(func, out_idx, target, pass_configs, compile_flags) for func in funcs]
        return results(running, ignore_error, lambda index, error: _LOG.warning(
            "%s does not compile: %s", getattr(funcs[index], "name", funcs[index]), error))


_CONFIGURED: ContextVar[Mapping[str, object]] = ContextVar("tilelang_pass_configs", default=MappingProxyType({}))


@contextlib.contextmanager
def configured(pass_configs: Mapping[Any, object]) -> Generator[None]:
    """Pass configurations of everything that is compiled inside; those of a function or a call win."""
    token = _CONFIGURED.set({**_CONFIGURED.get(), **normalize(pass_configs)})
    try:
        yield
    finally:
        _CONFIGURED.reset(token)


def configuration() -> dict[str, object]:
    """The pass configurations in force."""
    return dict(_CONFIGURED.get())


def compile_options(
    prim_func: Any,
    out_idx: int | Sequence[int] | None = None,
    pass_configs: Mapping[Any, object] | None = None,
    compile_flags: str | Sequence[str] | None = None,
) -> CompileOptions:
    """The options of a compilation: what the function declares, and the arguments, which win."""
    attributes: dict[str, Any] = getattr(prim_func, "attrs", None) or {}
    declared = normalize(attributes.get("tilelang_pass_configs"))
    configs = {**_CONFIGURED.get(), **declared, **normalize(pass_configs)}
    flags = compile_flags if compile_flags is not None else attributes.get("tilelang_compile_flags")
    if wants_fast_math(flags):
        configs.setdefault("tl.enable_fast_math", True)
    positions = [out_idx] if isinstance(out_idx, int) else out_idx or []
    if isinstance(positions, str) or not all(hasattr(p, "__index__") and not isinstance(p, bool) for p in positions):
        raise TileTypeError(f"out_idx must be an integer or a list of integers, got {out_idx!r}",
                            hint="positions of the outputs among the parameters: [-1] is the last")
    outputs = (out_idx,) if isinstance(out_idx, int) else None if out_idx is None else tuple(out_idx)
    if outputs is not None and attributes.get("tilelang_out_idx"):
        raise TileValueError("out_idx is given, but the function already returns the tensors it makes with T.empty",
                             hint="leave out_idx out, or take the output as a parameter")
    return CompileOptions(outputs, configs, codegen_options(flags, configs))


def prepare(prim_func: Any, target: str | Target | dict[str, object] | None) -> tuple[Any, Target]:
    """Check that something can be compiled, and find out for which machine: the function as it is there, and that.

    Raises:
        TileTypeError: it is no traced function. TargetError: the target is not known.
    """
    if not hasattr(prim_func, "module"):
        raise TileTypeError(f"expected a prim_func, got {type(prim_func).__name__}",
                            hint="pass a function decorated with T.prim_func, or the result of a factory")
    machine = resolve_target(target)
    return traced_for(prim_func, machine.warp_size), machine


def cache_key_of(prim_func: Any, target: Target, options: CompileOptions) -> str:
    """The address of a compilation in the kernel cache."""
    # Tracing has verified the module; without the flag printing would do it again.
    text = prim_func.module.operation.get_asm(enable_debug_info=options.codegen.line_info, assume_verified=True)
    parts = {"module": text, "target": str(target), "options": options.describe(), "ptxas": _assembler(target)}
    return cache.cache_key(parts)


def _assembler(target: Target) -> object:
    """Which ptxas will make the machine code, the usual one or that of interleaved kernels; without one an entry holds
    PTX only."""
    if target.simulated or target.vendor != "cuda":
        return None
    try:
        return find_ptxas(target.arch).release, interleaving_ptxas(target.arch)
    except ToolchainError:
        return None


def _on_disk(key: str) -> Artifact | None:
    data = cache.KERNELS.read(key)
    if data is not None:
        try:
            return Artifact.from_bytes(data)
        except CacheError as error:
            _LOG.debug("rebuilding %s: %s", key, error)
    return None


def _cached(key: str, prim_func: Any, target: Target, options: CompileOptions, verbose: bool) -> Artifact:
    found = _on_disk(key)
    if found is not None:
        return found
    artifact = _compile(prim_func, target, options, verbose)
    cache.KERNELS.write(key, artifact.to_bytes())
    return artifact


def _compile(prim_func: Any, target: Target, options: CompileOptions, verbose: bool) -> Artifact:
    from tilelang_mlir.compiler.pipeline import compile_module, remarks_on
    from tilelang_mlir.compiler.pool import prestart
    from tilelang_mlir.frontend import suspicions
    from tilelang_mlir.jit import crowded

    suspicions.warn(prim_func.module, options.pass_configs)
    crowded.check(prim_func.module, target, options.pass_configs)
    if not target.simulated:
        prestart()  # a worker gets ready while the passes run
    started = time.perf_counter()
    configs = options.pass_configs
    wanted = bool(configs.get("tl.enable_dump_ir"))
    dump = str(configs.get("tl.dump_ir_path", "./dump_ir/")) if wanted else knobs.DUMP_DIR.get()
    with knobs.overrides({knobs.DUMP_DIR.name: dump}):
        artifact = compile_module(prim_func.module, target, options)
    artifact.timings["total"] = (time.perf_counter() - started) * 1e3
    if verbose or knobs.VERBOSE.get():
        _report(artifact, target, 0.0)
        for remark in remarks_on(prim_func.module, target, options):
            print(remark)
    elif configs.get("tl.pass_profile"):
        _report(artifact, target, float(str(configs.get("tl.pass_profile_threshold_ms", 0))))
    folder = configs.get("cuda.kernels_output_dir")
    if folder and artifact.assembly:
        path = Path(str(folder)) / f"{artifact.name}.ptx"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(artifact.assembly)
    return artifact


def _report(artifact: Artifact, target: Target, threshold: float) -> None:
    stages = ", ".join(f"{stage} {ms:.1f}" for stage, ms in artifact.timings.items() if ms >= threshold)
    print(f"compiled {artifact.name} for {target} in ms: {stages}")
