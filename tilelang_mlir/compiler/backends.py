"""The code generators by vendor: which outputs there are, which tool makes machine code, how the worker runs it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from tilelang_mlir.compiler import resources
from tilelang_mlir.compiler.conversion import Conversion
from tilelang_mlir.compiler.device_code import add_to_ptx
from tilelang_mlir.compiler.messages import Reply, Request
from tilelang_mlir.compiler.resources import Resources
from tilelang_mlir.compiler.toolchain import arch as ptx_arch
from tilelang_mlir.compiler.toolchain import lld, ptxas
from tilelang_mlir.errors import CompileError
from tilelang_mlir.target import parse_target

Clock = Callable[[str], None]


@dataclass(frozen=True)
class Backend:
    """One vendor's code generator.

    `text` and `binary` name its outputs, `default` those of an ordinary compilation. `check` raises UnsupportedError
    for architectures it has no code for, `find_tool` gives the path of what makes machine code, `resources` reads what
    kernels take from a reply. The last three run in the worker, where LLVM is: `start` gets the tool for machine code
    ready while LLVM works, and `run` is given what comes of it.
    """

    text: str
    binary: str
    default: tuple[str, ...]
    check: Callable[[str], object]
    find_tool: Callable[[str], str]
    resources: Callable[[Reply], dict[str, Resources]]
    conversion: Callable[[str, int], Conversion]
    start: Callable[[Request], AbstractContextManager[Any]]
    run: Callable[[str, Request, Reply, Clock, Any], None]


def _ptx_conversion(arch: str, opt_level: int) -> Conversion:
    from tilelang_mlir.compiler import nvptx

    return nvptx.conversion(arch, opt_level)


def _ptx_start(request: Request) -> AbstractContextManager[Any]:
    if "cubin" not in request.emit or not request.tool:
        return nullcontext()
    options = request.options
    lines = ("-lineinfo",) if options.line_info else ()
    otherwise = None if request.spilled_flags is None else (*request.spilled_flags, *lines)
    return ptxas.Assembler(request.arch, request.tool, (*options.ptxas_flags, *lines), otherwise)


def _ptx_run(llvm_ir: str, request: Request, reply: Reply, lap: Clock, tool: ptxas.Assembler | None) -> None:
    from tilelang_mlir.compiler import nvptx

    text = nvptx.emit_ptx(llvm_ir, request.arch, request.options.opt_level, lap, request.code.llvm)
    if request.code:
        reply.stage = "adding device code"
        text = add_to_ptx(text, request.code, request.arch)
        lap("device code")
    reply.assembly = text if "ptx" in request.emit else ""
    if tool is not None:
        reply.stage = "ptxas"
        reply.binary, reply.log = tool.assemble(text)
        lap("ptxas")


def _amdgcn_conversion(arch: str, opt_level: int) -> Conversion:
    from tilelang_mlir.compiler import amdgcn

    return amdgcn.conversion(arch, opt_level)


def _amdgcn_run(llvm_ir: str, request: Request, reply: Reply, lap: Clock, tool: None) -> None:
    from tilelang_mlir.compiler import amdgcn

    if request.code:
        raise CompileError("device code is added to kernels of CUDA targets only", hint="write it with T.macro")
    wants_code = "hsaco" in request.emit and bool(request.tool)
    reply.assembly, code = amdgcn.emit_code(
        llvm_ir, request.arch, request.options.opt_level, lap, text="amdgcn" in request.emit, code=wants_code
    )
    if wants_code:
        reply.stage = "lld"
        reply.binary = lld.link(code, request.tool)
        lap("lld")


_BACKENDS = {
    "cuda": Backend(
        "ptx", "cubin", ("ptx", "cubin"), ptx_arch.ptx_version, lambda arch: ptxas.find_ptxas(arch).path,
        lambda reply: resources.parse_ptxas_log(reply.log), _ptx_conversion, _ptx_start, _ptx_run,
    ),
    "hip": Backend(
        "amdgcn", "hsaco", ("hsaco",), lambda arch: None, lambda arch: lld.find_lld(arch).path,
        lambda reply: resources.read_code_object(reply.binary), _amdgcn_conversion,
        lambda request: nullcontext(), _amdgcn_run,
    ),
}  # fmt: skip


def backend_for(arch: str) -> Backend:
    """The code generator of an architecture. Raises TargetError when the architecture is not known."""
    return _BACKENDS[parse_target(arch).vendor]
