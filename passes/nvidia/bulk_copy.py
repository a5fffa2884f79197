"""Bulk copies: boxes of a tensor map, one per panel of the shared tile."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

import numpy as np
import numpy.typing as npt

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa.nvidia import cluster, mbarrier, tma
from tilelang_mlir.mlir import int_array, ir
from tilelang_mlir.target import Feature

from ...dialect.location import python_location
from ...dialect.ops.intrinsic import intrinsic_name
from ...dialect.verify import shape_of
from ..lowering.buffers import GlobalBuffer, SharedBuffer
from ..lowering.context import Context, rule
from ..lowering.index import Index
from ..lowering.memory import shared_pointer
from ..lowering.views import tile_of
from ..walk import nested
from .cluster_copy import cluster_size, multicast_ranks
from .gather4 import gather_key, gather_obstacle, gather_sides
from .gemm_tcgen05 import first_of_pair
from .im2col import im2col_key
from .intrinsics import require_feature
from .maps import MapKey, key_of
from .reach import branch, issuing, one_thread, reaching_threads
from .roles import barrier_pointer, in_warpgroup
from .store_plan import Piece, StorePlan, staged_plan
from .tile_gaps import gaps_boxes, gaps_key
from .tma_rules import MAX_BOX, box_bytes, box_plan, tensor_obstacle, tma_obstacle


def map_key(device: ir.Value, shared: ir.Value) -> MapKey:
    plan = box_plan(device, shared)
    assert plan is not None
    return key_of(device, plan.box, plan.swizzle)


def box_key(op: ir.Operation) -> MapKey | None:
    """The tensor map of a copy that the program builds; None for bytes, and where the rule of the op will refuse it."""
    tensor = op.operands[0 if op.name == "tl.box_load" else 1]
    if "bytes" in op.attributes or tensor_obstacle(tensor):
        return None
    box, swizzle = int_array(op.attributes["box"]), ir.StringAttr(op.attributes["swizzle"])
    return key_of(tensor, tuple(box), swizzle.value)


def kernel_maps(launch: ir.Operation) -> list[MapKey]:
    """The tensor maps that a kernel needs, in the order of their arguments."""
    found: dict[MapKey, None] = {}
    for op in nested(launch):
        name = op.name
        if name in ("tl.tma_load", "tl.tma_store") and "explicit" in op.attributes:
            pair = list(op.operands)[:2] if name == "tl.tma_load" else list(op.operands)[1::-1]
            if tma_obstacle(*pair, explicit=True):
                continue  # refused by its rule
        if name == "tl.tma_load":
            found[_load_key(op)] = None
        elif name == "tl.im2col_load":
            found[im2col_key(op)] = None
        elif name == "tl.tma_store":
            found[map_key(op.operands[1], op.operands[0])] = None
        elif name in ("tl.tma_gather4", "tl.tma_scatter4"):
            if not gather_obstacle(*gather_sides(op)):
                found[gather_key(*gather_sides(op))] = None
        elif name in ("tl.box_load", "tl.box_store"):
            if (key := box_key(op)) is not None:
                found[key] = None
        elif name == "tl.prefetch" and (key := prefetch_key(op.operands[0])) is not None:
            found[key] = None
        elif name == "tl.staged_store":
            plan = staged_plan(op)
            found.update((staged_key(op.operands[2], plan, piece), None) for piece in plan.pieces)
    return list(found)


def _load_key(op: ir.Operation) -> MapKey:
    source, target = list(op.operands)[:2]
    kind = gaps_of(op)
    return gaps_key(source, kind) if kind else map_key(source, target)


def gaps_of(op: ir.Operation) -> str:
    """The format of packed elements that a `tl.tma_load` brings to a tile with gaps."""
    return ir.StringAttr(op.attributes["gaps"]).value if "gaps" in op.attributes else ""


def staged_key(target: ir.Value, plan: StorePlan, piece: Piece) -> MapKey:
    """The tensor map through which a piece of a staged store goes."""
    return key_of(target, plan.box(target, piece), piece.swizzle)


def map_attribute(keys: list[MapKey]) -> ir.Attribute:
    """`tl.tensor_maps` of the kernel function."""
    i64 = ir.IntegerType.get_signless(64)
    return ir.ArrayAttr.get([
        ir.DictAttr.get({
            "param": ir.IntegerAttr.get(i64, key.param),
            "box": ir.DenseI64ArrayAttr.get(list(key.box)),
            "swizzle": ir.StringAttr.get(key.swizzle),
            **({"gaps": ir.StringAttr.get(key.gaps)} if key.gaps else {}),
            **({"walk": ir.DenseI64ArrayAttr.get(list(key.walk))} if key.walk else {}),
        })
        for key in keys
    ])  # fmt: skip


@rule("tl.tma_load")
def lower_tma_load(ctx: Context, op: ir.Operation) -> None:
    source, target, barrier, index = op.operands
    if "explicit" in op.attributes:
        require_tma(ctx, op, source, target)
    pointer = barrier_pointer(ctx, barrier, index)
    with _one_thread(ctx, op=op) if "explicit" in op.attributes else issuing(ctx, op, pointer):
        if "explicit" in op.attributes:
            _announce(ctx, op, pointer)
        if "multicast" in op.attributes:
            _multicast(ctx, op, pointer)
        else:
            _load(ctx, op, pointer)


def _load(ctx: Context, op: ir.Operation, pointer: ir.Value, ranks: ir.Value | None = None) -> None:
    source, target = list(op.operands)[:2]
    kind = gaps_of(op)
    boxes = gaps_boxes(ctx, source, target, kind) if kind else _boxes(ctx, source, target)
    descriptor = ctx.tensor_maps[_load_key(op)]
    for address, coordinates in boxes:
        if "pair" in op.attributes:
            tma.load_pair(address, descriptor, pointer, first_of_pair(ctx), coordinates, hint=eviction_hint(op))
        else:
            tma.load(address, descriptor, pointer, coordinates, hint=eviction_hint(op), ranks=ranks)


def _multicast(ctx: Context, op: ir.Operation, pointer: ir.Value) -> None:
    """The CTA of the lowest rank copies for all of the mask, those outside of it for themselves."""
    require_feature(ctx, op, Feature.CLUSTER, "a copy into several CTAs")
    ranks = multicast_ranks(op)
    rank = cluster.rank()
    with branch(ctx, ctx.e.compare("eq", rank, (ranks & -ranks).bit_length() - 1)):
        i16 = ir.IntegerType.get_signless(16)
        _load(ctx, op, pointer, ctx.e.constant(i16, ranks if ranks < 1 << 15 else ranks - (1 << 16)))
    if ranks + 1 < 1 << cluster_size(op):
        chosen = ctx.e.pure("arith.shrui", ctx.e.i32, [ctx.e.constant(ctx.e.i32, ranks), rank])
        inside = ctx.e.pure("arith.andi", ctx.e.i32, [chosen, ctx.e.constant(ctx.e.i32, 1)])
        with branch(ctx, ctx.e.compare("eq", inside, 0)):
            _load(ctx, op, pointer)


def _announce(ctx: Context, op: ir.Operation, pointer: ir.Value) -> None:
    """Say at the barrier how many bytes come; with `arrive`, arrive too."""
    size, arrive = box_bytes(op.operands[1]), "arrive" in op.attributes
    if "pair" not in op.attributes:
        announce = mbarrier.arrive_expect_tx if arrive else mbarrier.expect_tx
        announce(pointer, size)
        return
    rank = first_of_pair(ctx)
    cluster.expect_remote(pointer, rank, ctx.e.constant(ctx.e.i32, size))
    if arrive:
        cluster.arrive_remote(pointer, rank)


@rule("tl.prefetch")
def lower_prefetch(ctx: Context, op: ir.Operation) -> None:
    """One thread; nothing where no tensor map describes the tile."""
    (source,) = op.operands
    key = prefetch_key(source) if ctx.target.supports(Feature.TMA) else None
    if key is not None:
        with one_thread(ctx, op):
            start = tile_of(ctx, source).offsets
            tma.prefetch(ctx.tensor_maps[key], [ctx.ix.scalar(i) for i in reversed(start)])


def prefetch_key(device: ir.Value) -> MapKey | None:
    """The tensor map of a tile that is prefetched, or None where there can be none."""
    sizes = shape_of(device.type)
    if tensor_obstacle(device) or -1 in sizes or max(sizes) > MAX_BOX:
        return None
    if sizes[-1] * ir.MemRefType(device.type).element_type.width % 128:
        return None
    return key_of(device, tuple(sizes), "none")


@rule("tl.tma_store")
def lower_tma_store(ctx: Context, op: ir.Operation) -> None:
    """One thread issues all boxes, as one group unless the program closes the group itself."""
    source, target = op.operands
    if "explicit" in op.attributes:
        require_tma(ctx, op, target, source)
    kind = ir.StringAttr(op.attributes["reduce"]).value if "reduce" in op.attributes else ""
    with _one_thread(ctx, op=op):
        for address, coordinates in _boxes(ctx, target, source):
            descriptor = ctx.tensor_maps[map_key(target, source)]
            if kind:
                tma.reduce(descriptor, address, coordinates, kind, _reduced_element(op))
            else:
                tma.store(descriptor, address, coordinates, hint=eviction_hint(op))
        if not _closed_by_program(op):
            tma.commit()


def _closed_by_program(op: ir.Operation) -> bool:
    """The same threads close the group themselves: an empty one more would shift what `pending` of a wait counts."""
    if "explicit" not in op.attributes:
        return False
    operations = list(op.operation.block)
    for later in operations[operations.index(op.operation) + 1 :]:
        if later.operation.name == "tl.intrinsic" and intrinsic_name(later.operation) == "bulk_commit":
            return True
        if later.operation.name == "tl.tma_wait":
            return False
    return False


@rule("tl.tma_wait")
def lower_tma_wait(ctx: Context, op: ir.Operation) -> None:
    """Waited for by the threads that issue stores: the first of each warpgroup; all, when the program waits itself."""
    require_feature(ctx, op, Feature.TMA, "a bulk store")
    with contextlib.nullcontext() if "explicit" in op.attributes else _one_thread(ctx, in_warpgroup(ctx)):
        tma.wait(ir.IntegerAttr(op.attributes["pending"]).value, read="complete" not in op.attributes)


@rule("tl.fence_proxy")
def lower_fence_proxy(ctx: Context, op: ir.Operation) -> None:
    require_feature(ctx, op, Feature.TMA, "a fence between proxies")
    if "device" in op.attributes:
        tma.fence_all()
    else:
        tma.fence_shared()


@contextlib.contextmanager
def _one_thread(ctx: Context, index: Index | None = None, op: ir.Operation | None = None) -> Generator[None]:
    """The first of the threads that reach `op`, the leaders where it has them, or the threads whose `index` is zero."""
    reached = np.zeros(0, np.int64) if op is None else np.flatnonzero(reaching_threads(ctx, op))
    number, place = int(reached[0]) if len(reached) else 0, ctx.thread if index is None else index
    if op is not None and "leaders" in op.attributes:
        place, number = _leader(ctx, op, reached)
    first = ctx.e.compare("eq", ctx.ix.scalar(place), number)
    branch = ctx.e.op("scf.if", [], [first], regions=2)
    with ctx.e.scope(branch.regions[0].blocks.append()):
        yield
        ctx.e.end_region()


def _leader(ctx: Context, op: ir.Operation, reached: npt.NDArray[np.int64]) -> tuple[Index, int]:
    """What a thread compares with what, to find whether it leads its part of the threads."""
    scope = ir.IntegerAttr(op.attributes["leaders"]).value
    number = int(reached[0]) % scope if len(reached) else 0
    firsts = {int(reached[reached // scope == part][0]) % scope for part in np.unique(reached // scope)}
    if len(firsts) > 1:
        raise UnsupportedError(
            f"leader_scope_threads={scope} where the parts of {scope} threads are reached from different threads on",
            python_location(op.location),
            hint="let whole parts reach the copy, or leave leader_scope_threads away",
        )
    place = ctx.ix.remainder(ctx.thread, scope) if scope < ctx.num_threads else ctx.thread
    assert place is not None
    return place, number


def require_tma(ctx: Context, op: ir.Operation, device: ir.Value, shared: ir.Value) -> None:
    """An error that names the rule which a copy that the program asks for breaks."""
    if not ctx.target.supports(Feature.TMA):
        obstacle = f"{ctx.target} has no tensor memory accelerator"
    else:
        obstacle = tma_obstacle(device, shared, explicit=True)
    if obstacle:
        raise UnsupportedError(
            f"T.tma_copy cannot copy this tile: {obstacle}",
            python_location(op.location),
            hint="T.copy takes every tile",
        )


_REDUCED = {"f16": "f16", "bf16": "bf16", "f32": "f32", "i32": "s32", "i64": "s64"}


def _reduced_element(op: ir.Operation) -> str:
    """The element as a bulk reduction names it, checked against what it can do (PTX ISA, cp.reduce.async.bulk)."""
    kind, element = ir.StringAttr(op.attributes["reduce"]).value, str(ir.MemRefType(op.operands[0].type).element_type)
    name = _REDUCED.get(element, "")
    unsigned = "unsigned" in op.attributes
    allowed = {
        "add": ("f16", "bf16", "f32", "s32", "u32", "u64"),
        "min": ("f16", "bf16", "s32", "u32", "s64", "u64"),
        "and": ("s32", "u32", "s64", "u64"),
    }
    name = name.replace("s", "u") if unsigned or (kind == "add" and name == "s64") else name
    if name not in allowed[{"max": "min", "or": "and", "xor": "and"}.get(kind, kind)]:
        raise UnsupportedError(
            f"bulk copies have no {kind} of {element}",
            python_location(op.location),
            hint="leave use_tma out: the threads combine the tile themselves",
        )
    return name


def eviction_hint(op: ir.Operation) -> str:
    return ir.StringAttr(op.attributes["eviction"]).value if "eviction" in op.attributes else ""


def _boxes(ctx: Context, device: ir.Value, shared: ir.Value) -> list[tuple[ir.Value, list[int | ir.Value]]]:
    """Shared address and coordinates, innermost first, of every box of a copy."""
    plan = box_plan(device, shared)
    there, here = tile_of(ctx, device), tile_of(ctx, shared)
    assert plan is not None and isinstance(here.buffer, SharedBuffer) and isinstance(there.buffer, GlobalBuffer)
    boxes: list[tuple[ir.Value, list[int | ir.Value]]] = []
    mine = [dim for dim, size in enumerate(here.sizes) if size != 1]
    theirs = [dim for dim, size in enumerate(plan.tile) if size != 1]
    for start in plan.starts():
        inside = [Index.of(0) for _ in here.offsets]
        for dim, other in zip(reversed(mine), reversed(theirs), strict=False):
            inside[dim] = Index.of(start[other])
        place = [ctx.ix.add(offset, step) for offset, step in zip(here.offsets, inside, strict=True)]
        there_at = [ctx.ix.add(offset, Index.of(step)) for offset, step in zip(there.offsets, start, strict=True)]
        boxes.append((shared_pointer(ctx, here.buffer, place), [ctx.ix.scalar(i) for i in reversed(there_at)]))
    return boxes
