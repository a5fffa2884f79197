"""Device code for a lowered module, through the worker pool."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from tilelang_mlir.compiler.failures import compile_error, find_location
from tilelang_mlir.compiler.messages import Reply, Request
from tilelang_mlir.compiler.options import CodegenOptions
from tilelang_mlir.compiler.pool import WorkerDied, pool
from tilelang_mlir.compiler.resources import Resources, parse_ptxas_log
from tilelang_mlir.compiler.toolchain.arch import ptx_version
from tilelang_mlir.compiler.toolchain.disasm import disassemble
from tilelang_mlir.compiler.toolchain.ptxas import find_ptxas
from tilelang_mlir.errors import TileValueError, ToolchainError
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target


@dataclass
class DeviceCode:
    """PTX and, where ptxas was found, the cubin; resources by kernel name; milliseconds by stage."""

    ptx: str
    cubin: bytes = b""
    llvm_ir: str = ""
    resources: dict[str, Resources] = field(default_factory=dict)
    log: str = ""
    timings: dict[str, float] = field(default_factory=dict)


def bytecode(module: ir.Module) -> bytes:
    """A module as MLIR bytecode, locations included."""
    buffer = io.BytesIO()
    module.operation.write_bytecode(buffer)
    return buffer.getvalue()


@dataclass(frozen=True)
class Job:
    """A request on its way."""

    request: Request
    reply: Future[Reply]


def submit(
    lowered: bytes, arch: str, options: CodegenOptions = CodegenOptions(), emit: Sequence[str] = ("ptx", "cubin")
) -> Job:
    """Start code generation of a level-4 module, given as bytecode; pass the job to `finish`.

    Raises:
        UnsupportedError: there is no code generator for the architecture.
        ToolchainError: no suitable ptxas, and only a cubin was asked for.
    """
    ptx_version(arch)
    ptxas = ""
    if "cubin" in emit:
        try:
            ptxas = find_ptxas(arch).path
        except ToolchainError:
            if "ptx" not in emit:
                raise  # with PTX at hand the driver can assemble
    request = Request(lowered, arch, options, tuple(emit), ptxas)
    return Job(request, pool().submit(request))


def finish(job: Job, module: ir.Module) -> DeviceCode:
    """Wait for the job of a module.

    Raises:
        CompileError: a stage failed, the worker crashed or the time limit passed; names the Python line if known.
    """
    try:
        reply = job.reply.result()
    except WorkerDied as death:
        reply = _retry(job.request, death, module)
    if reply.error:
        raise compile_error(reply.stage, reply.error, _text(module), job.request.arch, _name(module))
    return DeviceCode(reply.ptx, reply.cubin, reply.llvm_ir, parse_ptxas_log(reply.log), reply.log, reply.timings)


def generate(
    module: ir.Module, arch: str, options: CodegenOptions = CodegenOptions(), emit: Sequence[str] = ("ptx", "cubin")
) -> DeviceCode:
    """`submit` and `finish` in one."""
    return finish(submit(bytecode(module), arch, options, emit), module)


def emit(
    module: ir.Module, target: Target, kind: str, options: CodegenOptions = CodegenOptions()
) -> str | bytes:
    """One output of a level-4 module: `llvm` or `ptx` as text, `sass` as text, `cubin` as bytes.

    Raises:
        TileValueError: another kind.
        CompileError, UnsupportedError, ToolchainError: as `generate`.
    """
    if kind not in ("llvm", "ptx", "cubin", "sass"):
        raise TileValueError(f"no output kind {kind!r}", hint="kinds are llvm, ptx, cubin, sass")
    code = generate(module, target.arch, options, emit=("cubin" if kind == "sass" else kind,))
    if kind == "sass":
        return disassemble(code.cubin)
    return {"llvm": code.llvm_ir, "ptx": code.ptx, "cubin": code.cubin}[kind]


def _retry(request: Request, death: WorkerDied, module: ir.Module) -> Reply:
    """Run a request again whose worker died.

    First for PTX with debug info: a program that LLVM aborts on aborts it again, and then LLVM names the source line.
    If it does not, something else ended the worker, and the request deserves its result.

    Raises:
        CompileError: the program is to blame.
    """
    try:
        if death.timed_out:
            raise death
        located = replace(request, options=replace(request.options, line_info=True), emit=("ptx",))
        pool().submit(located).result()
        return pool().submit(request).result()
    except WorkerDied as again:
        stage = "code generation"
        if not again.timed_out:
            stage += f" (the LLVM process died with status {again.status})"
        output = again.output if find_location(again.output) else death.output or again.output
        raise compile_error(stage, output, _text(module), request.arch, _name(module)) from again


def _text(module: ir.Module) -> str:
    return module.operation.get_asm(enable_debug_info=True)


def _name(module: ir.Module) -> str:
    for op in module.body.operations:
        if op.operation.name == "gpu.module":
            for inner in op.operation.regions[0].blocks[0].operations:
                if inner.operation.name == "llvm.func":
                    return str(ir.StringAttr(inner.operation.attributes["sym_name"]).value)
    return "kernel"
