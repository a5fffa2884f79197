"""Kernels and loops over tiles."""

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.mlir import dialect, ir

from ..tl import TL
from ..verify import fail, structure, typed

ext = dialect("ext")


class LaunchOp(TL.Operation, name="launch", traits=[ir.NoTerminatorTrait]):
    """One kernel: the region runs once per CTA of the grid.

    `"tl.launch"(%gx, %gy) ({ ^bb0(%bx: i32, %by: i32): ... }) {threads = array<i32: 128, 1, 1>, name = "main"}`. One to
    three grid operands, as many block arguments. Optional attributes: `cluster` (three sizes), `swizzle` ({panel,
    order}: CTA rasterisation), `min_blocks` (CTAs per multiprocessor asked for), `persistent` (the grid is the
    program's number of CTAs, at most so many, in one dimension), `groups` (of threads that take tiles by turns),
    `entry` (the kernel is that function of the program's device code, and the region is empty).
    """

    grid: Sequence[ext.Operand[Any]]
    threads: Any
    body: ext.Region

    @structure((1, 3), regions=1, attributes={
        "threads": "array<i32>", "?name": "a string", "?cluster": "an array of integers", "?min_blocks": "an integer",
        "?persistent": "an integer", "?groups": "an integer", "?entry": "a string",
    })  # fmt: skip
    def verify_invariants(self) -> bool:
        op = self.operation
        threads = list(op.attributes["threads"])
        if len(threads) != 3 or min(threads) < 1:
            return fail(self, f"expects three positive thread counts, got {threads}")
        if enclosing(op, "tl.launch"):
            return fail(self, "is nested in another tl.launch")
        return all(typed(self, size, "i32", "grid size") for size in op.operands)

    def verify_region_invariants(self) -> bool:
        blocks = list(self.operation.regions[0].blocks)
        if len(blocks) != 1:
            return fail(self, f"expects one block, got {len(blocks)}")
        if len(blocks[0].arguments) != len(self.operation.operands):
            dimensions = len(self.operation.operands)
            return fail(self, f"has {dimensions} grid dimensions but {len(blocks[0].arguments)} block arguments")
        return all(typed(self, argument, "i32", "block argument") for argument in blocks[0].arguments)


class ParallelOp(TL.Operation, name="parallel", traits=[ir.NoTerminatorTrait]):
    """Iterations in no order, spread over the CTA's threads by a loop layout.

    `"tl.parallel"() ({ ^bb0(%i: i32, %j: i32): ... }) {extents = array<i64: 128, 64>}`. Iterations must not depend on
    each other. A dynamic extent is -1 in `extents` and an operand, in order. Optional attributes: `layout`
    (`#tl.fragment` from iterations to threads and registers), `coalesced_width` (elements per access).
    """

    dims: Sequence[ext.Operand[Any]]
    extents: Any
    body: ext.Region

    @structure((0, None), regions=1, attributes={"extents": "array<i64>", "?coalesced_width": "an integer"})
    def verify_invariants(self) -> bool:
        extents = list(self.operation.attributes["extents"])
        if extents.count(-1) != len(self.operation.operands):
            return fail(self, f"has {extents.count(-1)} dynamic extents but {len(self.operation.operands)} operands")
        if any(e < -1 for e in extents):
            return fail(self, f"has a negative extent in {extents}")
        if enclosing(self.operation, "tl.parallel"):
            return fail(self, "is nested in another tl.parallel: one loop has all the extents")
        return all(typed(self, size, "i32", "extent") for size in self.operation.operands)

    def verify_region_invariants(self) -> bool:
        blocks = list(self.operation.regions[0].blocks)
        if len(blocks) != 1:
            return fail(self, f"expects one block, got {len(blocks)}")
        block = blocks[0]
        extents = list(self.operation.attributes["extents"])
        if len(block.arguments) != len(extents):
            return fail(self, f"has {len(extents)} extents but {len(block.arguments)} block arguments")
        return all(typed(self, argument, "i32", "block argument") for argument in block.arguments)


class ThreadIdOp(TL.Operation, name="thread_id", traits=[ext.Pure]):
    """Index of the thread in its CTA along `dim` (0, 1, 2), as i32."""

    dim: Any
    index: ext.Result[Any]

    @structure(0, results=1, attributes={"dim": "an integer"})
    def verify_invariants(self) -> bool:
        dim = self.operation.attributes["dim"].value
        if not 0 <= dim <= 2:
            return fail(self, f"attribute 'dim' is {dim}, expected 0 to 2")
        return typed(self, self.operation.results[0], "i32", "result")


def enclosing(op: ir.Operation, name: str) -> bool:
    """Whether an op lies, at any depth, in an op of that name."""
    parent = op.parent
    while parent is not None:
        if parent.operation.name == name:
            return True
        parent = parent.operation.parent
    return False
