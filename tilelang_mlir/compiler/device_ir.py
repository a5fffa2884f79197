"""Level-4 MLIR to LLVM IR text, inside a worker process.

The upstream conversions run on the one `gpu.module`; what they need set up first and what they leave out is done here.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tilelang_mlir import mlir
from tilelang_mlir.compiler.conversion import Conversion
from tilelang_mlir.compiler.failures import find_location
from tilelang_mlir.compiler.find import Census
from tilelang_mlir.compiler.math_calls import lower_math
from tilelang_mlir.errors import CompileError
from tilelang_mlir.mlir import ADVANCE, PassManager, extension, ir

# Nothing is cleaned up here: LLVM does it, and makes the same code of what is left (48 kernels for three targets).
_CONVERT = "gpu.module({first}convert-to-llvm,{last}reconcile-unrealized-casts)"
# Vectors of one dimension, all that lowering makes, need no pass of their own, which takes as long as the others.
_FIRST, _VECTORS = "convert-scf-to-cf,", "convert-vector-to-llvm,"
# Directives only: with full debug info ptxas stops optimising.
_LINE_INFO = "ensure-debug-info-scope-on-llvm-func{emission-kind=DebugDirectivesOnly}"
_BRANCHES = ("llvm.br", "llvm.cond_br")
_LOOP = "llvm.loop_annotation"
COUNTED = "tl.counted"
"""On a `scf.for` whose variable takes the value of the bound: the loop ends when they are equal. Conversion moves it to
the branch back if it is of the llvm dialect."""
_NOT_EQUAL = 1  # of `llvm.icmp`

Clock = Callable[[str], None]


def new_context() -> ir.Context:
    """A context for level-4 modules.

    Discardable `tl.*` attributes stay on the ops, so unregistered dialects are allowed; op names are checked later.
    """
    ctx = mlir.new_context()
    ctx.allow_unregistered_dialects = True
    return ctx


def parse(source: bytes, context: ir.Context | None = None) -> ir.Module:
    """Parse a level-4 module, bytecode or text, in a context of its own or one that `new_context` made."""
    with context or new_context():
        return ir.Module.parse(source)


def device_module(module: ir.Module) -> ir.Operation:
    """The `gpu.module` of a level-4 module. Raises CompileError when there is not exactly one."""
    found = [op.operation for op in module.body.operations if op.operation.name == "gpu.module"]
    if len(found) != 1:
        raise CompileError(f"a lowered module holds one gpu.module, this one has {len(found)}")
    return found[0]


def effort(module: ir.Module) -> int | None:
    """The optimisation level that is enough for all kernels of a level-4 module; None: all there is."""
    functions = [op.operation for op in device_module(module).regions[0].blocks[0].operations]
    kernels = [op for op in functions if "gpu.kernel" in op.attributes]
    levels = [ir.IntegerAttr(op.attributes["tl.effort"]).value for op in kernels if "tl.effort" in op.attributes]
    return max(levels) if levels and len(levels) == len(kernels) else None


def spills_matter(module: ir.Module) -> bool:
    """Whether the level of `effort` is enough only for machine code that keeps its values in registers."""
    functions = [op.operation for op in device_module(module).regions[0].blocks[0].operations]
    return any("tl.effort_unspilled" in op.attributes for op in functions)


def is_interleaved(module: ir.Module) -> bool:
    """Whether kernels of a level-4 module want an assembler that lets the warps take turns within runs of additions."""
    functions = [op.operation for op in device_module(module).regions[0].blocks[0].operations]
    return any("tl.interleaved" in op.attributes for op in functions)


def to_llvm_ir(module: ir.Module, conversion: Conversion, *, line_info: bool, lap: Clock) -> str:
    """Lower a level-4 module in place and translate it to LLVM IR text.

    `lap(stage)` is called after each stage, for timings.

    Raises:
        CompileError: an op has no lowering to LLVM.
        ir.MLIRError: an upstream pass failed.
    """
    with module.context:
        device = device_module(module)
        device.attributes["llvm.data_layout"] = ir.StringAttr.get(conversion.data_layout)
        device.attributes["llvm.target_triple"] = ir.StringAttr.get(conversion.triple)
        census = Census(device)
        for prepare in conversion.prepare:
            prepare(device, census)
        lower_math(census, conversion.math)
        _keep_loop_hints(census, "scf.for", "tl.unroll")
        lap("prepare")
        device = _converted(module, conversion)
        if line_info:
            _run(module, _LINE_INFO)
            device = device_module(module)
            device.verify()  # LLVM verifies what is made of it; where that crashes, the worker runs again with lines
        lap("mlir")
        text = extension("_mlirDialectsLLVM").translate_module_to_llvmir(device)
        lap("translate")
        return text


def _converted(module: ir.Module, conversion: Conversion) -> ir.Operation:
    """Convert a module to the llvm dialect and that of the vendor's instructions; returns its `gpu.module`."""
    last = f"{conversion.passes}," if conversion.passes else ""
    for first in (_FIRST, _VECTORS):
        _run(module, _CONVERT.format(first=first, last=last))
        device = device_module(module)
        left = _unconverted(device, conversion.dialects)
        if not left:
            return device
    names = ", ".join(sorted({name for name, _ in left}))
    raise CompileError(f"no lowering to LLVM for {names}", find_location(left[0][1]))


def _run(module: ir.Module, pipeline: str) -> None:
    passes = PassManager.parse(f"builtin.module({pipeline})")
    passes.enable_verifier(False)  # after each pass it would take longer than the passes
    passes.run(module.operation)


def _keep_loop_hints(census: Census, loop: str, hint: str) -> None:
    """`tl.unroll` on a loop (unit: fully, integer: by a factor) becomes the annotation LLVM's unroller reads."""
    for op in census.named(loop):
        if hint in op.attributes and _LOOP not in op.attributes:
            value = op.attributes[hint]
            how = f"count = {value}" if isinstance(value, ir.IntegerAttr) else "full = true"
            op.attributes[_LOOP] = ir.Attribute.parse(f"#llvm.loop_annotation<unroll = <disable = false, {how}>>")


def _unconverted(device: ir.Operation, dialects: tuple[str, ...]) -> list[tuple[str, str]]:
    """Names and places of ops that translation does not know: it would crash the process on them.

    Loop annotations move on the way: conversion keeps the discardable attribute, translation reads the branch's own.
    Loops that are marked as `COUNTED` test for equality.
    """
    left: list[tuple[str, str]] = []
    known: set[str] = set()  # names of converted ops that need nothing else: nearly all

    def visit(op: ir.Operation) -> ir.WalkResult:
        name = op.name
        if name in known:
            return ADVANCE
        if name in _BRANCHES:
            _hint(op)
        if not name.startswith(dialects) and name != "gpu.module":
            left.append((name, str(op.location)))
        elif name not in _BRANCHES:
            known.add(name)
        return ADVANCE

    device.walk(visit)
    return left


def _hint(branch: ir.Operation) -> None:
    """Take the hints of loops off a branch."""
    attributes = branch.attributes
    if _LOOP in attributes:
        attributes["loop_annotation"] = attributes[_LOOP]
        del attributes[_LOOP]
    if COUNTED in attributes:
        del attributes[COUNTED]
        *_, ends = branch.successors[0].operations
        test = ends.operation.operands[0].owner
        test.attributes["predicate"] = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), _NOT_EQUAL)


def lap_timer(timings: dict[str, float]) -> Clock:
    """A `lap` that adds the milliseconds since the previous call to `timings[stage]`."""
    last = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal last
        now = time.perf_counter()
        timings[stage] = timings.get(stage, 0.0) + (now - last) * 1e3
        last = now

    return lap
