"""`legalize-tile-ops`: rewrite tile operations into those that layouts and lowering know.

Input: the tile program as traced. Output: reductions from fragment to fragment only (shared operands go through
fragments, per-thread arrays through serial loops), scans of fragments in place (`legalize_scans.py`), copies of parts
of fragments as parallel loops, products and reductions of parts through fragments of their own (`fragment_parts.py`),
products that no instruction has as loops of the threads (`scalar_products.py`), parallel loops with constant extents,
those over arrays of the threads alone as loops of every thread (`private_loops.py`),
branches of whole warpgroups as their regions, votes of a block as those of its waves where barriers do not count; a
load that the program schedules arrives at its barrier where nothing else does; sums that the first iteration of a
loop clears are cleared in front of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.mlir import int_array, ir
from tilelang_mlir.target import Feature, Target

from ..dialect.effects import effects, region_effects, root
from ..dialect.tl import FRAGMENT, LOCAL, buffer_type, scope_of
from . import build, raster
from .base import Pass
from .block_votes import expand_block_vote
from .combining import combine
from .expand_tile_ops import convert
from .fragment_parts import expand_part, stage_parts
from .legalize_scans import legalize_scan
from .part_branches import part_branches
from .private_loops import run_by_each_thread
from .scalar_products import expand_product, is_scalar
from .shrink_loops import shrink_loop
from .thread_branches import check_loop, settle_branches, split_branch
from .walk import launches, nested, num_threads, threads_of

_HANDLED = (
    "tl.reduce", "tl.scan", "tl.gemm", "tl.gemm_sp", "tl.tma_load", "tl.mbarrier_arrive", "tl.copy", "tl.fill",
    "scf.if", "scf.for", "tl.parallel", "tl.vote",
)  # fmt: skip

_OF_WHOLE_TILES = ("tl.gemm", "tl.gemm_sp", "tl.reduce")


@dataclass(frozen=True)
class LegalizeTileOps(Pass):
    """Bring reductions and scans into the forms that later passes handle.

    With `block_syncs` barriers that the program places in a branch on the thread index meet all threads of the block,
    as `__syncthreads` does; else the threads that take the branch.
    """

    name: ClassVar[str] = "legalize-tile-ops"
    block_syncs: bool = False

    def run(self, module: ir.Module, target: Target) -> None:
        for launch in launches(module):
            with module.context:
                # First of all, for they erase branches, which the loop below would still look at.
                part_branches(launch)
                settle_branches(launch)
                for op in [op for op in nested(launch) if op.name == "tl.parallel"]:
                    if not run_by_each_thread(op):
                        shrink_loop(op)
                for op in [op for op in nested(launch) if op.name in _OF_WHOLE_TILES]:
                    stage_parts(op)
                for op in [op for op in nested(launch) if op.name in _HANDLED]:  # what these contain may go with them
                    if op.name == "tl.reduce":
                        _legalize_reduce(op)
                    elif op.name == "tl.scan":
                        legalize_scan(op)
                    elif op.name == "tl.gemm" and is_scalar(op, target):
                        expand_product(op)
                    elif op.name in ("tl.gemm", "tl.gemm_sp"):
                        if not _clear_in_front(op):
                            _fold_clear(op)
                    elif op.name == "tl.tma_load" and "explicit" in op.attributes:
                        _arrive_with_copy(op)
                    elif op.name in ("tl.copy", "tl.fill"):
                        loop = expand_part(op)
                        if loop is not None:
                            _legalize_parallel(loop, threads_of(loop))
                    elif op.name == "scf.if":
                        split_branch(op, launch, warp=target.warp_size, block_syncs=self.block_syncs)
                    elif op.name == "scf.for":
                        check_loop(op, launch)
                    elif op.name == "tl.parallel":
                        _legalize_parallel(op, threads_of(op))
                    elif op.name == "tl.mbarrier_arrive" and "copies" in op.attributes and not _copies_by_hand(launch):
                        del op.attributes["copies"]
                    elif op.name == "tl.vote" and _is_of_block(op) and not target.supports(Feature.BLOCK_VOTES):
                        expand_block_vote(op, launch, target.warp_size)
                if self.block_syncs:
                    _meet_whole_block(launch)


def _meet_whole_block(launch: ir.Operation) -> None:
    """Barriers in the regions of some warps count all threads; the barriers of the compiler there come later."""
    i32 = ir.IntegerType.get_signless(32)
    for region in [op for op in nested(launch) if op.name == "tl.warpgroups"]:
        for op in [op for op in nested(region) if op.name == "tl.sync_threads" and "id" not in op.attributes]:
            op.attributes["id"] = ir.IntegerAttr.get(i32, 0)
            op.attributes["count"] = ir.IntegerAttr.get(i32, num_threads(launch))


def _copies_by_hand(launch: ir.Operation) -> bool:
    """Whether threads start cp.async copies, which an arrival can wait for; it does not order stores as others do."""
    starts = lambda op: op.name == "tl.copy_words" or (op.name == "tl.copy" and "async" in op.attributes)
    return any(starts(op) for op in nested(launch))


def _is_of_block(vote: ir.Operation) -> bool:
    return ir.StringAttr(vote.attributes["kind"]).value.startswith("block_")


def _like(op: ir.Operation, value: ir.Value, scope: str, element: ir.Type) -> ir.Value:
    """A fresh buffer in front of an operation, of the same shape in another scope, or of other elements."""
    with ir.InsertionPoint(op), op.location:
        result = buffer_type(list(ir.MemRefType(value.type).shape), element, scope)
        return ir.Operation.create("tl.alloc", [result]).result


def _combined(op: ir.Operation) -> ir.Type:
    """The elements that a reduction combines: the wider ones of source and target; sums of floats below 32 bits are
    kept in float32, which formats of 16 bits have in common."""
    source, target = (ir.MemRefType(v.type).element_type for v in op.operands)
    wider = target if target.width > source.width else source
    alike = source == target and not _is_narrow(op.operands[0]) and not _is_sum(op)
    return wider if isinstance(source, ir.IntegerType) or wider.width >= 32 or alike else ir.F32Type.get()


def _lowering_extends(op: ir.Operation) -> bool:
    """Whether lowering makes float32 of 16-bit elements by itself."""
    f32 = ir.F32Type.get()
    return _combined(op) == f32 and (_is_sum(op) or ir.MemRefType(op.operands[1].type).element_type == f32)


def _is_sum(op: ir.Operation) -> bool:
    return "sum" in ir.StringAttr(op.attributes["kind"]).value


def _is_narrow(value: ir.Value) -> bool:
    return str(ir.MemRefType(value.type).element_type).startswith(("f8E", "f6E", "f4E"))


def _copy(source: ir.Value, target: ir.Value, reduction: ir.Operation) -> None:
    """A copy for a reduction, which reads integers as the reduction does."""
    attributes = {"unsigned": build.unit()} if "unsigned" in reduction.attributes else {}
    ir.Operation.create("tl.copy", [], [source, target], attributes)


def _arrive_with_copy(op: ir.Operation) -> None:
    """An explicit load arrives at its barrier where nothing else in the kernel does."""
    users = [use.owner.operation for use in op.operands[2].uses]
    if not any(user.name in ("tl.mbarrier_arrive", "tl.mbarrier_state", "tl.mbarrier_meet") for user in users):
        op.attributes["arrive"] = build.unit()


def _legalize_reduce(op: ir.Operation) -> None:
    source, target = op.operands
    combined = _combined(op)
    if scope_of(source) == scope_of(target) == LOCAL:
        if ir.MemRefType(target.type).element_type != combined:
            _stage_target(op, _like(op, target, LOCAL, combined))
        _serial_reduce(op)
        return
    own = ir.MemRefType(source.type).element_type
    extends = own != combined and not _lowering_extends(op)
    if scope_of(source) != FRAGMENT or _is_narrow(source) or extends:
        staged = _like(op, source, FRAGMENT, combined if extends or _is_narrow(source) else own)
        with ir.InsertionPoint(op), op.location:
            _copy(source, staged, op)
        op.operands[0] = staged
    if scope_of(target) != FRAGMENT or _is_narrow(target):
        element = ir.F32Type.get() if _is_narrow(target) else ir.MemRefType(target.type).element_type
        _stage_target(op, _like(op, target, FRAGMENT, element))


def _stage_target(op: ir.Operation, staged: ir.Value) -> None:
    """Reduce into another buffer, which is copied to the target."""
    target = op.operands[1]
    with ir.InsertionPoint(op), op.location:
        if not ir.BoolAttr(op.attributes["clear"]).value:
            _copy(target, staged, op)
    op.operands[1] = staged
    with ir.InsertionPoint.after(op), op.location:
        _copy(staged, target, op)


def _absolute(kind: str, value: ir.Value) -> ir.Value:
    if not kind.startswith("abs"):
        return value
    name = "math.absi" if isinstance(value.type, ir.IntegerType) else "math.absf"
    return ir.Operation.create(name, [value.type], [value]).result


def _serial_reduce(op: ir.Operation) -> None:
    """Per-thread arrays: loops over the kept dimensions around a loop over the reduced one."""
    source, target = op.operands
    shape = list(ir.MemRefType(source.type).shape)
    dim = ir.IntegerAttr(op.attributes["dim"]).value
    kind = ir.StringAttr(op.attributes["kind"]).value
    clear = ir.BoolAttr(op.attributes["clear"]).value
    keep = ir.MemRefType(target.type).rank == len(shape)
    kept = [s for d, s in enumerate(shape) if d != dim]

    def innermost(variables: Sequence[ir.Value]) -> None:
        place = list(variables)
        if keep:
            place.insert(dim, build.constant(0))
        place = place or [build.constant(0)]

        def at(step: ir.Value) -> ir.Value:
            element = build.load(source, [*variables[:dim], step, *variables[dim:]])
            return _absolute(kind, convert(op, element, ir.MemRefType(target.type).element_type))

        if clear:
            build.store(at(build.constant(0)), target, place)
        loop = build.for_range(shape[dim] - 1 if clear else shape[dim])
        with ir.InsertionPoint(loop.regions[0].blocks[0]):
            step = loop.regions[0].blocks[0].arguments[0]
            if clear:
                step = build.binary("addi", step, build.constant(1))
            build.store(combine(kind, build.load(target, place), at(step)), target, place)
            ir.Operation.create("scf.yield")

    with ir.InsertionPoint(op), op.location:
        _loops(kept, [], innermost)
    op.erase()


def _loops(extents: Sequence[int], variables: list[ir.Value], body: Callable[[list[ir.Value]], None]) -> None:
    if not extents:
        body(variables)
        return
    loop = build.for_range(extents[0])
    with ir.InsertionPoint(loop.regions[0].blocks[0]):
        _loops(extents[1:], [*variables, loop.regions[0].blocks[0].arguments[0]], body)
        ir.Operation.create("scf.yield")


def _clear_in_front(op: ir.Operation) -> bool:
    """A product that clears its accumulator in the first iteration of a loop, which nothing else of the loop touches,
    adds to one that is cleared in front of the loop: the form that most passes know.

        for k from lo: gemm A, B, C (clear where k == lo)   =>   fill C, 0; for k from lo: gemm A, B, C
    """
    place = 3 if op.name == "tl.gemm_sp" else 2
    loop = op.parent.operation
    if len(op.operands) != place + 2 or loop.name != "scf.for" or "wgmma" in op.attributes:
        return False
    accumulator, first = op.operands[place], op.operands[place + 1].owner
    lower, upper, _ = (raster.known(v) for v in list(loop.operands)[:3])
    runs = isinstance(lower, int) and isinstance(upper, int) and lower < upper
    if not runs or isinstance(first, ir.Block) or first.operation.name != "arith.cmpi":
        return False
    sides = list(first.operation.operands)
    equal = ir.IntegerAttr(first.operation.attributes["predicate"]).value == 0
    variable = loop.regions[0].blocks[0].arguments[0]
    if not equal or variable not in sides or lower not in [raster.known(v) for v in sides]:
        return False
    others = [other for other in nested(loop) if other != op]
    made_outside = not isinstance(accumulator.owner, ir.Block) and accumulator.owner.operation not in others
    if not made_outside or any(e.value == root(accumulator) for other in others for e in effects(other)):
        return False
    element = ir.MemRefType(accumulator.type).element_type
    with ir.InsertionPoint(loop), op.location:
        zero = ir.IntegerAttr.get(element, 0) if isinstance(element, ir.IntegerType) else ir.FloatAttr.get(element, 0.0)
        value = ir.Operation.create("arith.constant", [element], attributes={"value": zero}).result
        ir.Operation.create("tl.fill", [], [accumulator, value])
    with ir.InsertionPoint(op), op.location:
        ir.Operation.create(op.name, [], list(op.operands)[: place + 1], build.attributes_of(op))
    op.erase()
    return True


def _fold_clear(op: ir.Operation) -> None:
    """A product right after its accumulator was set to zero starts from zero itself."""
    accumulator = op.operands[3 if op.name == "tl.gemm_sp" else 2]
    block = op.block
    before = None
    for other in block.operations:
        if other.operation == op:
            break
        if accumulator in {e.value for e in region_effects(other.operation)}:
            before = other.operation
    if (
        before is None
        or before.name != "tl.fill"
        or before.operands[0] != accumulator
        or not _is_zero(before.operands[1])
    ):
        return
    op.attributes["clear"] = ir.BoolAttr.get(True)
    before.erase()


def _is_zero(value: ir.Value) -> bool:
    owner = value.owner
    if isinstance(owner, ir.Block):
        return False
    op = owner.operation
    if op.name == "tl.cast":
        return _is_zero(op.operands[0])
    return op.name == "arith.constant" and getattr(op.attributes["value"], "value", None) == 0


def _legalize_parallel(op: ir.Operation, threads: int) -> None:
    """Run-time extents: the last one is walked in chunks of the CTA's threads, others serially.

    parallel i < n { body }   =>   for base = 0 to n step T { parallel t < T { i = base + t; if i < n { body } } }
    """
    extents = int_array(op.attributes["extents"])
    if -1 not in extents:
        return
    body = op.regions[0].blocks[0]
    dynamic = iter(list(op.operands))
    bounds = [next(dynamic) if e == -1 else None for e in extents]
    with ir.InsertionPoint(op), op.location:
        serial: list[ir.Value | None] = []
        points: list[ir.InsertionPoint] = []
        for dim, bound in enumerate(bounds):
            if bound is None:
                serial.append(None)
                continue
            last = dim == len(bounds) - 1
            step = build.constant(threads if last else 1)
            with points[-1] if points else ir.InsertionPoint(op):
                loop = ir.Operation.create("scf.for", [], [build.constant(0), bound, step], regions=1)
            block = loop.regions[0].blocks.append(build.i32())
            with ir.InsertionPoint(block):
                end = ir.Operation.create("scf.yield")
            points.append(ir.InsertionPoint(end))
            serial.append(block.arguments[0])
        with points[-1]:
            inner = [
                threads if b is not None and d == len(bounds) - 1 else e
                for d, (e, b) in enumerate(zip(extents, bounds, strict=True))
            ]
            kept = [d for d, b in enumerate(bounds) if b is None or d == len(bounds) - 1]
            loop = build.parallel([inner[d] for d in kept])
        _move_body(op, body, loop, serial, bounds, kept)
    op.erase()


def _move_body(
    op: ir.Operation,
    body: ir.Block,
    loop: ir.Operation,
    serial: list[ir.Value | None],
    bounds: list[ir.Value | None],
    kept: list[int],
) -> None:
    """Put the old body into the new loop under the bound of the chunked dimension."""
    inside = loop.regions[0].blocks[0]
    places = dict(zip(kept, inside.arguments, strict=True))
    with ir.InsertionPoint(inside), op.location:
        for dim, argument in enumerate(body.arguments):
            place, base = places.get(dim), serial[dim]
            value = base if place is None else place if base is None else build.binary("addi", base, place)
            assert value is not None
            argument.replace_all_uses_with(value)
            if dim == len(bounds) - 1 and bounds[dim] is not None:
                guard = ir.Operation.create("scf.if", [], [build.compare(2, value, bounds[dim])], regions=2)
                inside = guard.regions[0].blocks.append()
        for inner in list(body.operations):
            inside.append(inner)
        if inside != loop.regions[0].blocks[0]:
            with ir.InsertionPoint(inside):
                ir.Operation.create("scf.yield")
