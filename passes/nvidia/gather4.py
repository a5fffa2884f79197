"""Tensor copies of four rows from anywhere in a two-dimensional tensor (sm_100).

PTX ISA 8.7, section 5.5.6 (tile::gather4 and tile::scatter4): the box of the tensor map is one row of at most a swizzle
span; in shared memory the four rows lie one after the other.
"""

from __future__ import annotations

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa.nvidia import tma
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

from ...dialect.layout import row_major
from ...dialect.location import python_location
from ...dialect.verify import shape_of
from ..lowering.buffers import SharedBuffer
from ..lowering.context import Context, rule
from ..lowering.index import Index
from ..lowering.memory import shared_pointer
from ..lowering.views import tile_of
from .intrinsics import require_feature
from .maps import MapKey, key_of
from .reach import one_thread
from .roles import barrier_pointer
from .tma_rules import MAX_BOX, panel_columns, shared_layout, swizzle_mode, tensor_obstacle

ROWS = 4


def gather_sides(op: ir.Operation) -> tuple[ir.Value, ir.Value]:
    """The tensor and the shared tile of a gather or scatter."""
    first, second = list(op.operands)[:2]
    return (first, second) if op.name == "tl.tma_gather4" else (second, first)


def gather_obstacle(tensor: ir.Value, tile: ir.Value) -> str:
    """Why four rows cannot be copied by one instruction, or an empty string."""
    if obstacle := tensor_obstacle(tensor):
        return obstacle
    size = ir.MemRefType(tensor.type).element_type.width // 8
    columns = shape_of(tile.type)[-1]
    layout = shared_layout(tile)
    span = panel_columns(tile)
    if layout.swizzle.bits == 0 and layout != row_major(layout.shape):
        return "the shared tile is not in rows or panels of one swizzle span"
    if columns % span or span * size % 16 or span > MAX_BOX:
        return f"rows of {columns} elements in boxes of {span}: multiples of 16 bytes and at most {MAX_BOX}"
    if not layout.swizzle.bits and columns != layout.shape[-1]:
        return "the rows are part of longer ones in shared memory"
    return ""


def gather_key(tensor: ir.Value, tile: ir.Value) -> MapKey:
    """The tensor map of a gather or scatter."""
    return key_of(tensor, (1, panel_columns(tile)), swizzle_mode(shared_layout(tile)))


@rule("tl.tma_gather4")
def lower_gather4(ctx: Context, op: ir.Operation) -> None:
    """One thread; the program announces the bytes."""
    _require(ctx, op)
    pointer = barrier_pointer(ctx, op.operands[2], op.operands[3])
    with one_thread(ctx, op):
        for address, coordinates in _parts(ctx, op, list(op.operands)[4:]):
            tma.gather4(address, ctx.tensor_maps[gather_key(*gather_sides(op))], pointer, coordinates, hint=_hint(op))


@rule("tl.tma_scatter4")
def lower_scatter4(ctx: Context, op: ir.Operation) -> None:
    """One thread, as one group."""
    _require(ctx, op)
    with one_thread(ctx, op):
        for address, coordinates in _parts(ctx, op, list(op.operands)[2:]):
            tma.scatter4(ctx.tensor_maps[gather_key(*gather_sides(op))], address, coordinates, hint=_hint(op))
        tma.commit()


def _hint(op: ir.Operation) -> str:
    return ir.StringAttr(op.attributes["eviction"]).value if "eviction" in op.attributes else ""


def _require(ctx: Context, op: ir.Operation) -> None:
    what = "T." + op.name.removeprefix("tl.")
    require_feature(ctx, op, Feature.TMA_GATHER, what)
    if obstacle := gather_obstacle(*gather_sides(op)):
        raise UnsupportedError(f"{what} cannot copy these rows: {obstacle}", python_location(op.location))


def _parts(ctx: Context, op: ir.Operation, places: list[ir.Value]) -> list[tuple[ir.Value, list[ir.Value | int]]]:
    """Shared address and coordinates (column, four rows) of each panel."""
    _, tile = gather_sides(op)
    here, span, width = tile_of(ctx, tile), panel_columns(tile), ir.MemRefType(tile.type).element_type.width
    assert isinstance(here.buffer, SharedBuffer)
    column, *rows = (ctx.index(v).lane(0) for v in places)
    parts: list[tuple[ir.Value, list[ir.Value | int]]] = []
    for start in range(0, shape_of(tile.type)[-1], span):
        # The engine swizzles: it is given where the rows would lie without.
        place = [*here.offsets[:-2], Index.of(0), ctx.ix.add(here.offsets[-1], Index.of(start))]
        first = shared_pointer(ctx, here.buffer, place)
        down = ctx.ix.scalar(ctx.ix.scale(here.offsets[-2], span * width // 8))
        at = [ctx.ix.add(column, Index.of(start)), *rows]
        parts.append((ctx.e.gep(first, down, ctx.e.i8), [ctx.ix.scalar(i) for i in at]))
    return parts
