"""Copies between CTAs of a cluster, and bulk copies of single threads."""

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.mlir import dialect, ir

from ..tl import GLOBAL, SHARED, TL
from ..verify import barrier, buffers, fail, int_operands, same_element, same_tile, structure, typed

ext = dialect("ext")


class ClusterCopyOp(TL.Operation, name="cluster_copy"):
    """Starts a copy of a shared tile to another CTA of the cluster: `(source, target, barrier, index, rank)`.

    `target` and the barrier's element `index` stand for the same places in the CTA of that rank. The barrier there gets
    one arrival, and whoever waits there may read: one thread announces the bytes and issues bulk copies, or, where
    those cannot copy the tile, all threads store their elements and one of them arrives.
    """

    source: ext.Operand[Any]
    target: ext.Operand[Any]
    barrier: ext.Operand[Any]
    index: ext.Operand[Any]
    rank: ext.Operand[Any]

    @structure(5)
    def verify_invariants(self) -> bool:
        source, target, bar, index, rank = self.operation.operands
        if not (buffers(self, [source, target], (SHARED,)) and barrier(self, bar)):
            return False
        if not int_operands(self, [index, rank]):
            return False
        return same_tile(self, source, target) and same_element(self, source, target, "source and target")


class ClusterStoreOp(TL.Operation, name="cluster_store"):
    """All threads store a shared tile to another CTA of the cluster: `(source, target, rank)`.

    `target` stands for the same place in the CTA of that rank, which the program tells, as by a barrier of the cluster.
    """

    source: ext.Operand[Any]
    target: ext.Operand[Any]
    rank: ext.Operand[Any]

    @structure(3)
    def verify_invariants(self) -> bool:
        source, target, rank = self.operation.operands
        if not (buffers(self, [source, target], (SHARED,)) and int_operands(self, [rank])):
            return False
        return same_tile(self, source, target) and same_element(self, source, target, "source and target")


class PrefetchOp(TL.Operation, name="prefetch"):
    """Brings a device tile into the L2 cache. A hint: nothing where the target or the tensor has no bulk copies."""

    source: ext.Operand[Any]

    @structure(1)
    def verify_invariants(self) -> bool:
        return buffers(self, [self.operation.operands[0]], (GLOBAL,))


class BulkWordsOp(TL.Operation, name="bulk_words"):
    """Starts this thread's bulk copy of `bytes`: `(source, target, barrier, index, source index..., target index...)`.

    From global to shared memory, a positive multiple of 16 bytes, which complete on the barrier; the program announces
    them. Both places are 16-byte aligned.
    """

    source: ext.Operand[Any]
    target: ext.Operand[Any]
    barrier: ext.Operand[Any]
    index: ext.Operand[Any]
    indices: Sequence[ext.Operand[Any]]

    @structure((4, None), attributes={"bytes": "an integer"})
    def verify_invariants(self) -> bool:
        source, target, bar, index, *rest = self.operation.operands
        if not (buffers(self, [source], (GLOBAL,)) and buffers(self, [target], (SHARED,), first=1)):
            return False
        size = ir.IntegerAttr(self.operation.attributes["bytes"]).value
        if size <= 0 or size % 16:
            return fail(self, f"copies {size} bytes, expected a positive multiple of 16")
        ranks = [ir.MemRefType(value.type).rank for value in (source, target)]
        if len(rest) != sum(ranks):
            return fail(self, f"has {len(rest)} indices for buffers of rank {ranks[0]} and {ranks[1]}")
        same = same_element(self, source, target, "source and target") and barrier(self, bar)
        return same and all(typed(self, value, "i32", "an index") for value in (index, *rest))
