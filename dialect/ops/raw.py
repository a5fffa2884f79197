"""Accesses of a fixed number of 32-bit words, whatever the elements are."""

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.mlir import dialect, ir

from ..tl import GLOBAL, LOCAL, SHARED, TL
from ..verify import buffers, fail, same_element, structure, typed

ext = dialect("ext")

WORDS = (1, 2, 4, 8)


class LoadWordsOp(TL.Operation, name="load_words"):
    """One load of 1, 2, 4 or 8 words from an element on: `(buffer, predicate, index...)`, the words as i32 results.

    Where the predicate does not hold nothing is read and the words are zero. The address is aligned to the access (in a
    thread's own array to an element), and all of it lies in the buffer.
    """

    buffer: ext.Operand[Any]
    predicate: ext.Operand[Any]
    indices: Sequence[ext.Operand[Any]]
    words: Sequence[ext.Result[Any]]

    @structure((2, None), results=(1, 8))
    def verify_invariants(self) -> bool:
        return _count(self, len(self.operation.results)) and _place(self, 0)


class StoreWordsOp(TL.Operation, name="store_words"):
    """One store of 1, 2, 4 or 8 words (i32): `(buffer, predicate, index..., word...)`; see `tl.load_words`."""

    buffer: ext.Operand[Any]
    predicate: ext.Operand[Any]
    values: Sequence[ext.Operand[Any]]

    @structure((3, None))
    def verify_invariants(self) -> bool:
        count = store_count(self.operation)
        return _count(self, count) and _place(self, count)


class CopyWordsOp(TL.Operation, name="copy_words"):
    """Starts this thread's copy of 4, 8 or 16 bytes: `(source, target, predicate, source index..., target index...)`.

    From global to shared memory, by cp.async; zero where the predicate does not hold.
    """

    source: ext.Operand[Any]
    target: ext.Operand[Any]
    predicate: ext.Operand[Any]
    indices: Sequence[ext.Operand[Any]]

    @structure((3, None), attributes={"bytes": "an integer"})
    def verify_invariants(self) -> bool:
        source, target, predicate, *rest = self.operation.operands
        if not (buffers(self, [source], (GLOBAL,)) and buffers(self, [target], (SHARED,), first=1)):
            return False
        size = ir.IntegerAttr(self.operation.attributes["bytes"]).value
        if size not in (4, 8, 16):
            return fail(self, f"copies {size} bytes, expected 4, 8 or 16")
        ranks = [ir.MemRefType(value.type).rank for value in (source, target)]
        if len(rest) != sum(ranks):
            return fail(self, f"has {len(rest)} indices for buffers of rank {ranks[0]} and {ranks[1]}")
        same = same_element(self, source, target, "source and target") and typed(self, predicate, "i1", "the predicate")
        return same and all(typed(self, value, "i32", "an index") for value in rest)


class SharedAddressOp(TL.Operation, name="shared_address"):
    """The address (i32) of an element in shared memory, `(buffer, index...)`, for descriptors that hardware reads."""

    buffer: ext.Operand[Any]
    indices: Sequence[ext.Operand[Any]]
    address: ext.Result[Any]

    @structure((1, None), results=1)
    def verify_invariants(self) -> bool:
        buffer, *rest = self.operation.operands
        if not buffers(self, [buffer], (SHARED,)):
            return False
        rank = ir.MemRefType(buffer.type).rank
        if len(rest) != rank:
            return fail(self, f"has {len(rest)} indices for a buffer of rank {rank}")
        typed_ = all(typed(self, value, "i32", "an index") for value in rest)
        return typed_ and typed(self, self.operation.results[0], "i32", "the address")


def store_count(op: ir.Operation) -> int:
    """How many words a `tl.store_words` stores."""
    kind = op.operands[0].type
    return len(op.operands) - 2 - (ir.MemRefType(kind).rank if isinstance(kind, ir.MemRefType) else 0)


def _place(op: ir.OpView, words: int) -> bool:
    buffer, predicate, *rest = op.operation.operands
    if not (buffers(op, [buffer], (GLOBAL, SHARED, LOCAL)) and typed(op, predicate, "i1", "the predicate")):
        return False
    rank = ir.MemRefType(buffer.type).rank
    if len(rest) != rank + words:
        return fail(op, f"has {len(rest) - words} indices for a buffer of rank {rank}")
    return all(typed(op, value, "i32", "an index or word") for value in rest)


def _count(op: ir.OpView, count: int) -> bool:
    return count in WORDS or fail(op, f"moves {count} words, expected 1, 2, 4 or 8")
