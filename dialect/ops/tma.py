"""Bulk copies by the tensor memory accelerator, and the fences around asynchronous accesses."""

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.mlir import dialect, ir

from ..products import PACKED, elements_of
from ..tl import FRAGMENT, GLOBAL, SHARED, TL
from ..verify import (
    barrier,
    buffers,
    element_of,
    enum_attr,
    fail,
    int_operands,
    same_element,
    same_tile,
    shape_of,
    structure,
    tile_shape,
)

ext = dialect("ext")

_WARP = 32
EVICTIONS = ("evict_normal", "evict_first", "evict_last")
REDUCTIONS = ("add", "min", "max", "and", "or", "xor")


class TmaLoadOp(TL.Operation, name="tma_load"):
    """Starts a copy of a device tile to a shared tile: `(source, target, barrier, index)`.

    The bytes complete the transactions of the barrier's element `index`; who issues the copy announces them. Out of
    bounds reads as zero. Optional attributes: `explicit` (all threads reach it: one of them announces the bytes and
    issues the copy), `arrive` (and arrives), `pair` (all at the barrier of the first CTA of the pair), `eviction`
    (evict_normal, evict_first, evict_last in the L2 cache), `multicast` (with `explicit`: ranks of the cluster as bits;
    every CTA announces its bytes, the one of the lowest of these ranks copies its tile into all of them, those of other
    ranks copy their own), `elected` (all threads reach it: one of them issues the copy, after an arrival that announces
    `expect` bytes where it has that; `ordered`: barriers in front of it say that the tile is free), `leaders` (with
    `explicit`: of every so many threads one announces and issues a copy of its own), `gaps` (e2m1, e2m3, e3m2:
    the bytes of packed elements, of which 16 come to the start of 16 bytes of the target).
    """

    source: ext.Operand[Any]
    target: ext.Operand[Any]
    barrier: ext.Operand[Any]
    index: ext.Operand[Any]

    @structure(4, attributes={
        "?explicit": "a unit attribute", "?arrive": "a unit attribute", "?pair": "a unit attribute",
        "?multicast": "an integer", "?elected": "a unit attribute", "?expect": "an integer",
        "?ordered": "a unit attribute", "?leaders": "an integer",
    })  # fmt: skip
    def verify_invariants(self) -> bool:
        source, target, bar, index = self.operation.operands
        if not (buffers(self, [source], (GLOBAL,)) and buffers(self, [target], (SHARED,)) and barrier(self, bar)):
            return False
        if not _leads_warps(self):
            return False
        fits = _fits_with_gaps(self, source, target) if "gaps" in self.attributes else same_tile(self, source, target)
        return (
            fits
            and same_element(self, source, target, "source and target")
            and int_operands(self, [index])
            and enum_attr(self, "eviction", EVICTIONS, optional=True)
        )


class TmaStoreOp(TL.Operation, name="tma_store"):
    """Starts a copy of a shared tile to a device tile as one bulk group; out of bounds is not written.

    Optional attributes: `reduce` (add, min, max, and, or, xor: combine with the device tile), `unsigned` (elements of a
    reduction), `explicit` (the program closes or waits for the group), `eviction`, `leaders` as for `tl.tma_load`.
    """

    source: ext.Operand[Any]
    target: ext.Operand[Any]

    @structure(2, attributes={"?leaders": "an integer"})
    def verify_invariants(self) -> bool:
        source, target = self.operation.operands
        if not (buffers(self, [source], (SHARED,)) and buffers(self, [target], (GLOBAL,)) and _leads_warps(self)):
            return False
        return (
            same_tile(self, source, target)
            and same_element(self, source, target, "source and target")
            and enum_attr(self, "reduce", REDUCTIONS, optional=True)
            and enum_attr(self, "eviction", EVICTIONS, optional=True)
        )


def _fits_with_gaps(op: ir.OpView, source: ir.Value, target: ir.Value) -> bool:
    """The target has a byte for every element of the packed source."""
    if not enum_attr(op, "gaps", PACKED):
        return False
    kind = ir.StringAttr(op.attributes["gaps"]).value
    packed, padded = tile_shape(source), tile_shape(target)
    fits = packed[:-1] == padded[:-1] and elements_of(packed[-1], kind) == padded[-1]
    return fits or fail(op, f"tiles of {packed} bytes and {padded} elements of {kind}")


def _leads_warps(op: ir.OpView) -> bool:
    """Each of the threads that issue a copy leads whole warps."""
    if "leaders" not in op.operation.attributes:
        return True
    threads = ir.IntegerAttr(op.operation.attributes["leaders"]).value
    if threads <= 0 or threads % _WARP:
        return fail(op, f"'leaders' must be a multiple of {_WARP}, got {threads}")
    return "explicit" in op.operation.attributes or fail(op, "'leaders' needs 'explicit'")


class TmaGather4Op(TL.Operation, name="tma_gather4"):
    """Starts a copy of four rows: `(tensor, target, barrier, index, column, row, row, row, row)`.

    From anywhere in a two-dimensional tensor to four rows of shared memory, as many columns as these have. The bytes
    complete at the barrier's element `index`; the program announces them. Optional attribute: `eviction`.
    """

    source: ext.Operand[Any]
    target: ext.Operand[Any]
    barrier: ext.Operand[Any]
    index: ext.Operand[Any]
    places: Sequence[ext.Operand[Any]]

    @structure(9)
    def verify_invariants(self) -> bool:
        tensor, tile, bar, index, *places = self.operation.operands
        return _four_rows(self, tensor, tile) and barrier(self, bar) and int_operands(self, [index, *places])


class TmaScatter4Op(TL.Operation, name="tma_scatter4"):
    """Starts a copy of four rows of shared memory to rows of a tensor: `(source, tensor, column, row, row, row, row)`.

    As one bulk group. Optional attribute: `eviction`.
    """

    source: ext.Operand[Any]
    target: ext.Operand[Any]
    places: Sequence[ext.Operand[Any]]

    @structure(7)
    def verify_invariants(self) -> bool:
        tile, tensor, *places = self.operation.operands
        return _four_rows(self, tensor, tile) and int_operands(self, places)


def _four_rows(op: ir.OpView, tensor: ir.Value, tile: ir.Value) -> bool:
    if not (buffers(op, [tensor], (GLOBAL,)) and buffers(op, [tile], (SHARED,))):
        return False
    if not same_element(op, tensor, tile, "the tensor and the tile"):
        return False
    rank, sizes = ir.MemRefType(tensor.type).rank, [s for s in shape_of(tile.type)[:-1] if s != 1]
    if rank != 2 or sizes != [4]:
        return fail(op, f"copies a tile of {shape_of(tile.type)} of a tensor of rank {rank}, expected four rows and 2")
    return enum_attr(op, "eviction", EVICTIONS, optional=True)


class StagedStoreOp(TL.Operation, name="staged_store"):
    """Starts the copy of a fragment to a device tile through small shared buffers: `(source, staging, target)`.

    Each warpgroup writes the blocks of 64 rows that it holds, piece by piece, into buffers of its own and stores them
    as bulk groups; a buffer is written again when its store has read it. `staging` is (buffers of all warpgroups, 64,
    columns of 128 bytes). What is stored must be awaited with `tl.tma_wait` before the kernel ends. `fresh` says that
    nothing was stored through the buffers before. With `reduce` (add) the target is added to instead. With `transposed`
    the target is the transpose of the fragment, of 16-bit elements: its rows are the fragment's columns.
    """

    source: ext.Operand[Any]
    staging: ext.Operand[Any]
    target: ext.Operand[Any]

    @structure(3, attributes={
        "?fresh": "a unit attribute", "?reduce": "a string", "?transposed": "a unit attribute",
    })  # fmt: skip
    def verify_invariants(self) -> bool:
        source, staging, target = self.operation.operands
        if not enum_attr(self, "reduce", ("add",), optional=True):
            return False
        if not (
            buffers(self, [source], (FRAGMENT,))
            and buffers(self, [staging], (SHARED,), first=1)
            and buffers(self, [target], (GLOBAL,), first=2)
        ):
            return False
        element, shape = element_of(staging), list(ir.MemRefType(staging.type).shape)
        if len(shape) != 3 or shape[1:] != [64, 1024 // element.width]:
            return fail(self, f"stages through {shape}, expected buffers of 64 rows of 128 bytes")
        if not same_element(self, staging, target, "staging and target"):
            return False
        if "transposed" not in self.operation.attributes:
            return same_tile(self, source, target)
        flipped, there = tile_shape(source)[::-1], tile_shape(target)
        if flipped != there:
            return fail(self, f"the transpose of a fragment has shape {flipped}, its target {there}")
        return element.width == 16 or fail(self, f"transposes elements of {element}, expected 16 bits")


class TmaWaitOp(TL.Operation, name="tma_wait"):
    """Waits until at most `pending` bulk stores of this thread still read their shared tiles.

    With `complete` their writes are visible too. `explicit`: every thread waits, not only the one that issues.
    """

    pending: Any

    @structure(0, attributes={
        "pending": "an integer", "?complete": "a unit attribute", "?explicit": "a unit attribute",
    })  # fmt: skip
    def verify_invariants(self) -> bool:
        return True


class FenceProxyOp(TL.Operation, name="fence_proxy"):
    """Orders this thread's accesses to shared memory before later asynchronous ones; after a barrier, anyone's.

    With `device` (optional) those to device memory, too.
    """
