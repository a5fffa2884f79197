"""Moving tiles."""

from typing import Any

from tilelang_mlir.mlir import dialect, ir

from ..tl import FRAGMENT, GLOBAL, LOCAL, SHARED, TL
from ..verify import buffers, fail, same_tile, tile_shape

ext = dialect("ext")


class CopyOp(TL.Operation, name="copy"):
    """Copies a tile; shapes agree up to unit dimensions, elements are converted when the types differ.

    Optional attributes: `async` (unit: goes into the current group, see `tl.commit_group`), `unsigned` (unit: integer
    elements convert as unsigned), `coalesced_width` (elements per access), `prefer` ("tma", "cp_async", "sync"),
    `disable_tma` (unit), `eviction` ("evict_normal", "evict_first", "evict_last"), `loop_layout` (`#tl.fragment`).
    """

    source: ext.Operand[Any]
    target: ext.Operand[Any]

    def verify_invariants(self) -> bool:
        source, target = self.operation.operands
        if not buffers(self, [source, target]):
            return False
        return same_tile(self, source, target)


class FillOp(TL.Operation, name="fill"):
    """Sets every element of a tile to a value of its element type."""

    target: ext.Operand[Any]
    value: ext.Operand[Any]

    def verify_invariants(self) -> bool:
        target, value = self.operation.operands
        if not buffers(self, [target]):
            return False
        element = ir.MemRefType(target.type).element_type
        return value.type == element or fail(self, f"fills a buffer of {element} with a value of {value.type}")


class TransposeOp(TL.Operation, name="transpose"):
    """Writes the transpose of a two-dimensional tile."""

    source: ext.Operand[Any]
    target: ext.Operand[Any]

    def verify_invariants(self) -> bool:
        source, target = self.operation.operands
        if not buffers(self, [source, target], (SHARED, FRAGMENT, LOCAL, GLOBAL)):
            return False
        if tile_shape(source) != tile_shape(target)[::-1]:
            return fail(self, f"expects transposed shapes, got {tile_shape(source)} and {tile_shape(target)}")
        return True


class CommitGroupOp(TL.Operation, name="commit_group"):
    """Closes the current group of asynchronous copies of the calling thread (PTX ISA, cp.async.commit_group)."""


class WaitGroupOp(TL.Operation, name="wait_group"):
    """Waits until at most `pending` groups of asynchronous copies are unfinished (PTX ISA, cp.async.wait_group)."""

    pending: Any

    def verify_invariants(self) -> bool:
        pending = self.operation.attributes["pending"].value
        return pending >= 0 or fail(self, f"attribute 'pending' is {pending}, expected 0 or more")
