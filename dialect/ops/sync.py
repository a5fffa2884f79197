"""Barriers, shuffles and votes."""

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.mlir import dialect

from ..tl import TL
from ..verify import enum_attr, fail

ext = dialect("ext")


class SyncThreadsOp(TL.Operation, name="sync_threads"):
    """CTA-wide barrier, or a named one: optional attributes `id` and `count` (threads that take part)."""


class SyncWarpOp(TL.Operation, name="sync_warp"):
    """Warp barrier; the optional operand is the lane mask (all lanes by default)."""

    mask: Sequence[ext.Operand[Any]]


class SyncGridOp(TL.Operation, name="sync_grid"):
    """Barrier over all CTAs of a cooperative launch."""


class ShuffleOp(TL.Operation, name="shuffle"):
    """Reads another lane's value: `(value, lane)`, `kind` xor, up, down or idx, `width` lanes per group."""

    value: ext.Operand[Any]
    lane: ext.Operand[Any]
    kind: Any
    width: Any
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        if not enum_attr(self, "kind", ("xor", "up", "down", "idx")):
            return False
        width = self.operation.attributes["width"].value
        if width < 1 or width > 64 or width & (width - 1):
            return fail(self, f"attribute 'width' is {width}, expected a power of two up to 64")
        return True


class VoteOp(TL.Operation, name="vote"):
    """Combines a predicate over a warp (any, all, ballot) or a CTA (count, and, or); `activemask` takes none."""

    args: Sequence[ext.Operand[Any]]
    kind: Any
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        kinds = ("any", "all", "ballot", "activemask", "block_count", "block_and", "block_or", "match_any", "match_all")
        return enum_attr(self, "kind", kinds)


class WarpReduceOp(TL.Operation, name="warp_reduce"):
    """Reduces a scalar over the lanes of a warp; every lane gets the result. `kind` is sum, max, min, umax, umin, and, or."""

    value: ext.Operand[Any]
    kind: Any
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        return enum_attr(self, "kind", ("sum", "max", "min", "umax", "umin", "and", "or"))


class MbarrierArriveOp(TL.Operation, name="mbarrier_arrive"):
    """Arrives at barrier `index` of an array: `(barrier, index[, cta])`; `expect` (optional) adds transaction bytes."""

    barrier: ext.Operand[Any]
    index: ext.Operand[Any]
    cta: Sequence[ext.Operand[Any]]


class MbarrierExpectOp(TL.Operation, name="mbarrier_expect"):
    """Announces transaction bytes without arriving: `(barrier, index, bytes)`."""

    barrier: ext.Operand[Any]
    index: ext.Operand[Any]
    bytes: ext.Operand[Any]


class MbarrierWaitOp(TL.Operation, name="mbarrier_wait"):
    """Blocks until the phase with the given parity is complete: `(barrier, index, parity)`."""

    barrier: ext.Operand[Any]
    index: ext.Operand[Any]
    parity: ext.Operand[Any]
