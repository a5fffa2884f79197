"""`plan-shared-memory`: give every shared tile its place in the CTA's arena.

Input: laid-out, scheduled program. Output: `tl.offset` on each shared allocation, `tl.scratch` on each reduction that
exchanges through shared memory, `tl.shared_bytes` on the launch. Tiles whose lives do not meet share memory: lives are
intervals of program order, widened to the outermost loop that contains a use but not the allocation. Where that does
not fit, a tile that every iteration of a loop fills anew, and that nothing else uses, lives from there to its last use
in the iteration. The buffers of staged stores live to the end of the kernel. What the program's own asynchronous copies
or warpgroup regions touch lives through the whole kernel: when those end is up to the program, unless it waits right
behind a store. Where that does not fit either, it lives until all threads have waited, behind its last use, for
products into tensor memory: a program that computes and then stores has read by then what it loaded. Beside loads and
products with roles of their own, what the other threads use before they wait for the products lives as long as the
tiles that are loaded. Placement is first fit, largest first. Barriers are inserted after this pass, so that they see
what shares memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.errors import ResourceError
from tilelang_mlir.mlir import int_array, ir
from tilelang_mlir.target import Target

from ..dialect.effects import effects, laid_out
from ..dialect.layout import REPLICATE, Fragment, SharedLayout
from ..dialect.layout.attrs import from_attr
from ..dialect.location import name_of, python_location
from ..dialect.tl import SHARED, scope_of
from .base import Pass
from .lowering.reduce import scratch_bytes
from .lowering.scan import scan_bytes
from .walk import launches, members_of, nested

SWIZZLE_ALIGNMENT = 1024  # bytes; whole swizzle atoms
PLAIN_ALIGNMENT = 128


@dataclass
class Life:
    """A tile's size and the span of operations between its first and last use."""

    op: ir.Operation
    size: int
    alignment: int
    first: int
    last: int
    offset: int = -1

    def overlaps(self, other: Life) -> bool:
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class PlanSharedMemory(Pass):
    """Place shared tiles in one arena, reusing memory of dead ones."""

    name: ClassVar[str] = "plan-shared-memory"

    reuse: bool = True

    def run(self, module: ir.Module, target: Target) -> None:
        for launch in launches(module):
            with module.context:
                for by_iteration, by_waits in ((False, False), (True, False), (True, True)):
                    lives = _lives(launch, by_iteration, by_waits)
                    total = _place(lives, self.reuse)
                    total = _barriers(launch, total)
                    scratch = _scratch(launch, total, target)
                    _record(launch, lives, scratch, total)
                    if ir.IntegerAttr(launch.attributes["tl.shared_bytes"]).value <= target.max_shared_bytes:
                        break
                _check(launch, lives, scratch, target)


def tile_bytes(op: ir.Operation) -> int:
    """Bytes of a shared allocation, all versions and padding included."""
    kind = ir.MemRefType(op.results[0].type)
    layout = from_attr(op.attributes["layout"])
    assert isinstance(layout, SharedLayout)
    versions = math.prod(list(kind.shape)[: len(kind.shape) - len(layout.shape)])
    bits = 8 if str(kind.element_type) == "i1" else kind.element_type.width
    return -(-versions * layout.size * bits // 8)


def _lives(launch: ir.Operation, by_iteration: bool, by_waits: bool) -> list[Life]:
    order = {op: i for i, op in enumerate(nested(launch))}
    spans = {op: _span(op, order) for op in order if len(op.regions)}
    roles = any(op.name == "tl.specialize" for op in order)
    beside = [_beside_loads(op, order) for op in order if op.name == "tl.tensor_roles"]
    lives: list[Life] = []
    for op in order:
        if op.name != "tl.alloc" or scope_of(op.results[0]) != SHARED:
            continue
        users = [user for user in _users(op.results[0]) if user in order]
        users += [wait for user in users if (wait := _wait_behind(user)) is not None]
        home = _filled_in(op, users, order) if by_iteration else op.parent.operation
        points = [_widened(user, home, spans, order) for user in users] or [(order[op], order[op])]
        described = any(user.name == "tl.make_descriptor" for user in users)
        if described and roles or any(members_of(user) or _is_explicit(user) for user in users):
            # No barrier of all threads parts these accesses from others.
            points.append((0, _products_end(launch, users, order) if by_waits and not described else len(order)))
        points += [(span.start, span.start) for span in beside if any(order[user] in span for user in users)]
        layout = from_attr(op.attributes["layout"])
        swizzled = isinstance(layout, SharedLayout) and layout.swizzle.bits
        first, last = min(p[0] for p in points), max(p[1] for p in points)
        if any(user.name == "tl.staged_store" for user in users):
            last = len(order)  # stores still read it when the operation has ended
        raw = any(user.name in _RAW for user in users)
        alignment = SWIZZLE_ALIGNMENT if swizzled or raw else PLAIN_ALIGNMENT
        lives.append(Life(op, tile_bytes(op), alignment, first, last))
    return lives


def _products_end(launch: ir.Operation, users: list[ir.Operation], order: dict[ir.Operation, int]) -> int:
    """The first wait of all threads for products into tensor memory, behind some operations; else the end."""
    block = [view.operation for view in launch.regions[0].blocks[0].operations]
    last = max(block.index(_ancestor_in(launch, user)) for user in users)
    for op in block[last + 1 :]:
        if op.name == "tl.mbarrier_wait" and not members_of(op):
            if any(use.owner.operation.name == "tl.tcgen05_commit" for use in op.operands[0].uses):
                return order[op]
    return len(order)


# What takes addresses in shared memory, which hardware reads and writes in patterns of up to 1024 bytes.
_RAW = ("tl.box_load", "tl.box_store", "tl.shared_address")


def _is_explicit(op: ir.Operation) -> bool:
    """Whether an operation accesses memory beyond its own end, until the program waits for it."""
    remote = ("tl.cluster_copy", "tl.cluster_store")  # the other CTA is anywhere in its program
    if op.name in (*_RAW, *remote, "tl.bulk_words", "tl.tma_gather4", "tl.tma_scatter4"):
        return True
    if op.name == "tl.tma_store" and _wait_behind(op) is not None:
        return False
    return op.name in ("tl.tma_load", "tl.tma_store") and "explicit" in op.attributes or "wgmma" in op.attributes


def _wait_behind(op: ir.Operation) -> ir.Operation | None:
    """The wait for all stores of the program right behind one of them, as `T.atomic_add(use_tma=True)` has it."""
    if op.name != "tl.tma_store" or "explicit" not in op.attributes:
        return None
    others = [o.operation for o in op.block.operations]
    for after in others[others.index(op) + 1 :]:
        if after.name == "tl.tma_wait":
            return after if ir.IntegerAttr(after.attributes["pending"]).value == 0 else None
        if not after.name.startswith(("arith.", "tl.slice")):
            return None
    return None


def _users(value: ir.Value) -> list[ir.Operation]:
    """Operations that access a buffer, through views too."""
    found: list[ir.Operation] = []
    for use in value.uses:
        op = use.owner.operation
        found.append(op)
        if op.name in ("tl.slice", "tl.reshape"):
            found += _users(op.results[0])
    return found


def _span(op: ir.Operation, order: dict[ir.Operation, int]) -> tuple[int, int]:
    inside = [order[o] for o in nested(op)]
    return order[op], max(inside, default=order[op])


def _beside_loads(roles: ir.Operation, order: dict[ir.Operation, int]) -> range:
    """The operations of roles around tensor memory that go on at the same time: loads, products, and of the rest what
    comes before its last wait for the products."""
    rest = roles.regions[len(roles.regions) - 1].blocks[0]
    inside = [op for o in rest.operations for op in (o.operation, *nested(o.operation))]
    commits = [op.operands[0] for op in nested(roles) if op.name == "tl.tcgen05_commit"]
    waits = [op for op in inside if op.name == "tl.mbarrier_wait" and op.operands[0] in commits]
    return range(order[roles], order[(waits or inside or [roles])[-1]] + 1)


def _widened(
    user: ir.Operation, home: ir.Operation, spans: dict[ir.Operation, tuple[int, int]], order: dict[ir.Operation, int]
) -> tuple[int, int]:
    """A use inside a loop that the tile's home is outside of lives through the whole loop: other iterations, and in a
    parallel loop other threads, between roles other tiles, are anywhere in it."""
    span = (order[user], order[user])
    parent = user.parent.operation
    while parent != home and parent in spans:
        if parent.name in ("scf.for", "scf.while", "tl.parallel") or "repeated" in parent.attributes:
            span = spans[parent]
        parent = parent.parent.operation
    return span


def _filled_in(alloc: ir.Operation, users: list[ir.Operation], order: dict[ir.Operation, int]) -> ir.Operation:
    """The innermost loop around all uses of a tile that starts each iteration by filling it; else where it is made."""
    found = home = alloc.parent.operation
    users = [user for user in users if user.name not in ("tl.slice", "tl.reshape")]
    if any(_outlasts(user) for user in users):
        return found
    while users:
        inside = {_ancestor_in(home, user) for user in users}
        if len(inside) != 1 or (home := inside.pop()).name not in ("scf.for", "scf.if"):
            break
        first = min((_ancestor_in(home, user) for user in users), key=lambda o: order[o])
        if home.name == "scf.for" and _fills(first, alloc.results[0]):
            found = home
    return found


def _outlasts(op: ir.Operation) -> bool:
    """Whether an access may go on behind the operation: copies and products that a later one waits for."""
    attributes = op.attributes
    return "asynchronous" in attributes or "pending" in attributes or any(e.asynchronous for e in effects(op))


def _ancestor_in(home: ir.Operation, op: ir.Operation) -> ir.Operation:
    """The operation directly in a region of `home` that an operation in there stands in."""
    while op.parent.operation != home:
        op = op.parent.operation
    return op


def _fills(op: ir.Operation, tile: ir.Value) -> bool:
    """Whether an operation, or all iterations of a parallel loop, write every element of a tile and read none."""
    if op.name in ("tl.copy", "tl.fill"):
        mine = [effect for effect in effects(op) if effect.value == tile]
        return all(effect.kind == "write" and effect.tile == tile for effect in mine)
    if op.name != "tl.parallel":
        return False
    body = op.regions[0].blocks[0]
    extents = dict(zip(body.arguments, int_array(op.attributes["extents"]), strict=True))
    if any(effect.value == tile and effect.kind == "read" for inner in nested(op) for effect in effects(inner)):
        return False
    for inner in (o.operation for o in body.operations):
        if inner.name == "memref.store" and inner.operands[1] == tile:
            variables = [_variable(index) for index in list(inner.operands)[2:]]
            reach = [extents.get(v, 0) if v is not None else 0 for v in variables]
            if len(set(variables)) == len(variables) and reach == list(ir.MemRefType(tile.type).shape):
                return True
    return False


def _variable(index: ir.Value) -> ir.Value | None:
    """The variable of a loop that an index is."""
    while isinstance(index, ir.OpResult):
        if index.owner.name != "arith.index_cast":
            return None
        index = index.owner.operands[0]
    return index


def _place(lives: list[Life], reuse: bool) -> int:
    """First fit, largest first; returns the end of the arena."""
    placed: list[Life] = []
    for life in sorted(lives, key=lambda t: (-t.alignment, -t.size)):
        taken = sorted((o.offset, o.offset + o.size) for o in placed if not reuse or o.overlaps(life))
        offset = 0
        for start, end in taken:
            if offset + life.size <= start:
                break
            offset = max(offset, -(-end // life.alignment) * life.alignment)
        life.offset = offset
        placed.append(life)
    return max((t.offset + t.size for t in lives), default=0)


def _barriers(launch: ir.Operation, end: int) -> int:
    """mbarriers and addresses of tensor memory live through the kernel, behind the tiles; returns the new end."""
    for op in nested(launch):
        if op.name == "tl.tmem_arena":
            op.attributes["tl.offset"] = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), -(-end // 8) * 8)
            end = -(-end // 8) * 8 + 8
        if op.name == "tl.alloc_barrier":
            end = -(-end // 8) * 8
            op.attributes["tl.offset"] = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), end)
            end += 8 * len(int_array(op.attributes["counts"]))
    return end


def _scratch(launch: ir.Operation, start: int, target: Target) -> tuple[int, int]:
    """One scratch area for the reductions and scans of the same threads, which end with a barrier: offset and size."""
    start = -(-start // PLAIN_ALIGNMENT) * PLAIN_ALIGNMENT
    areas: dict[range, dict[ir.Operation, int]] = {}
    for op in nested(launch):
        if op.name in ("tl.reduce", "tl.scan", "tl.finalize_reducer"):
            size = _exchange_bytes(op, target)
            if size:
                areas.setdefault(members_of(op), {})[op] = size
    end = start
    for sizes in areas.values():
        for op in sizes:
            op.attributes["tl.scratch"] = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), end)
        end += -(-max(sizes.values()) // PLAIN_ALIGNMENT) * PLAIN_ALIGNMENT
    return start, end - start


def _exchange_bytes(op: ir.Operation, target: Target) -> int:
    source, result = (from_attr(laid_out(v).owner.operation.attributes["layout"]) for v in op.operands)
    assert isinstance(source, Fragment) and isinstance(result, Fragment)
    bits = ir.MemRefType(op.operands[0].type).element_type.width
    dim = REPLICATE if op.name == "tl.finalize_reducer" else ir.IntegerAttr(op.attributes["dim"]).value
    if op.name == "tl.scan":
        return scan_bytes(source, dim, bits, target.warp_size)
    return scratch_bytes(source, result, dim, bits, target.warp_size)


def _record(launch: ir.Operation, lives: list[Life], scratch: tuple[int, int], total: int) -> None:
    i64 = ir.IntegerType.get_signless(64)
    for life in lives:
        life.op.attributes["tl.offset"] = ir.IntegerAttr.get(i64, life.offset)
    launch.attributes["tl.shared_bytes"] = ir.IntegerAttr.get(i64, sum(scratch) if scratch[1] else total)


def _check(launch: ir.Operation, lives: list[Life], scratch: tuple[int, int], target: Target) -> None:
    total = ir.IntegerAttr(launch.attributes["tl.shared_bytes"]).value
    if total <= target.max_shared_bytes:
        return
    parts = [(f"{name_of(t.op.location) or 'tile'}: {t.size} bytes", python_location(t.op.location)) for t in lives]
    if scratch[1]:
        parts.append((f"reductions and scans: {scratch[1]} bytes", None))
    raise ResourceError(
        f"the kernel needs {total} bytes of shared memory, {target} has {target.max_shared_bytes}",
        python_location(launch.location),
        notes=tuple(parts),
        hint="use smaller tiles or fewer pipeline stages",
    )
