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
be computed ahead. Loops in which none qualifies, and targets without asynchronous copies, keep their plain form. Loops
around a single product of `mma.sync` load its operands ahead too (`operand_prefetch.py`). Where all loads of a loop
around products of warpgroups, or into tensor memory, can be bulk copies, one thread issues those instead
(`bulk_pipeline.py`), and the first product into tensor memory starts an iteration ahead (`products_ahead.py`). Targets
that load into LDS have two versions: these loads are counted, not grouped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.mlir import int_array, ir
from tilelang_mlir.target import Feature, Target

from ..dialect.effects import region_effects, root
from ..dialect.products import PRODUCTS, TENSOR_PRODUCTS
from ..dialect.tl import GLOBAL, SHARED, scope_of
from . import build, bulk_pipeline, operand_prefetch, products_ahead, raster
from .base import Pass
from .nvidia.loads import LOADS
from .versions import Versions, inside
from .walk import launches, nested, num_threads


@dataclass(frozen=True)
class PipelineLoops(Pass):
    """Expand pipelined loops into asynchronous multi-stage copies."""

    name: ClassVar[str] = "pipeline-loops"

    async_copy: bool = True
    prefetch: bool = True
    bulk: bool = True

    def run(self, module: ir.Module, target: Target) -> None:
        for launch in launches(module):
            for loop in [op for op in nested(launch) if op.name == "scf.for" and "tl.pipeline" in op.attributes]:
                stages = stages_of(loop)
                del loop.attributes["tl.pipeline"]
                if self.bulk and stages > 1 and self._load_in_bulk(loop, launch, stages, target):
                    continue
                copies = producers(loop) if stages > 1 and self.async_copy else []
                if not copies or not runs_ahead(copies, num_threads(launch), target):
                    continue
                with module.context, loop.location:
                    if not target.supports(Feature.CP_ASYNC):  # a counter of loads instead of groups: one at a time
                        _expand(Versions(loop, copies, 2), needs_fence=False)
                        continue
                    product = operand_prefetch.only_product(loop, copies, target) if self.prefetch else None
                    if product is not None:
                        operand_prefetch.expand(Versions(loop, copies, stages), product)
                    else:
                        needs_fence = any(_reads_asynchronously(o) for o in nested(loop))
                        _expand(Versions(loop, copies, stages), needs_fence)
            if target.supports(Feature.CP_ASYNC) and self.async_copy:
                for copy in [op for op in nested(launch) if op.name == "tl.copy" and _prefers(op, "cp_async")]:
                    _copy_at_once(copy)

    def _load_in_bulk(self, loop: ir.Operation, launch: ir.Operation, stages: int, target: Target) -> bool:
        """Rewrite a loop around asynchronous products whose loads all are bulk copies; whether it was."""
        copies = producers(loop, LOADS)
        products = any(_reads_asynchronously(op) for op in nested(loop))
        if not copies or not products or not bulk_pipeline.applies(loop, copies, target):
            return False
        with launch.context, loop.location:
            ahead = products_ahead.find(loop, launch, copies, stages, target)
            if ahead is not None:
                products_ahead.expand(ahead, loop, copies, stages, launch)
            else:
                bulk_pipeline.expand(Versions(loop, copies, stages), launch)
        return True


def runs_ahead(copies: list[ir.Operation], threads: int, target: Target) -> bool:
    """Whether a target has asynchronous copies for these: every one with cp.async, or all by loads into LDS."""
    if target.supports(Feature.CP_ASYNC):
        return True
    from .amd.lds_copy import copies_directly

    return all(copies_directly(copy, threads, target) for copy in copies)


def _reads_asynchronously(op: ir.Operation) -> bool:
    return op.name in TENSOR_PRODUCTS or op.name in PRODUCTS and "instr" in op.attributes


def stages_of(loop: ir.Operation) -> int:
    """Versions of its tiles that a pipelined loop asks for: fewer than two are none."""
    options = ir.DictAttr(loop.attributes["tl.pipeline"])
    return ir.IntegerAttr(options["num_stages"]).value if "num_stages" in options else 0


def producers(loop: ir.Operation, names: tuple[str, ...] = ("tl.copy",)) -> list[ir.Operation]:
    """Top-level copies from device to shared memory that may run ahead; `names` are the operations that count."""
    accesses = region_effects(loop)
    written = {e.value for e in accesses if e.kind == "write"}
    found: list[ir.Operation] = []
    for op in loop.regions[0].blocks[0].operations:
        op = op.operation
        if op.name not in names or "async" in op.attributes or _prefers(op, "sync"):
            continue
        source, target, *numbers = op.operands
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
            and all(_computable(v, loop, written) for v in (source, *numbers))
        ):
            found.append(op)
    return found


def _prefers(op: ir.Operation, instruction: str) -> bool:
    return "prefer" in op.attributes and ir.StringAttr(op.attributes["prefer"]).value == instruction


def _copy_at_once(copy: ir.Operation) -> None:
    """A copy outside of pipelines that the program wants as asynchronous words: they are waited for at once."""
    source, target = list(copy.operands)[:2]
    alike = ir.MemRefType(source.type).element_type == ir.MemRefType(target.type).element_type
    tiles = scope_of(source) == GLOBAL and scope_of(target) == SHARED
    if "async" in copy.attributes or not (alike and tiles and _aligned_rows(source)):
        return
    with copy.context, copy.location, ir.InsertionPoint.after(copy):
        copy.attributes["async"] = build.unit()
        ir.Operation.create("tl.commit_group")
        ir.Operation.create("tl.wait_group", attributes={"pending": ir.IntegerAttr.get(build.i32(), 0)})
        build.sync_threads()


def _aligned_rows(source: ir.Value) -> bool:
    """Whether every row starts at a multiple of four bytes: asynchronous copies move no less."""
    tensor = root(source).owner
    if isinstance(tensor, ir.Block) or tensor.operation.name != "tl.tensor":
        return True
    innermost = int_array(tensor.operation.attributes["strides"])[-1]
    size = max(ir.MemRefType(source.type).element_type.width // 8, 1)
    return innermost == 1 and all(s * size % 4 == 0 for s in raster.stride_divisors(tensor.operation)[:-1])


def _only_here(buffer: ir.Value, loop: ir.Operation) -> bool:
    return buffer.owner.operation.parent != loop and all(inside(use.owner.operation, loop) for use in buffer.uses)


def _computable(value: ir.Value, loop: ir.Operation, written: set[ir.Value]) -> bool:
    """Whether what a value depends on inside the loop is arithmetic and reads of memory the loop does not write."""
    owner = value.owner
    if isinstance(owner, ir.Block) or not inside(owner.operation, loop):
        return True
    op = owner.operation
    if len(op.regions) or op.name == "memref.load" and root(op.operands[0]) in written:
        return False
    pure = op.name.startswith(("arith.", "math.")) or op.name in ("tl.slice", "tl.cast", "memref.load", "tl.reshape")
    return pure and all(_computable(v, loop, written) for v in op.operands)


def _expand(versions: Versions, needs_fence: bool) -> None:
    """Asynchronous copies ahead of the iteration that uses them."""
    stages = versions.stages
    bounds = [versions.lower, versions.upper, versions.step]
    with ir.InsertionPoint(versions.loop):
        for ahead in range(stages - 1):
            offset = build.binary("muli", versions.step, build.constant(ahead))
            _issue(versions, build.binary("addi", versions.lower, offset), build.constant(ahead))
    released = versions.released()
    with ir.InsertionPoint(next(iter(versions.body.operations))):
        pending = ir.IntegerAttr.get(build.i32(), stages - 2)
        ir.Operation.create("tl.wait_group", attributes={"pending": pending})
        if needs_fence:
            ir.Operation.create("tl.fence_proxy")
        build.sync_threads()
        trip = versions.trip(versions.body.arguments[0], bounds)
        if released is None:
            _issue_ahead(versions, trip)
        slot = versions.slot(trip)
    if released is not None:
        with ir.InsertionPoint.after(released):
            _issue_ahead(versions, trip)
    versions.finish(slot)


def _issue_ahead(versions: Versions, trip: ir.Value) -> None:
    """The copies of the iteration that is one version less than all versions away."""
    ahead = build.constant(versions.stages - 1)
    variable = build.binary("addi", versions.body.arguments[0], build.binary("muli", versions.step, ahead))
    _issue(versions, variable, versions.slot(build.binary("addi", trip, build.constant(versions.stages - 1))))


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
