"""Results in tensor memory or registers to device memory, through small swizzled tiles and bulk stores.

    tl.copy T -> C   =>   for each part of the columns: tl.copy T[part] -> S[n]; tl.tma_store S[n] -> C[part]

A part has as many columns as fill rows of 128 bytes. A kernel that walks over output tiles keeps two staging tiles and
waits for a store only when its staging tile is written again; elsewhere the staging tiles lie where the ring was. There
a fragment is stored as a whole; while the ring is in use, in parts of what each warpgroup holds of the columns.

Tiles and fragments that only carry a result from tensor memory to its store are left out (`shorten`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tilelang_mlir.mlir import ir

from ...dialect.effects import region_effects, root
from ...dialect.layout import Digit, Fragment, swizzle_span, swizzled
from ...dialect.layout.attrs import from_attr, to_attr
from ...dialect.layout.tensor import LANES, dense
from ...dialect.tl import FRAGMENT, GLOBAL, SHARED, TMEM, buffer_type, scope_of
from ...dialect.verify import shape_of
from .. import build
from ..expand_tile_ops import convert
from ..specialize_warps.carriers import Carrier, carrier_of
from ..walk import WARP, WARPGROUP, nested, threads_of
from .tensor_rules import meeting_fragment
from .tma_rules import tensor_obstacle, tma_obstacle

_SPANS = (128, 64, 32)  # bytes of a part's rows
BUFFERS = 2  # staging tiles while the ring is in use: one is written while the other is read
_BESIDE = 4  # at most, where the ring is not


@dataclass(frozen=True)
class Plan:
    """How a tile of `rows` rows is stored: parts of `width` columns that start at `starts` in what each of `groups`
    warpgroups holds, `each` columns; several groups store theirs side by side."""

    rows: int
    width: int
    starts: tuple[int, ...]
    groups: int
    each: int
    bits: int

    def staging(self, repeated: bool) -> int:
        """Staging tiles of each group."""
        return min(len(self.starts), max(BUFFERS // self.groups, 1) if repeated else _BESIDE)

    def bytes(self, repeated: bool) -> int:
        """Of all staging tiles."""
        return self.staging(repeated) * self.groups * self.rows * self.width * self.bits // 8


def store_plan(source: ir.Value, target: ir.Value, threads: int, repeated: bool) -> Plan | None:
    """The plan of a copy to device memory; None where bulk stores cannot do it."""
    shape, bits = shape_of(source.type), ir.MemRefType(target.type).element_type.width
    if scope_of(source) not in (TMEM, FRAGMENT) or scope_of(target) != GLOBAL or tensor_obstacle(target):
        return None
    if len(shape) < 2 or any(size != 1 for size in shape[:-2]) or shape_of(target.type)[-1] != shape[-1] or bits < 8:
        return None
    rows, columns = shape[-2:]
    groups = 1
    if scope_of(source) == FRAGMENT:
        if root(source) != source:
            return None
        groups = threads // WARPGROUP if repeated and _has_rows(source, threads) else 0
    if not groups:
        return Plan(rows, columns, (0,), 1, columns, bits) if swizzle_span((rows, columns), bits) else None
    each = columns // groups
    width = next((span * 8 // bits for span in _SPANS if each % (span * 8 // bits) == 0), 0)
    return Plan(rows, width, tuple(range(0, each, width)), groups, each, bits) if width else None


def _has_rows(fragment: ir.Value, threads: int) -> bool:
    """Whether a thread has (its group's part of) one row: what loads of 128 lanes of tensor memory give it."""
    rows, columns = shape_of(fragment.type)
    if rows != LANES:
        return False
    layout = from_attr(fragment.owner.operation.attributes["layout"])
    loaded = meeting_fragment(dense([rows, columns], 32), columns, threads)
    return loaded is not None and isinstance(layout, Fragment) and layout.same_map(loaded)


def stores_of(launch: ir.Operation) -> Iterator[tuple[ir.Operation, Carrier | None]]:
    """The copies of a kernel that bulk stores may do, with what fills the shared tile that one takes."""
    # Bulk stores are ordered with nothing that the threads read or write themselves.
    direct = {e.value for e in region_effects(launch) if e.kind == "read" or e.op.name != "tl.copy"}
    for op in list(nested(launch)):
        if op.name == "tl.copy" and scope_of(op.operands[1]) == GLOBAL and "disable_tma" not in op.attributes:
            if len(op.operands) == 2 and root(op.operands[1]) not in direct:
                carrier = carrier_of(op)
                yield op, None if carrier is None or carrier.transposed else carrier


def shorten(launch: ir.Operation, threads: int, repeated: bool) -> None:
    """Store from where results are: a tile between a fragment and its store goes, and a fragment between tensor memory
    and its store, if nothing else uses them.

        tl.copy T -> F; tl.copy F -> S; tl.copy S -> C   =>   tl.copy T -> C
    """
    for op, carrier in list(stores_of(launch)):
        source, target = op.operands
        if carrier is not None and store_plan(carrier.fragment, target, threads, repeated):
            op = _store_from(carrier.fragment, target, op, carrier.op)
            carrier.op.erase()
            source.owner.operation.erase()
        source = op.operands[0]
        load = _load_of(source, op)
        if load is not None and store_plan(load.operands[0], target, threads, repeated):
            _store_from(load.operands[0], target, op, op)
            load.erase()
            source.owner.operation.erase()


def _store_from(source: ir.Value, target: ir.Value, op: ir.Operation, like: ir.Operation) -> ir.Operation:
    """The same store of another source, which converts as `like` does."""
    with ir.InsertionPoint(op), op.location:
        new = ir.Operation.create("tl.copy", [], [source, target], build.attributes_of(like))
    op.erase()
    return new


def _load_of(fragment: ir.Value, store: ir.Operation) -> ir.Operation | None:
    """The load from tensor memory that fills a fragment which nothing but the store uses."""
    if scope_of(fragment) != FRAGMENT or root(fragment) != fragment:
        return None
    others = [user for use in fragment.uses if (user := use.owner.operation) != store]
    if len(others) != 1 or others[0].name != "tl.copy" or others[0].parent != store.parent:
        return None
    source, target, *condition = others[0].operands
    same = ir.MemRefType(source.type).element_type == ir.MemRefType(fragment.type).element_type
    if condition or target != fragment or scope_of(source) != TMEM or not same:
        return None
    block = [op.operation for op in store.block.operations]
    if block.index(others[0]) > block.index(store):
        return None
    between = block[block.index(others[0]) + 1 : block.index(store)]
    changed = any(e.kind == "write" and e.value == root(source) for op in between for e in region_effects(op))
    return None if changed else others[0]


def staging_bytes(launch: ir.Operation, threads: int) -> int:
    """Bytes of the staging tiles of a kernel that walks over output tiles."""
    total = 0
    for op, carrier in stores_of(launch):
        source = op.operands[0] if carrier is None else carrier.fragment
        load = _load_of(source, op if carrier is None else carrier.op)
        plan = store_plan(source if load is None else load.operands[0], op.operands[1], threads, True)
        total += plan.bytes(True) if plan is not None else 0
    return total


def store_by_tma(op: ir.Operation, split: ir.Operation) -> bool:
    """Rewrite a copy to device memory; whether it could be. Staging tiles are allocated in front of `split`."""
    source, target = op.operands
    repeated = "repeated" in split.attributes
    plan = store_plan(source, target, threads_of(op), repeated)
    if plan is None:
        return False
    element = ir.MemRefType(target.type).element_type
    shape = (plan.rows, plan.width)
    layout = {"layout": to_attr(swizzled(shape, plan.bits, swizzle_span(shape, plan.bits)))}
    count = plan.staging(repeated)
    with ir.InsertionPoint(split), op.location:
        kind = buffer_type([count * plan.groups, *shape], element, SHARED)  # one: tiles under way stay apart
        staging = ir.Operation.create("tl.alloc", [kind], attributes=layout).result
    with ir.InsertionPoint(op), op.location:
        piece = build.columns_of(target, 0, plan.width)
        if tma_obstacle(piece, staging):
            if piece != target:
                piece.owner.operation.erase()
            staging.owner.operation.erase()
            return False
        for number, start in enumerate(plan.starts):
            first = number % count * plan.groups
            _wait_for(number, count, plan, repeated)
            _bring(op, plan, staging, first, start)
            for group in range(plan.groups):
                place = group * plan.each + start
                stored = piece if place == 0 else build.columns_of(target, place, plan.width)
                ir.Operation.create("tl.tma_store", [], [_tile(staging, first + group), stored])
        if not repeated:
            wait(0)
    op.erase()
    return True


def _wait_for(number: int, count: int, plan: Plan, repeated: bool) -> None:
    """Until a part's staging tile has been read: by the store of a part before it, or of the tile before."""
    if number < count and not repeated:
        return
    # The same staging tile was filled last by part `number - count`, or by the last such part of the tile before.
    parts = len(plan.starts)
    later = count - 1 if number >= count else (parts - 1 - number) % count + number
    wait(later * plan.groups)
    build.sync_threads()


def _bring(op: ir.Operation, plan: Plan, staging: ir.Value, first: int, start: int) -> None:
    """Copy a part to its staging tile: of tensor memory, of a whole fragment, or of what each group holds of one."""
    source = op.operands[0]
    if scope_of(source) == TMEM or plan.width == plan.groups * plan.each:
        part = build.columns_of(source, start, plan.width)
        ir.Operation.create("tl.copy", [], [part, _tile(staging, first)], build.attributes_of(op))
        return
    extents = [plan.groups, plan.rows, plan.width]
    thread = (Digit(WARP, 1, 1), Digit(LANES // WARP, 1, WARP), Digit(plan.groups, 0, 1))
    loop = build.parallel(extents)
    loop.attributes["layout"] = to_attr(Fragment(tuple(extents), thread, (Digit(plan.width, 2, 1),)))
    block = loop.regions[0].blocks[0]
    with ir.InsertionPoint(block):
        group, row, column = block.arguments
        lead = build.binary("muli", group, build.constant(plan.each))
        place = build.binary("addi", lead, build.binary("addi", column, build.constant(start)))
        value = convert(op, build.load(source, [row, place]), ir.MemRefType(staging.type).element_type)
        build.store(value, staging, [build.binary("addi", group, build.constant(first)), row, column])


def _tile(staging: ir.Value, number: int) -> ir.Value:
    return build.slice_of(staging, [build.constant(number), *[build.constant(0)] * 2], [1, *shape_of(staging.type)[1:]])


def wait(pending: int) -> None:
    """Until at most so many bulk stores still read their staging tiles."""
    ir.Operation.create("tl.tma_wait", attributes={"pending": ir.IntegerAttr.get(build.i32(), pending)})
