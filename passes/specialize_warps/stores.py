"""Copies to device memory as bulk stores.

A fragment in the layout of a warpgroup product goes through small buffers of each warpgroup (`tl.staged_store`), which
overlap with what follows; another fragment through a whole shared tile; a shared tile as it is. A tile that only
carries a fragment, or its transpose, to device memory is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from ...dialect.effects import region_effects, root
from ...dialect.layout import swizzle_span, swizzled
from ...dialect.layout.attrs import to_attr
from ...dialect.tl import FRAGMENT, GLOBAL, SHARED, buffer_type, scope_of
from .. import build
from ..nvidia.store_plan import BUFFER_BYTES, store_obstacle
from ..nvidia.tma_rules import tensor_obstacle, tma_obstacle
from ..nvidia.wgmma_layout import ROWS, WARPGROUP
from ..walk import nested
from .additions import Addition, addition
from .carriers import carrier_of

BUFFERS = 2  # per warpgroup: one is written while the other is read


class Stores:
    """The stores of one specialised kernel."""

    def __init__(self, launch: ir.Operation, split: ir.Operation, repeated: bool, target: Target) -> None:
        self.launch = launch
        self.split = split
        self.consumers = ir.IntegerAttr(split.attributes["consumers"]).value
        groups = ir.IntegerAttr(split.attributes["groups"]).value if "groups" in split.attributes else 1
        self.warpgroups = self.consumers * groups // WARPGROUP
        self.repeated = repeated  # the loads of a next tile need the ring while this one is stored
        self.target = target
        self.staging: dict[ir.Type, ir.Value] = {}

    def run(self) -> None:
        bulk = bulk_stores(self.launch)
        where = self.split.location  # of the last store
        for op, is_bulk in [(op, op in bulk) for op in nested(self.split) if op.name in ("tl.copy", "tl.parallel")]:
            if is_bulk:
                where = op.location
                with ir.InsertionPoint(op), where:
                    self._store(op)
            elif (found := addition(op)) is not None:
                with ir.InsertionPoint(op), op.location:
                    self._add(found)
        if self.staging:
            with ir.InsertionPoint(self.split.regions[1].blocks[0]), where:
                _wait()

    def _store(self, op: ir.Operation) -> None:
        source, target = op.operands
        carrier = carrier_of(op)
        fragment = carrier.fragment if carrier is not None else source
        transposed = carrier is not None and carrier.transposed
        if not store_obstacle(fragment, target, self.consumers, transposed=transposed):
            element = ir.MemRefType(target.type).element_type
            fresh = element not in self.staging and op.parent.operation == self.split
            staging = self._buffers(element, [] if carrier is None else [source])
            if staging is not None:
                flags = {"fresh": fresh, "transposed": transposed}
                attributes = {name: build.unit() for name, holds in flags.items() if holds}
                ir.Operation.create("tl.staged_store", [], [fragment, staging, target], attributes)
                op.erase()
                if carrier is not None:
                    carrier.op.erase()
                    source.owner.operation.erase()
                return
        _store_tile(op)

    def _add(self, found: Addition) -> None:
        """Additions of float32 leave through the buffers, too, if nothing else touches the tensor."""
        touching = [e for e in region_effects(self.launch) if e.value == found.tensor]
        element = ir.MemRefType(found.tensor.type).element_type
        same = element == ir.MemRefType(found.fragment.type).element_type and str(element) == "f32"
        if not same or any(e.op.parent.operation != found.loop for e in touching):
            return
        self.repeated = True  # the ring is in use meanwhile
        target = found.target()
        staging = None if store_obstacle(found.fragment, target, self.consumers) else self._buffers(element, [])
        if staging is None:
            target.owner.operation.erase()
            return
        attributes = {"reduce": ir.StringAttr.get("add")}
        ir.Operation.create("tl.staged_store", [], [found.fragment, staging, target], attributes)
        found.loop.erase()

    def _buffers(self, element: ir.Type, left_out: Sequence[ir.Value]) -> ir.Value | None:
        """The staging buffers for an element type; None where there is no room for them."""
        if element in self.staging:
            return self.staging[element]
        buffers = BUFFERS
        if self.repeated:
            buffers = buffers_beside(self.launch, shared_bytes(self.launch, left_out), self.warpgroups, self.target)
        if buffers < 1:
            return None
        columns = 1024 // element.width
        shape = [buffers * self.warpgroups, ROWS, columns]
        layout = {"layout": to_attr(swizzled((ROWS, columns), element.width, 128))}
        with ir.InsertionPoint(self.split):
            kind = buffer_type(shape, element, SHARED)
            self.staging[element] = ir.Operation.create("tl.alloc", [kind], attributes=layout).result
        return self.staging[element]


def bulk_stores(launch: ir.Operation) -> list[ir.Operation]:
    """Copies to device memory that may be bulk stores, which are ordered with nothing that the threads read or write
    themselves."""
    direct = {e.value for e in region_effects(launch) if e.kind == "read" or e.op.name != "tl.copy"}
    copies = [op for op in nested(launch) if op.name == "tl.copy" and "disable_tma" not in op.attributes]
    return [op for op in copies if scope_of(op.operands[1]) == GLOBAL and root(op.operands[1]) not in direct]


def carriers_left_out(launch: ir.Operation, consumers: int) -> list[ir.Value]:
    """Shared tiles that only carry a fragment to device memory, whose fragments can leave through the buffers."""
    carriers = [(op, carrier) for op in bulk_stores(launch) if (carrier := carrier_of(op)) is not None]
    return [
        carrier.tile
        for op, carrier in carriers
        if not store_obstacle(carrier.fragment, op.operands[1], consumers, transposed=carrier.transposed)
    ]


def stores_by_tile(launch: ir.Operation, consumers: int) -> bool:
    """Whether a fragment may leave through a whole shared tile, which all threads of the kernel share."""
    stores = [(op.operands[0], op.operands[1]) for op in bulk_stores(launch) if scope_of(op.operands[0]) == FRAGMENT]
    return any(store_obstacle(*store, consumers) and not tensor_obstacle(store[1]) for store in stores)


def _wait() -> None:
    ir.Operation.create("tl.tma_wait", attributes={"pending": ir.IntegerAttr.get(build.i32(), 0)})


def buffers_beside(launch: ir.Operation, used: int, warpgroups: int, target: Target) -> int:
    """How many buffers each warpgroup gets where the rest of a kernel uses so many bytes of shared memory."""
    room = target.max_shared_bytes - reserved(launch) - used
    return min(BUFFERS, room // (warpgroups * BUFFER_BYTES))


def reserved(launch: ir.Operation) -> int:
    """Bytes to leave for barriers and for the exchange of reductions."""
    return 1024 if any(op.name in ("tl.reduce", "tl.finalize_reducer") for op in nested(launch)) else 512


def shared_bytes(launch: ir.Operation, left_out: Sequence[ir.Value] = ()) -> int:
    """What the shared tiles of a kernel that are used take side by side."""
    tiles = [op.results[0] for op in nested(launch) if op.name == "tl.alloc" and scope_of(op.results[0]) == SHARED]
    used = [tile for tile in tiles if tile not in left_out and any(True for _ in tile.uses)]
    kinds = [ir.MemRefType(tile.type) for tile in used]
    return sum(math.prod(k.shape) * max(k.element_type.width, 8) // 8 for k in kinds)


def _store_tile(op: ir.Operation) -> None:
    """One bulk store of a whole tile, which a fragment is copied to first."""
    source, target = op.operands
    if scope_of(source) not in (FRAGMENT, SHARED):
        return
    if scope_of(source) == FRAGMENT:
        staged = _staging_tile(source, target)
        if staged is None:
            return
        attrs = build.attributes_of(op)
        if tma_obstacle(target, staged):
            staged.owner.operation.erase()
            return
        ir.Operation.create("tl.copy", [], [source, staged], attrs)
        source = staged
    elif root(source) != source or tma_obstacle(target, source):
        return
    ir.Operation.create("tl.tma_store", [], [source, target])
    _wait()
    op.erase()


def _staging_tile(source: ir.Value, target: ir.Value) -> ir.Value | None:
    """A shared tile of the fragment's shape in the widest swizzle, in the device element type."""
    if root(source) != source:
        return None
    shape = list(ir.MemRefType(source.type).shape)
    element = ir.MemRefType(target.type).element_type
    if len(shape) != 2 or element.width < 8:
        return None
    span = swizzle_span(shape, element.width)
    if not span:
        return None
    layout = to_attr(swizzled(shape, element.width, span))
    return ir.Operation.create("tl.alloc", [buffer_type(shape, element, SHARED)], attributes={"layout": layout}).result
