"""Barriers, shuffles and votes."""

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.mlir import dialect, ir

from ..tl import TL
from ..verify import barrier, enum_attr, fail, int_operands, integers, structure, typed

ext = dialect("ext")


# Vote kinds with the number of operands each takes; match and warp votes take an optional lane mask.
VOTES = {
    "any": (1, 2), "all": (1, 2), "ballot": (1, 2), "activemask": (0, 0), "block_count": (1, 1), "block_and": (1, 1),
    "block_or": (1, 1), "match_any": (1, 2), "match_all": (1, 2),
}  # fmt: skip


class SyncThreadsOp(TL.Operation, name="sync_threads"):
    """CTA-wide barrier, or a named one: optional attributes `id` and `count` (threads that take part). An operand gives
    the number at run time, and `id` is -1 then."""

    number: Sequence[ext.Operand[Any]]

    @structure((0, 1), attributes={"?id": "an integer", "?count": "an integer"})
    def verify_invariants(self) -> bool:
        op = self.operation
        if "count" in op.attributes and "id" not in op.attributes:
            return fail(self, "attribute 'count' needs attribute 'id'")
        if len(op.operands) and ("count" not in op.attributes or ir.IntegerAttr(op.attributes["id"]).value != -1):
            return fail(self, "a barrier numbered by an operand needs attribute 'id' = -1 and attribute 'count'")
        return int_operands(self, op.operands)


class SyncWarpOp(TL.Operation, name="sync_warp"):
    """Warp barrier; the optional operand is the lane mask (all lanes by default)."""

    mask: Sequence[ext.Operand[Any]]

    @structure((0, 1))
    def verify_invariants(self) -> bool:
        return int_operands(self, self.operation.operands)


class SyncGridOp(TL.Operation, name="sync_grid"):
    """Barrier over all CTAs of a cooperative launch."""

    @structure(0)
    def verify_invariants(self) -> bool:
        return True


class ShuffleOp(TL.Operation, name="shuffle"):
    """Reads another lane's value: `(value, lane)`, `kind` xor, up, down or idx, `width` lanes per group.

    The optional third operand is the mask of the lanes that take part (all by default).
    """

    value: ext.Operand[Any]
    lane: ext.Operand[Any]
    members: Sequence[ext.Operand[Any]]
    kind: Any
    width: Any
    result: ext.Result[Any]

    @structure((2, 3), results=1, attributes={"kind": "a string", "width": "an integer"})
    def verify_invariants(self) -> bool:
        if not enum_attr(self, "kind", ("xor", "up", "down", "idx")):
            return False
        width = self.operation.attributes["width"].value
        if width < 1 or width > 64 or width & (width - 1):
            return fail(self, f"attribute 'width' is {width}, expected a power of two up to 64")
        value, *lanes = self.operation.operands
        return int_operands(self, lanes) and typed(self, self.operation.results[0], str(value.type), "result")


class VoteOp(TL.Operation, name="vote"):
    """Combines a predicate over a warp (any, all, ballot) or a CTA (count, and, or); `activemask` takes none.

    Warp votes take a lane mask as an optional second operand; the predicate then has the mask's type.
    """

    args: Sequence[ext.Operand[Any]]
    kind: Any
    result: ext.Result[Any]

    @structure((0, 2), results=1, attributes={"kind": "a string"})
    def verify_invariants(self) -> bool:
        op = self.operation
        if not enum_attr(self, "kind", tuple(VOTES)):
            return False
        kind, count = ir.StringAttr(op.attributes["kind"]).value, len(op.operands)
        least, most = VOTES[kind]
        if not least <= count <= most:
            expected = str(least) if least == most else f"{least} or {most}"
            return fail(self, f"of kind {kind!r} takes {expected} operands, got {count}")
        return int_operands(self, op.operands) and integers(self, op.results[0], "the result")


class WarpReduceOp(TL.Operation, name="warp_reduce"):
    """Reduces a scalar over the lanes of a warp.

    Every lane gets the result. `kind` is sum, max, min, umax, umin, and, or.
    """

    value: ext.Operand[Any]
    kind: Any
    result: ext.Result[Any]

    @structure(1, results=1, attributes={"kind": "a string"})
    def verify_invariants(self) -> bool:
        op = self.operation
        if not enum_attr(self, "kind", ("sum", "max", "min", "umax", "umin", "and", "or")):
            return False
        kind = ir.StringAttr(op.attributes["kind"]).value
        if kind in ("umax", "umin", "and", "or") and not integers(self, op.operands[0], f"kind {kind!r}"):
            return False
        return typed(self, op.results[0], str(op.operands[0].type), "result")


class MbarrierArriveOp(TL.Operation, name="mbarrier_arrive"):
    """Arrives at barrier `index` of an array: `(barrier, index[, cta])`; `expect` (optional) adds transaction bytes.

    With `copies` the arrival comes when the cp.async copies that the thread has started are complete.
    """

    barrier: ext.Operand[Any]
    index: ext.Operand[Any]
    cta: Sequence[ext.Operand[Any]]

    @structure((2, 3), attributes={"?expect": "an integer", "?copies": "a unit attribute"})
    def verify_invariants(self) -> bool:
        return _on_barrier(self)


class MbarrierExpectOp(TL.Operation, name="mbarrier_expect"):
    """Announces transaction bytes without arriving: `(barrier, index, bytes)`."""

    barrier: ext.Operand[Any]
    index: ext.Operand[Any]
    bytes: ext.Operand[Any]

    @structure(3)
    def verify_invariants(self) -> bool:
        return _on_barrier(self)


class MbarrierWaitOp(TL.Operation, name="mbarrier_wait"):
    """Blocks until the phase with the given parity is complete: `(barrier, index, parity)`."""

    barrier: ext.Operand[Any]
    index: ext.Operand[Any]
    parity: ext.Operand[Any]

    @structure(3)
    def verify_invariants(self) -> bool:
        return _on_barrier(self)


class MbarrierMeetOp(TL.Operation, name="mbarrier_meet"):
    """Arrives and blocks until the phase of that arrival is complete, in every thread: `(barrier, index)`."""

    barrier: ext.Operand[Any]
    index: ext.Operand[Any]

    @structure(2)
    def verify_invariants(self) -> bool:
        return _on_barrier(self)


class MbarrierStateOp(TL.Operation, name="mbarrier_state"):
    """Every thread that reaches it arrives, as `tl.mbarrier_arrive` does: `(barrier, index)`.

    The result (i64) says which phase the arrival was in, for `tl.mbarrier_test`.
    """

    barrier: ext.Operand[Any]
    index: ext.Operand[Any]
    state: ext.Result[Any]

    @structure(2, results=1)
    def verify_invariants(self) -> bool:
        return _on_barrier(self) and typed(self, self.operation.results[0], "i64", "the state")


class MbarrierTestOp(TL.Operation, name="mbarrier_test"):
    """Whether a phase is complete, at once: `(barrier, index, phase)`, i1.

    The phase is a parity (i32) or what `tl.mbarrier_state` gave (i64). True orders what follows after the phase's
    arrivals, as a wait does.
    """

    barrier: ext.Operand[Any]
    index: ext.Operand[Any]
    phase: ext.Operand[Any]
    done: ext.Result[Any]

    @structure(3, results=1)
    def verify_invariants(self) -> bool:
        phase = self.operation.operands[2]
        if str(phase.type) not in ("i32", "i64"):
            return fail(self, f"'phase' must be a parity (i32) or a state (i64), got {phase.type}")
        return _on_barrier(self) and typed(self, self.operation.results[0], "i1", "the result")


def _on_barrier(op: ir.OpView) -> bool:
    """Operands are a barrier array and integers."""
    first, *rest = op.operation.operands
    return barrier(op, first) and int_operands(op, rest)
