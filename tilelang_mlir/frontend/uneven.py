"""Tiles that begin elsewhere in every thread: a tile operation is one of all threads, which share its elements.

Only what is sure is told: the place follows from the thread index by arithmetic and tensors, no branch or role around
the operation chooses among threads, and no array of the threads takes part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tilelang_mlir.dialect.effects import root
from tilelang_mlir.dialect.location import python_location
from tilelang_mlir.dialect.tl import LOCAL, VAR, scope_of
from tilelang_mlir.frontend.suspicion import Suspicion
from tilelang_mlir.mlir import int_array, ir

_TILE_OPERATIONS = ("tl.copy", "tl.fill", "tl.transpose", "tl.reduce", "tl.scan", "tl.gemm", "tl.gemm_sp")
_OPAQUE = ("tl.shuffle", "tl.warp_reduce", "tl.intrinsic", "tl.call_extern", "tl.atomic", "tl.vote")
_HINT = "write a loop over T.Parallel, whose iterations are single threads', or copy to T.alloc_local"


def varies(value: ir.Value) -> bool:
    """Whether a value follows from the thread index, as far as arithmetic and reads of tensors tell."""
    if not isinstance(value, ir.OpResult):
        return False
    op = value.owner.operation
    if op.name == "tl.thread_id":
        return True
    if op.name == "memref.load" and scope_of(op.operands[0]) in (LOCAL, VAR, "fragment"):
        return False
    return op.name not in _OPAQUE and any(
        varies(operand) for operand in op.operands if not isinstance(operand.type, ir.MemRefType)
    )


def uneven_tiles(operations: Iterable[tuple[ir.Operation, bool]]) -> Iterator[Suspicion]:
    """Of operations and whether a condition decides about them, the tile operations at places that vary."""
    launch: ir.Operation | None = None
    for op, conditional in operations:
        if op.name == "tl.launch":
            launch = op
        if op.name not in _TILE_OPERATIONS or conditional or launch is None or _is_one_thread(launch):
            continue
        tiles = [v for v in op.operands if isinstance(v.type, ir.MemRefType)]
        if any(scope_of(tile) in (LOCAL, VAR) for tile in tiles):
            continue
        uneven = next((tile for tile in tiles if _begins_unevenly(tile)), None)
        if uneven is not None:
            name = f"T.{op.name.removeprefix('tl.')}"
            yield Suspicion(
                f"all threads run {name} together, but where {_name(root(uneven))} begins differs between them",
                python_location(op.location), _HINT,
            )  # fmt: skip


def _begins_unevenly(tile: ir.Value) -> bool:
    while isinstance(tile, ir.OpResult):
        op = tile.owner.operation
        if op.name == "tl.slice" and any(varies(v) for v in list(op.operands)[1:]):
            return True
        if op.name not in ("tl.slice", "tl.reshape"):
            return False
        tile = op.operands[0]
    return False


def _is_one_thread(launch: ir.Operation) -> bool:
    return all(size == 1 for size in int_array(launch.attributes["threads"]))


def _name(value: ir.Value) -> str:
    location = value.owner.location if isinstance(value, ir.OpResult) else value.location
    return location.name_str if isinstance(location, ir.NameLoc) else "a buffer"
