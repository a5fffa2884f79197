"""`pipeline-loops`: overlap copies into shared memory with the computation on earlier tiles.

Input: laid-out program; a loop marked `tl.pipeline = {num_stages = s}` whose body copies tiles from device to shared
memory. Output: those tiles have s versions, the copies run s - 1 iterations ahead as asynchronous groups:

    for k: copy A[k] -> S; use S
    =>
    for p < s - 1: if lb + p < ub: copy async A[lb + p] -> S[p]; commit
    for k: wait_group s - 2; barrier
           if k + s - 1 < ub: copy async A[k + s - 1] -> S[(k - lb + s - 1) % s]
           commit; use S[(k - lb) % s]

One barrier per iteration does both: copies of all threads are visible, and the version about to be overwritten has been
read. A copy qualifies when its target is used in this loop only, is written by nothing else, and what it depends on can
be computed ahead. Loops in which none qualifies, and targets without asynchronous copies, keep their plain form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, Target

from ..dialect.ops.tensor import MMA_OPS
from ..dialect.effects import region_effects, root
from ..dialect.tl import GLOBAL, SHARED, buffer_type, scope_of
from . import build
from .base import Pass
from .walk import launches, nested


@dataclass(frozen=True)
class PipelineLoops(Pass):
    """Expand pipelined loops into asynchronous multi-stage copies."""

    name: ClassVar[str] = "pipeline-loops"

    async_copy: bool = True

    def run(self, module: ir.Module, target: Target) -> None:
        for launch in launches(module):
            for loop in [op for op in nested(launch) if op.name == "scf.for" and "tl.pipeline" in op.attributes]:
                stages = _stages(loop)
                del loop.attributes["tl.pipeline"]
                if stages < 2 or not self.async_copy or not target.supports(Feature.CP_ASYNC):
                    continue
                copies = producers(loop)
                if copies:
                    with module.context, loop.location:
                        _expand(Versions(loop, copies, stages), any(_reads_asynchronously(o) for o in nested(loop)))


def _reads_asynchronously(op: ir.Operation) -> bool:
    return op.name in MMA_OPS or op.name == "tl.gemm" and "instr" in op.attributes


def _stages(loop: ir.Operation) -> int:
    options = ir.DictAttr(loop.attributes["tl.pipeline"])
    return ir.IntegerAttr(options["num_stages"]).value if "num_stages" in options else 0


def producers(loop: ir.Operation) -> list[ir.Operation]:
    """Top-level copies from device to shared memory that may run ahead."""
    accesses = region_effects(loop)
    written = {e.value for e in accesses if e.kind == "write"}
    found: list[ir.Operation] = []
    for op in loop.regions[0].blocks[0].operations:
        op = op.operation
        if op.name != "tl.copy" or "async" in op.attributes:
            continue
        source, target = op.operands
        buffer = root(target)
        elements = [ir.MemRefType(v.type).element_type for v in (source, target)]
        if scope_of(source) != GLOBAL or scope_of(target) != SHARED or elements[0] != elements[1] or buffer != target:
            continue
        writers = [e for e in accesses if e.value == buffer and e.kind == "write"]
        if not _aligned_rows(source):
            continue
        if (
            len(writers) == 1
            and root(source) not in written
            and _only_here(buffer, loop)
            and _computable(source, loop, written)
        ):
            found.append(op)
    return found


def _aligned_rows(source: ir.Value) -> bool:
    """Whether every row starts at a multiple of four bytes: asynchronous copies move no less."""
    tensor = root(source).owner
    if isinstance(tensor, ir.Block) or tensor.operation.name != "tl.tensor":
        return True
    strides = list(ir.DenseI64ArrayAttr(tensor.operation.attributes["strides"]))
    size = max(ir.MemRefType(source.type).element_type.width // 8, 1)
    return strides[-1] == 1 and all(s != -1 and s * size % 4 == 0 for s in strides[:-1])


def _only_here(buffer: ir.Value, loop: ir.Operation) -> bool:
    return buffer.owner.operation.parent != loop and all(_inside(use.owner.operation, loop) for use in buffer.uses)


def _inside(op: ir.Operation, loop: ir.Operation) -> bool:
    parent = op.parent
    while parent is not None:
        if parent.operation == loop:
            return True
        parent = parent.operation.parent
    return False


def _computable(value: ir.Value, loop: ir.Operation, written: set[ir.Value]) -> bool:
    """Whether what a value depends on inside the loop is arithmetic and reads of memory the loop does not write."""
    owner = value.owner
    if isinstance(owner, ir.Block) or not _inside(owner.operation, loop):
        return True
    op = owner.operation
    if len(op.regions) or op.name == "memref.load" and root(op.operands[0]) in written:
        return False
    pure = op.name.startswith(("arith.", "math.")) or op.name in ("tl.slice", "tl.cast", "memref.load", "tl.reshape")
    return pure and all(_computable(v, loop, written) for v in op.operands)


class Versions:
    """The multi-versioned tiles of a loop and the arithmetic of its rounds."""

    def __init__(self, loop: ir.Operation, copies: list[ir.Operation], stages: int) -> None:
        self.loop = loop
        self.copies = copies
        self.stages = stages
        self.body = loop.regions[0].blocks[0]
        self.lower, self.upper, self.step = list(loop.operands)[:3]
        self.tiles: dict[ir.Value, ir.Value] = {}
        for copy in copies:
            self._add(copy.operands[1])

    def _add(self, buffer: ir.Value) -> None:
        old = buffer.owner.operation
        kind = ir.MemRefType(buffer.type)
        result = buffer_type([self.stages, *kind.shape], kind.element_type, SHARED)
        with ir.InsertionPoint(old), old.location:
            new = ir.Operation.create("tl.alloc", [result], attributes=build.attributes_of(old))
        self.tiles[buffer] = new.result

    def trip(self, variable: ir.Value, bounds: list[ir.Value]) -> ir.Value:
        """Number of the iteration, from 0."""
        return build.binary("divui", build.binary("subi", variable, bounds[0]), bounds[2])

    def slot(self, trip: ir.Value) -> ir.Value:
        """The version that an iteration uses."""
        return build.binary("remui", trip, build.constant(self.stages))

    def phase(self, trip: ir.Value) -> ir.Value:
        """Parity of the round: how often the ring has been walked."""
        return build.binary("andi", build.binary("divui", trip, build.constant(self.stages)), build.constant(1))

    def version(self, buffer: ir.Value, slot: ir.Value) -> ir.Value:
        """One version of a tile."""
        return _version(self.tiles[buffer], slot)

    def clone(self, value: ir.Value, cloned: dict[ir.Value, ir.Value]) -> ir.Value:
        """The value computed for another iteration: `cloned` maps what is replaced and remembers what was computed."""
        if value in cloned:
            return cloned[value]
        owner = value.owner
        if isinstance(owner, ir.Block) or not _inside(owner.operation, self.loop):
            return value
        op = owner.operation
        operands = [self.clone(v, cloned) for v in op.operands]
        with op.location:
            copy = ir.Operation.create(op.name, [r.type for r in op.results], operands, build.attributes_of(op))
        for old, new in zip(op.results, copy.results, strict=True):
            cloned[old] = new
        return cloned[value]

    def finish(self, slot: ir.Value) -> None:
        """Drop the copies and make every use of a tile use the iteration's version."""
        for copy in self.copies:
            copy.erase()
        for old, new in self.tiles.items():
            _redirect(old, new, slot)
            old.owner.operation.erase()


def _expand(versions: Versions, needs_fence: bool) -> None:
    """Asynchronous copies ahead of the iteration that uses them."""
    stages = versions.stages
    bounds = [versions.lower, versions.upper, versions.step]
    with ir.InsertionPoint(versions.loop):
        for ahead in range(stages - 1):
            offset = build.binary("muli", versions.step, build.constant(ahead))
            _issue(versions, build.binary("addi", versions.lower, offset), build.constant(ahead))
    first = next(iter(versions.body.operations))
    with ir.InsertionPoint(first):
        pending = ir.IntegerAttr.get(build.i32(), stages - 2)
        ir.Operation.create("tl.wait_group", attributes={"pending": pending})
        if needs_fence:
            ir.Operation.create("tl.fence_proxy")
        build.sync_threads()
        trip = versions.trip(versions.body.arguments[0], bounds)
        ahead = build.binary(
            "addi", versions.body.arguments[0], build.binary("muli", versions.step, build.constant(stages - 1))
        )
        _issue(versions, ahead, versions.slot(build.binary("addi", trip, build.constant(stages - 1))))
        slot = versions.slot(trip)
    versions.finish(slot)


def _issue(versions: Versions, variable: ir.Value, slot: ir.Value) -> None:
    """All copies of the iteration with loop variable `variable`, if there is one, as one group."""
    branch = ir.Operation.create("scf.if", [], [build.compare(2, variable, versions.upper)], regions=2)
    with ir.InsertionPoint(branch.regions[0].blocks.append()):
        cloned: dict[ir.Value, ir.Value] = {versions.body.arguments[0]: variable}
        for copy in versions.copies:
            with copy.location:
                source = versions.clone(copy.operands[0], cloned)
                target = versions.version(copy.operands[1], slot)
                ir.Operation.create(
                    "tl.copy", [], [source, target], {**build.attributes_of(copy), "async": build.unit()}
                )
        ir.Operation.create("scf.yield")
    ir.Operation.create("tl.commit_group")


def _version(buffer: ir.Value, slot: ir.Value) -> ir.Value:
    """One version of a multi-versioned tile."""
    shape = list(ir.MemRefType(buffer.type).shape)
    zero = build.constant(0)
    return build.slice_of(buffer, [slot, *[zero] * (len(shape) - 1)], [1, *shape[1:]])


def _redirect(old: ir.Value, new: ir.Value, slot: ir.Value) -> None:
    """Make every use of a tile use the version `slot`."""
    for use in list(old.uses):
        op, position = use.owner.operation, use.operand_number
        with ir.InsertionPoint(op), op.location:
            if op.name in ("memref.load", "memref.store"):
                operands = list(op.operands)
                operands[position : position + 1] = [new, build.to_index(slot)]
                _replace(op, operands)
            elif op.name == "tl.slice":
                operands = list(op.operands)
                sizes = [1, *ir.DenseI64ArrayAttr(op.attributes["sizes"])]
                op.results[0].replace_all_uses_with(build.slice_of(new, [slot, *operands[1:]], sizes))
                op.erase()
            else:
                op.operands[position] = _version(new, slot)


def _replace(op: ir.Operation, operands: list[ir.Value]) -> None:
    attrs = build.attributes_of(op)
    new = ir.Operation.create(op.name, [r.type for r in op.results], operands, attrs)
    for old, result in zip(op.results, new.results, strict=True):
        old.replace_all_uses_with(result)
    op.erase()


