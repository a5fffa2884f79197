"""Whole compilations in worker processes: many programs at once, passes included.

Passes are Python: in threads of one process they would take turns. A program is traced in this process, since its
function cannot travel, and the level-1 module goes out as bytecode.
"""

from __future__ import annotations

from collections.abc import Callable

from tilelang_mlir.compiler import codegen
from tilelang_mlir.compiler.artifact import Artifact
from tilelang_mlir.compiler.backends import backend_for
from tilelang_mlir.compiler.failures import compile_error
from tilelang_mlir.compiler.messages import Reply, Request, WholeRequest
from tilelang_mlir.compiler.options import CompileOptions
from tilelang_mlir.compiler.pipeline import lower_program
from tilelang_mlir.compiler.pool import WorkerDied, pool
from tilelang_mlir.dialect import shared_context
from tilelang_mlir.errors import CompileError
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target, parse_target


def whole_request(module: ir.Module, target: Target, options: CompileOptions) -> WholeRequest:
    """The request that compiles a level-1 module. It is plain data and can be pickled."""
    return WholeRequest(codegen.bytecode(module), str(target), options)


def compile_request(request: WholeRequest, timeout: float | None = None) -> bytes:
    """Compile in a worker of this process; returns the artifact's bytes. Executors of any kind can run this function.

    Raises:
        TileError: a pass, LLVM or ptxas rejects the program, or the time limit passes.
    """
    try:
        reply = pool().submit(request, timeout).result()
    except WorkerDied as death:
        what = "took too long" if death.timed_out else f"ended its process with status {death.status}"
        raise CompileError(f"the compilation {what}", hint=death.output.strip()[-400:]) from death
    if reply.failure is not None:
        raise reply.failure
    return reply.artifact


def compile_here(request: WholeRequest, generate: Callable[[Request, ir.Module], Reply]) -> Artifact:
    """Compile in this process. `generate` makes device code; it runs LLVM here, which may take the process along.

    Raises:
        TileError: a pass, LLVM or ptxas rejects the program.
        ToolchainError: nothing makes machine code for the target, and its text alone is of no use.
    """
    target, options = parse_target(request.target), request.options
    module = ir.Module.parse(request.module, shared_context())
    timings: dict[str, float] = {}
    plan, lowered = lower_program(module, target, options, timings)
    with lowered.context:
        artifact = Artifact(plan.name, str(target), plan, codegen.bytecode(lowered), timings=timings,
                            metadata={"options": options.describe()})
    if target.simulated:
        return artifact
    backend = backend_for(target.arch)
    tool = codegen.machine_tool(backend, target.arch, backend.default)
    job = Request(artifact.lowered, target.arch, options.codegen, backend.default, tool)
    reply = generate(job, lowered)
    if reply.error:
        text = ir.Module.parse(artifact.lowered, shared_context()).operation.get_asm(enable_debug_info=True)
        raise compile_error(reply.stage, reply.error, text, target.arch, plan.name, backend.text)
    artifact.assembly, artifact.binary, artifact.log = reply.assembly, reply.binary, reply.log
    artifact.resources = backend.resources(reply)
    timings.update(reply.timings)
    return artifact

