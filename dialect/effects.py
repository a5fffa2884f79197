"""What each op reads and writes, as data.

Effects name buffers, not tiles: views (`tl.slice`, `tl.reshape`) are looked through, so two effects on overlapping
tiles of one buffer have the same `value`. Barrier insertion, pipelining and liveness ask here and nowhere else.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from tilelang_mlir.mlir import ADVANCE, PRE_ORDER, ir

from .ops.intrinsic import INTRINSICS
from .ops.matrix import starts_from_zero

Kind = Literal["read", "write"]

# Access per operand of an op: "r", "w", "rw" or "" (no buffer); operands beyond the list have none, "r*" covers the
# rest.
_ACCESSES: dict[str, tuple[str, ...]] = {
    "tl.copy": ("r", "w"),
    "tl.transpose": ("r", "w"),
    "tl.tma_load": ("r", "w", "rw"),
    "tl.tma_store": ("r", "w"),
    "tl.tma_gather4": ("r", "w", "rw"),
    "tl.im2col": ("r", "w"),
    "tl.im2col_load": ("r", "w", "rw"),
    "tl.tma_scatter4": ("r", "w"),
    "tl.cluster_copy": ("r", "w", "rw"),
    "tl.cluster_store": ("r", "w"),
    "tl.bulk_words": ("r", "w", "rw"),
    "tl.staged_store": ("r", "w", "w"),
    "tl.box_load": ("r", "w", "rw"),
    "tl.box_store": ("r", "w"),
    "tl.make_descriptor": ("", "w"),
    "tl.fill": ("w",),
    "tl.gemm": ("r", "r", "rw"),
    "tl.mma_scaled": ("r", "r", "rw", "r", "r"),
    "tl.gemm_sp": ("r", "r", "r", "rw"),
    "tl.load_operand": ("r", "w"),
    "tl.wait_products": ("rw",),
    "tl.tcgen05_mma": ("r", "r", "rw"),
    "tl.tcgen05_scaled_mma": ("r", "r", "rw", "", "r", "r"),
    "tl.tcgen05_sparse_mma": ("r", "r", "rw", "", "r"),
    "tl.tcgen05_commit": ("rw",),
    "tl.clc_try_cancel": ("w", "rw"),
    "tl.clc_query": ("r",),
    "tl.tcgen05_cp": ("r", "w"),
    "tl.reduce": ("r", "rw"),
    "tl.outgrows": ("r", "r"),
    "tl.scan": ("r", "w"),
    "tl.reducer_init": ("w",),
    "tl.reducer_update": ("rw",),
    "tl.finalize_reducer": ("rw", "w"),
    "tl.atomic": ("rw",),
    "tl.load_words": ("r",),
    "tl.copy_words": ("r", "w"),
    "tl.store_words": ("w",),
    "tl.load_matrix": ("r",),
    "tl.shared_address": ("r",),
    "tl.store_matrix": ("w",),
    "tl.warpgroup_mma": ("rw",),
    "tl.print": ("r*",),
    "tl.mbarrier_arrive": ("rw",),
    "tl.mbarrier_expect": ("rw",),
    "tl.mbarrier_wait": ("r",),
    "tl.mbarrier_meet": ("rw",),
    "tl.mbarrier_state": ("rw",),
    "tl.mbarrier_test": ("r",),
    "memref.load": ("r",),
    "memref.store": ("", "w"),
    "vector.load": ("r",),
    "vector.store": ("", "w"),
}
# Operations whose accesses end at a later wait.
_ASYNCHRONOUS = frozenset((
    "tl.copy_words", "tl.tcgen05_mma", "tl.tcgen05_scaled_mma", "tl.tcgen05_sparse_mma", "tl.tcgen05_cp",
    "tl.staged_store", "tl.clc_try_cancel",
))  # fmt: skip
# Operations whose attributes or operands narrow the table's entry.
_NARROWED = frozenset((
    "tl.address", "tl.warpgroup_mma", "tl.intrinsic", "tl.gemm", "tl.tcgen05_mma", "tl.tcgen05_scaled_mma",
    "tl.tcgen05_sparse_mma", "tl.reduce", "tl.atomic",
))  # fmt: skip
_WITH_ACCESSES = frozenset((*_ACCESSES, "tl.intrinsic", "tl.address"))
_VIEWS = frozenset(("tl.slice", "tl.reshape", "memref.subview", "memref.cast", "memref.reinterpret_cast"))


class Effect(NamedTuple):
    """One access: `value` is the buffer (or barrier) behind the operand `tile` of `op`.

    `asynchronous` marks an access that ends only at a later wait: both sides of an asynchronous or bulk copy, the
    operands of an asynchronous matrix product, the buffers of a staged store.
    """

    kind: Kind
    value: ir.Value
    tile: ir.Value
    op: ir.Operation
    asynchronous: bool = False


def root(value: ir.Value) -> ir.Value:
    """The buffer that a chain of views starts from: an allocation, a tensor or a block argument."""
    while isinstance(value, ir.OpResult):
        owner = value.owner.operation
        if owner.name not in _VIEWS:
            break
        value = owner.operands[0]
    return value


def laid_out(value: ir.Value) -> ir.Value:
    """What has the layout of a tile: its buffer, or the view under another shape that it is taken from."""
    while not isinstance(value.owner, ir.Block) and value.owner.operation.name == "tl.slice":
        value = value.owner.operation.operands[0]
    return value


def effects(op: ir.Operation | ir.OpView) -> list[Effect]:
    """The accesses of one op, without those in its regions; reads come before writes."""
    operation = op.operation
    name = operation.name
    return _effects(operation, name) if name in _WITH_ACCESSES else []


def _effects(operation: ir.Operation, name: str) -> list[Effect]:
    if name == "memref.load":  # half of all
        tile = operation.operands[0]
        return [Effect("read", root(tile), tile, operation)]
    if name == "memref.store":
        tile = operation.operands[1]
        return [Effect("write", root(tile), tile, operation)]
    accesses = _accesses(operation, name)
    if not accesses:
        return []
    attributes = operation.attributes
    asynchronous = "async" in attributes or "wgmma" in attributes or name in _ASYNCHRONOUS
    reads: list[Effect] = []
    writes: list[Effect] = []
    for index, tile in enumerate(operation.operands):
        access = accesses[index] if index < len(accesses) else accesses[-1] if accesses[-1] == "r*" else ""
        if access and not isinstance(tile.type, ir.IntegerType | ir.FloatType | ir.IndexType):
            buffer = root(tile)
            if "r" in access:
                reads.append(Effect("read", buffer, tile, operation, asynchronous))
            if "w" in access:
                writes.append(Effect("write", buffer, tile, operation, asynchronous))
    return reads + writes


def _accesses(op: ir.Operation, name: str) -> tuple[str, ...]:
    """The table's entry, narrowed by the attributes that turn an update into a plain write or read."""
    accesses = _ACCESSES.get(name, ())
    if name not in _NARROWED:
        return accesses
    if name == "tl.address":
        return (ir.StringAttr(op.attributes["access"]).value,)
    if name == "tl.warpgroup_mma" and starts_from_zero(op):
        return ("w",)
    if name == "tl.intrinsic":
        return INTRINSICS[ir.StringAttr(op.attributes["name"]).value].accesses
    if name == "tl.gemm" and len(op.operands) == 3 and _flag(op, "clear"):
        return ("r", "r", "w")
    if name.startswith("tl.tcgen05_") and _is_false(op.operands[3]):
        return ("r", "r", "w", *accesses[3:])
    if name == "tl.reduce" and _flag(op, "clear"):
        return ("r", "w")
    if name == "tl.atomic":
        kind = ir.StringAttr(op.attributes["kind"]).value
        return {"load": ("r",), "store": ("w",)}.get(kind, accesses)
    return accesses


def _is_false(value: ir.Value) -> bool:
    """Whether an i1 is the constant false."""
    owner = value.owner
    if isinstance(owner, ir.Block) or owner.operation.name != "arith.constant":
        return False
    return str(owner.operation.attributes["value"]) in ("false", "0 : i1")


def _flag(op: ir.Operation, name: str) -> bool:
    return name in op.attributes and bool(ir.BoolAttr(op.attributes[name]).value)


def region_effects(op: ir.Operation | ir.OpView) -> list[Effect]:
    """The accesses of an op and of everything nested in it, in program order."""
    operation = op.operation
    if not len(operation.regions):
        return effects(operation)
    found: list[Effect] = []

    def gather(inner: ir.Operation) -> ir.WalkResult:
        name = inner.name
        if name in _WITH_ACCESSES:
            found.extend(_effects(inner, name))
        return ADVANCE

    operation.walk(gather, PRE_ORDER)
    return found


def reads(op: ir.Operation | ir.OpView) -> list[ir.Value]:
    """Buffers an op or its regions read, each once, in order."""
    return _unique([e.value for e in region_effects(op) if e.kind == "read"])


def writes(op: ir.Operation | ir.OpView) -> list[ir.Value]:
    """Buffers an op or its regions write, each once, in order."""
    return _unique([e.value for e in region_effects(op) if e.kind == "write"])


def conflict(first: Effect, second: Effect) -> bool:
    """Whether the order of two accesses matters: the same buffer, at least one a write."""
    return first.value == second.value and "write" in (first.kind, second.kind)


def _unique(values: list[ir.Value]) -> list[ir.Value]:
    return list(dict.fromkeys(values))
