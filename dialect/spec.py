"""Executable specs of the IR levels: which ops and attributes may occur, checked between passes in debug runs.

`check(level, module)` raises at the first op that may not occur. Levels are described in docs/architecture.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tilelang_mlir.errors import PassError
from tilelang_mlir.isa.kernels import BLOCK_ATTRIBUTES, KERNEL_ATTRIBUTES
from tilelang_mlir.mlir import ir

from .location import location_notes, python_location
from .tl import FRAGMENT, SHARED, TMEM, scope_of

Rule = Callable[[ir.Operation], str]
"""Says what is wrong with an op, or returns an empty string."""


@dataclass(frozen=True)
class Spec:
    """What may occur at a level: whole dialects, single ops, and rules per op (`"*"`: for every op)."""

    dialects: frozenset[str]
    ops: frozenset[str]
    rules: dict[str, tuple[Rule, ...]] = field(default_factory=dict)


def check(level: str, module: ir.Module) -> None:
    """Check a module against a level: `tl`, `laid_out`, `scheduled` or `lowered`.

    Raises:
        PassError: at the first op that may not occur, naming the op, its Python line and the rule it breaks.
    """
    if level not in SPECS:
        raise PassError(f"unknown level {level!r}, expected one of {', '.join(SPECS)}")
    spec = SPECS[level]
    for op in _walk(module.operation):
        message = "" if _allowed(spec, op.name) else f"may not occur at level {level!r}"
        for rule in (*spec.rules.get(op.name, ()), *spec.rules.get("*", ())):
            message = message or rule(op)
        if message:
            where = op.location
            raise PassError(f"'{op.name}' {message}", python_location(where), notes=location_notes(where))


def _allowed(spec: Spec, name: str) -> bool:
    return name in spec.ops or name.partition(".")[0] in spec.dialects


def _walk(op: ir.Operation) -> Iterator[ir.Operation]:
    yield op
    for region in op.regions:
        for block in region.blocks:
            for child in block.operations:
                yield from _walk(child.operation)


def _has(op: ir.Operation, name: str) -> bool:
    return name in op.attributes


def _no_results(op: ir.Operation) -> str:
    return f"has {len(op.results)} results: mutable state lives in buffers" if len(op.results) else ""


def _host_function(op: ir.Operation) -> str:
    if not _has(op, "tl.params"):
        return "has no attribute 'tl.params'"
    params, arguments = ir.ArrayAttr(op.attributes["tl.params"]), op.regions[0].blocks[0].arguments
    if len(params) != len(arguments):
        return f"has {len(arguments)} arguments but {len(params)} entries in 'tl.params'"
    for entry in params:
        for key in ("name", "kind"):
            if key not in ir.DictAttr(entry):
                return f"has an entry without {key!r} in 'tl.params'"
        if (kind := ir.StringAttr(ir.DictAttr(entry)["kind"]).value) not in ("tensor", "scalar", "pointer", "symbol"):
            return f"has a parameter of kind {kind!r}, expected tensor, scalar, pointer or symbol"
    return ""


def _in_launch(op: ir.Operation) -> str:
    parent = op.parent
    while parent is not None:
        if parent.operation.name == "tl.launch":
            return ""
        parent = parent.operation.parent
    return "occurs outside of tl.launch"


def _loop_bounds(op: ir.Operation) -> str:
    kind = op.operands[0].type
    fits = isinstance(kind, ir.IntegerType) and kind.width in (32, 64)
    return "" if fits else f"has bounds of type {kind}, expected i32"


def _laid_out(op: ir.Operation) -> str:
    """Every fragment and shared allocation carries its layout."""
    expected = {FRAGMENT: "#tl.fragment", SHARED: "#tl.smem", TMEM: "#tl.tmem"}.get(scope_of(op.results[0]), "")
    if expected and not _has(op, "layout"):
        return f"has no layout, expected an attribute 'layout' = {expected}<...>"
    if expected and not str(op.attributes["layout"]).startswith(expected + "<"):
        return f"has the layout {op.attributes['layout']}, expected {expected}<...>"
    return ""


def _loop_laid_out(op: ir.Operation) -> str:
    return "" if _has(op, "layout") else "has no layout, expected an attribute 'layout' = #tl.fragment<...>"


def _placed(op: ir.Operation) -> str:
    """Every shared allocation has its place in the arena."""
    needs = op.name == "tl.alloc_barrier" or scope_of(op.results[0]) == SHARED
    return (
        "has no 'tl.offset': its place in shared memory is not decided" if needs and not _has(op, "tl.offset") else ""
    )


def _not_pipelined(op: ir.Operation) -> str:
    return "still has 'tl.pipeline': pipelined loops are expanded at this level" if _has(op, "tl.pipeline") else ""


_THREAD_TYPE = re.compile(r"(vector<\d+x)?(i1|i8|i16|i32|i64|f16|bf16|f32|f64)>?$|!llvm\.")


def _thread_types(op: ir.Operation) -> str:
    """Values of the thread program: scalars and 1-D vectors of machine types, pointers and llvm aggregates."""
    for result in op.results:
        if not _THREAD_TYPE.match(str(result.type)):
            return f"has a result of type {result.type}, which a thread program has no register for"
    return ""


def _static_position(op: ir.Operation) -> str:
    expected = 2 if op.name == "vector.insert" else 1
    return "" if len(op.operands) == expected else "has a dynamic position"


def _known_instruction(op: ir.Operation) -> str:
    return "" if _has(op, "tl.instr") else "has no 'tl.instr': inline assembly must name its instruction table entry"


def _kernel(op: ir.Operation) -> str:
    if not len(op.regions[0].blocks):
        return ""
    vendor = next((i for i, name in enumerate(KERNEL_ATTRIBUTES) if _has(op, name)), 0)
    wanted = ("gpu.kernel", KERNEL_ATTRIBUTES[vendor], BLOCK_ATTRIBUTES[vendor], "tl.shared_bytes")
    missing = [name for name in wanted if not _has(op, name)]
    return f"lacks the attribute {missing[0]!r}" if missing and _has(op, "gpu.kernel") else ""


_TL_OPS = frozenset((
    "builtin.module", "func.func", "func.return", "scf.for", "scf.if", "scf.while", "scf.yield", "scf.condition",
    "memref.load", "memref.store", "llvm.inttoptr", "llvm.ptrtoint", "llvm.getelementptr", "vector.extract",
    "vector.insert", "vector.from_elements", "vector.broadcast", "vector.bitcast", "ub.poison",
))  # fmt: skip
_TL_DIALECTS = frozenset(("tl", "arith", "math"))
_STRUCTURE: dict[str, tuple[Rule, ...]] = {
    "func.func": (_host_function,),
    "scf.for": (_no_results, _loop_bounds),
    "scf.if": (_no_results,),
    "scf.while": (_no_results,),
    "tl.parallel": (_in_launch,),
    "tl.copy": (_in_launch,),
    "tl.gemm": (_in_launch,),
    "tl.mma_scaled": (_in_launch,),
    "tl.gemm_sp": (_in_launch,),
    "tl.im2col": (_in_launch,),
    "tl.thread_id": (_in_launch,),
}
_LAYOUTS: dict[str, tuple[Rule, ...]] = {
    **_STRUCTURE,
    "tl.alloc": (_laid_out,),
    "tl.alloc_reducer": (_laid_out,),
    "tl.parallel": (_in_launch, _loop_laid_out),
}
_SCHEDULE: dict[str, tuple[Rule, ...]] = {
    **_LAYOUTS,
    "tl.alloc": (_laid_out, _placed),
    "tl.alloc_barrier": (_placed,),
    "scf.for": (_no_results, _loop_bounds, _not_pipelined),
}
_LOWERED_OPS = frozenset((
    "builtin.module", "gpu.module", "gpu.printf", "scf.for", "scf.if", "scf.while", "scf.yield", "scf.condition",
    "vector.extract", "vector.insert", "vector.from_elements", "vector.broadcast", "vector.shuffle", "vector.bitcast",
    "vector.reduction", "vector.extract_strided_slice", "llvm.func", "llvm.return", "llvm.mlir.global",
    "llvm.mlir.addressof", "llvm.mlir.undef", "llvm.mlir.poison", "llvm.mlir.zero", "llvm.mlir.constant",
    "llvm.getelementptr", "llvm.load", "llvm.store", "llvm.alloca", "llvm.ptrtoint", "llvm.inttoptr", "llvm.bitcast",
    "llvm.addrspacecast", "llvm.extractvalue", "llvm.insertvalue", "llvm.atomicrmw", "llvm.cmpxchg", "llvm.fence",
    "llvm.intr.assume", "llvm.intr.trap", "llvm.call", "llvm.inline_asm", "ub.poison",
))  # fmt: skip
_LOWERED: dict[str, tuple[Rule, ...]] = {
    "*": (_thread_types,),
    "vector.extract": (_static_position,),
    "vector.insert": (_static_position,),
    "llvm.inline_asm": (_known_instruction,),
    "nvvm.inline_ptx": (_known_instruction,),
    "llvm.func": (_kernel,),
}

SPECS: dict[str, Spec] = {
    "tl": Spec(_TL_DIALECTS, _TL_OPS, _STRUCTURE),
    "laid_out": Spec(_TL_DIALECTS, _TL_OPS, _LAYOUTS),
    "scheduled": Spec(_TL_DIALECTS, _TL_OPS, _SCHEDULE),
    "lowered": Spec(frozenset(("arith", "math", "nvvm", "rocdl", "amdgpu")), _LOWERED_OPS, _LOWERED),
}
