"""The code generation worker: serves requests on stdin until it closes (`worker_process` is the process).

LLVM may abort and translation may crash; only this process dies then. Replies go out on the original stdout, which is
taken away from everything else so that a stray print cannot corrupt them.
"""

from __future__ import annotations

import gc
import os
import sys
from dataclasses import replace
from typing import BinaryIO

from tilelang_mlir.compiler import device_ir
from tilelang_mlir.compiler.backends import backend_for
from tilelang_mlir.compiler.device_code import device_code
from tilelang_mlir.compiler.messages import Reply, Request, WholeRequest, receive, send
from tilelang_mlir.compiler.toolchain import ptxas
from tilelang_mlir.errors import TileError
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import DEFAULT_SIMULATED

_REQUESTS = 64  # per context, which keeps all types, attributes and locations of theirs
_WARM_UP_KERNEL = b"""
module {
  gpu.module @warm_up {
    llvm.func @kernel(%p: !llvm.ptr<1>, %n: i32) attributes {gpu.kernel, nvvm.kernel} {
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %x = arith.constant dense<1.0> : vector<2xf32>
      scf.for %i = %c0 to %n step %c1 : i32 {
        %y = math.exp2 %x fastmath<afn> : vector<2xf32>
        %t = nvvm.read.ptx.sreg.tid.x : i32
        %q = llvm.getelementptr %p[%t] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
        llvm.store %y, %q : vector<2xf32>, !llvm.ptr<1>
      }
      llvm.return
    }
  }
}
"""


def generate(request: Request, source: ir.Context | ir.Module) -> Reply:
    """Run one request in this process, in a context of `device_ir` or on the module itself, which it changes.

    Failures that LLVM reports politely come back in the reply.
    """
    reply = Reply()
    options = request.options
    lap = device_ir.lap_timer(reply.timings)
    try:
        reply.stage = "reading the lowered module"
        module = source if isinstance(source, ir.Module) else device_ir.parse(request.module, source)
        request = replace(request, options=options.with_effort(device_ir.effort(module)))
        if device_ir.spills_matter(module) and request.options != options:
            request = replace(request, spilled_flags=options.ptxas_flags)
        code = device_code(module)
        lap("parse")
        reply.stage = "conversion to LLVM"
        backend = backend_for(request.arch)
        if request.tool and device_ir.is_interleaved(module):
            request = replace(request, tool=ptxas.interleaving_ptxas(request.arch, request.tool))
        with backend.start(request) as tool:
            conversion = backend.conversion(request.arch, options.opt_level)
            text = device_ir.to_llvm_ir(module, conversion, line_info=options.line_info, lap=lap)
            reply.llvm_ir = text if "llvm" in request.emit else ""
            reply.stage = "LLVM code generation"
            backend.run(text, replace(request, code=code), reply, lap, tool)
    except ir.MLIRError as error:
        reply.error = _diagnostics(error)
    except TileError as error:
        reply.error = str(error)
    return reply


def compile_whole(request: WholeRequest) -> Reply:
    """Run the passes and the code generation of a level-1 module in this process."""
    from tilelang_mlir.compiler import whole

    try:
        return Reply(artifact=whole.compile_here(request, generate).to_bytes())
    except TileError as error:
        return Reply(failure=error)


def _diagnostics(error: Exception) -> str:
    """The text of an MLIRError, with the locations of its diagnostics in front."""
    lines = [f"{d.location}: error: {d.message}" for d in getattr(error, "error_diagnostics", ())]
    return "\n".join(lines) or str(error)


def _serve(source: BinaryIO, sink: BinaryIO) -> None:
    # A small kernel through every stage before the first request comes: loads MLIR, LLVM and the dialects.
    generate(Request(_WARM_UP_KERNEL, DEFAULT_SIMULATED, emit=("ptx",)), device_ir.new_context())
    gc.collect()
    gc.freeze()  # what is loaded stays; what requests make is collected between them
    gc.disable()
    while True:
        context = device_ir.new_context()  # between requests: making one and freeing the last takes as long as parsing
        for _ in range(_REQUESTS):
            try:
                request = receive(source)
            except EOFError:
                return
            if isinstance(request, Request):
                send(sink, generate(request, context))
            elif isinstance(request, WholeRequest):
                send(sink, compile_whole(request))
            gc.collect()


def main() -> int:
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _serve(sys.stdin.buffer, sink)
    return 0
