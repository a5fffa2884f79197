"""`tl.box_load` and `tl.box_store`: bulk copies that a program builds itself."""

from __future__ import annotations

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa.nvidia import bulk, tma
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

from ...dialect.location import python_location
from ...dialect.ops.boxes import reduction_of
from ..lowering.buffers import GlobalBuffer, SharedBuffer
from ..lowering.context import Context, rule
from ..lowering.memory import global_pointer, shared_pointer
from .bulk_copy import MapKey, box_key, eviction_hint
from .gemm_tcgen05 import first_of_pair
from .intrinsics import require_feature
from .roles import barrier_pointer
from .tma_rules import tensor_obstacle


@rule("tl.box_load")
def lower_box_load(ctx: Context, op: ir.Operation) -> None:
    require_feature(ctx, op, Feature.TMA, "T.tma_load")
    tensor, shared, barrier, index, *places = op.operands
    address, coordinates = _places(ctx, shared, places)
    pointer = barrier_pointer(ctx, barrier, index)
    if "bytes" in op.attributes:
        source = _source(ctx, tensor, coordinates)
        bulk.load(address, source, pointer, ir.IntegerAttr(op.attributes["bytes"]).value)
        return
    descriptor, corner, hint = ctx.tensor_maps[_key(op, tensor)], _scalars(ctx, coordinates), eviction_hint(op)
    if "pair" in op.attributes:
        require_feature(ctx, op, Feature.TCGEN05, "T.tma_load_2sm")
        tma.load_pair(address, descriptor, pointer, first_of_pair(ctx), corner, hint=hint)
        return
    tma.load(address, descriptor, pointer, corner, hint=hint)


@rule("tl.box_store")
def lower_box_store(ctx: Context, op: ir.Operation) -> None:
    require_feature(ctx, op, Feature.TMA, "T.tma_store")
    shared, tensor, *places = op.operands
    address, coordinates = _places(ctx, shared, places)
    if "bytes" in op.attributes:
        target, count = _source(ctx, tensor, coordinates), ir.IntegerAttr(op.attributes["bytes"]).value
        if "reduce" in op.attributes:
            bulk.reduce(target, address, count, *reduction_of(op))
        else:
            bulk.store(target, address, count)
        return
    tma.store(ctx.tensor_maps[_key(op, tensor)], address, _scalars(ctx, coordinates), hint=eviction_hint(op))


def _key(op: ir.Operation, tensor: ir.Value) -> MapKey:
    key = box_key(op)
    if key is None:
        raise UnsupportedError(
            f"no descriptor of this tensor: {tensor_obstacle(tensor)}",
            python_location(op.location),
            hint="T.copy takes every tile",
        )
    return key


def _places(ctx: Context, shared: ir.Value, places: list[ir.Value]) -> tuple[ir.Value, list[ir.Value]]:
    """The address in shared memory, and what is left: the place in the tensor."""
    buffer = ctx.buffers[shared]
    assert isinstance(buffer, SharedBuffer)
    rank = len(buffer.shape)
    return shared_pointer(ctx, buffer, [ctx.index(v) for v in places[:rank]]), places[rank:]


def _scalars(ctx: Context, coordinates: list[ir.Value]) -> list[int | ir.Value]:
    """Coordinates as the instruction takes them, the innermost first."""
    return [ctx.ix.scalar(ctx.index(v)) for v in reversed(coordinates)]


def _source(ctx: Context, tensor: ir.Value, coordinates: list[ir.Value]) -> ir.Value:
    buffer = ctx.buffers[tensor]
    assert isinstance(buffer, GlobalBuffer)
    return global_pointer(ctx, buffer, [ctx.index(v) for v in coordinates])


@rule("tl.shared_address")
def lower_shared_address(ctx: Context, op: ir.Operation) -> None:
    address, _ = _places(ctx, op.operands[0], list(op.operands)[1:])
    ctx.values[op.results[0]] = ctx.e.pure("llvm.ptrtoint", ctx.e.i32, [address])
