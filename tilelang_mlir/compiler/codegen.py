"""Device code for a lowered module, through the worker pool."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from tilelang_mlir.compiler.backends import Backend, backend_for
from tilelang_mlir.compiler.failures import compile_error, find_location
from tilelang_mlir.compiler.messages import Reply, Request
from tilelang_mlir.compiler.options import CodegenOptions
from tilelang_mlir.compiler.pool import WorkerDied, pool
from tilelang_mlir.compiler.resources import Resources
from tilelang_mlir.compiler.toolchain.disasm import disassemble
from tilelang_mlir.errors import TileValueError, ToolchainError
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target


@dataclass
class DeviceCode:
    """Assembly text (PTX, AMDGCN) and, where its tool was found, machine code (cubin, HSACO).

    Resources are by kernel name, timings in milliseconds by stage.
    """

    assembly: str
    binary: bytes = b""
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
    lowered: bytes, arch: str, options: CodegenOptions = CodegenOptions(), emit: Sequence[str] = ()
) -> Job:
    """Start code generation of a level-4 module, given as bytecode; pass the job to `finish`.

    `emit` lists outputs: `llvm`, and the vendor's text and binary (by default what comes without extra work).

    Raises:
        UnsupportedError: there is no code generator for the architecture.
        ToolchainError: no suitable tool to make machine code, and nothing but that was asked for.
    """
    backend = backend_for(arch)
    backend.check(arch)
    emit = emit or backend.default
    request = Request(lowered, arch, options, tuple(emit), machine_tool(backend, arch, emit))
    return Job(request, pool().submit(request))


def machine_tool(backend: Backend, arch: str, emit: Sequence[str]) -> str:
    """The path of what makes machine code, where it is asked for; empty without one where the text is wanted, too.

    Raises:
        ToolchainError: there is none, and nothing but machine code was asked for.
    """
    if backend.binary not in emit:
        return ""
    try:
        return backend.find_tool(arch)
    except ToolchainError:
        if backend.text not in emit:
            raise  # with PTX at hand the driver can assemble
        return ""


def finish(job: Job, module: ir.Module) -> DeviceCode:
    """Wait for the job of a module.

    Raises:
        CompileError: a stage failed, the worker crashed or the time limit passed; names the Python line if known.
    """
    backend = backend_for(job.request.arch)
    try:
        reply = job.reply.result()
    except WorkerDied as death:
        reply = _retry(job.request, death, module)
    if reply.error:
        raise compile_error(reply.stage, reply.error, _text(module), job.request.arch, _name(module), backend.text)
    resources = backend.resources(reply)
    return DeviceCode(reply.assembly, reply.binary, reply.llvm_ir, resources, reply.log, reply.timings)


def generate(
    module: ir.Module, arch: str, options: CodegenOptions = CodegenOptions(), emit: Sequence[str] = ()
) -> DeviceCode:
    """`submit` and `finish` in one."""
    return finish(submit(bytecode(module), arch, options, emit), module)


def emit(
    module: ir.Module, target: Target, kind: str, options: CodegenOptions = CodegenOptions()
) -> str | bytes:
    """One output of a level-4 module: `llvm`, `ptx` or `amdgcn`, and `sass` as text, `cubin` or `hsaco` as bytes.

    Raises:
        TileValueError: another kind, or one that the target does not have.
        CompileError, UnsupportedError, ToolchainError: as `generate`.
    """
    backend = backend_for(target.arch)
    kinds = ["llvm", backend.text, backend.binary, *(("sass",) if backend.binary == "cubin" else ())]
    if kind not in kinds:
        raise TileValueError(f"no output kind {kind!r} for {target}", hint=f"kinds are {', '.join(kinds)}")
    code = generate(module, target.arch, options, emit=("cubin" if kind == "sass" else kind,))
    if kind == "sass":
        return disassemble(code.binary)
    return {"llvm": code.llvm_ir, backend.text: code.assembly, backend.binary: code.binary}[kind]


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
        options, text = replace(request.options, line_info=True), backend_for(request.arch).text
        located = replace(request, options=options, emit=(text,))
        pool().submit(located).result()
        return pool().submit(request).result()
    except WorkerDied as again:
        stage = "code generation"
        if not again.timed_out:
            stage += f" (the LLVM process died with status {again.status})"
        output = again.output if find_location(again.output) else death.output or again.output
        kind = backend_for(request.arch).text
        raise compile_error(stage, output, _text(module), request.arch, _name(module), kind) from again


def _text(module: ir.Module) -> str:
    return module.operation.get_asm(enable_debug_info=True)


def _name(module: ir.Module) -> str:
    for op in module.body.operations:
        if op.operation.name == "gpu.module":
            for inner in op.operation.regions[0].blocks[0].operations:
                if inner.operation.name == "llvm.func":
                    return str(ir.StringAttr(inner.operation.attributes["sym_name"]).value)
    return "kernel"
