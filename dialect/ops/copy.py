"""Moving tiles."""

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.mlir import dialect, ir

from ..tl import FRAGMENT, GLOBAL, LOCAL, SHARED, TL, scope_of
from ..verify import buffers, enum_attr, fail, same_element, same_tile, structure, tile_shape, typed

ext = dialect("ext")


class CopyOp(TL.Operation, name="copy"):
    """Copies a tile; shapes agree up to unit dimensions, elements are converted when the types differ.

    Optional attributes: `async` (unit: goes into the current group, see `tl.commit_group`), `ordered` (unit: the
    program's own barriers order an asynchronous copy after earlier accesses), `unsigned` (unit: integer elements
    convert as unsigned), `coalesced_width` (elements per access), `prefer` ("tma", "cp_async", "sync"), `disable_tma`
    (unit), `eviction` ("evict_normal", "evict_first", "evict_last"), `loop_layout` (`#tl.fragment`).
    An asynchronous copy may have a third operand (i1): where it is false nothing is read and the target becomes zero.
    """

    source: ext.Operand[Any]
    target: ext.Operand[Any]
    when: Sequence[ext.Operand[Any]]

    @structure((2, 3), attributes={
        "?async": "a unit attribute", "?ordered": "a unit attribute", "?coalesced_width": "an integer",
    })  # fmt: skip
    def verify_invariants(self) -> bool:
        source, target, *when = self.operation.operands
        if when and not typed(self, when[0], "i1", "the condition"):
            return False
        if when and "async" not in self.operation.attributes:
            return fail(self, "only asynchronous copies have a condition")
        if not (buffers(self, [source, target]) and same_tile(self, source, target)):
            return False
        if "async" in self.operation.attributes and (scope_of(source), scope_of(target)) != (GLOBAL, SHARED):
            way = f"{scope_of(source)} to {scope_of(target)}"
            return fail(self, f"asynchronous copies go from global to shared, not {way}")
        eviction = ("evict_normal", "evict_first", "evict_last")
        return enum_attr(self, "prefer", ("tma", "cp_async", "sync"), optional=True) and enum_attr(
            self, "eviction", eviction, optional=True
        )


class FillOp(TL.Operation, name="fill"):
    """Sets every element of a tile to a value of its element type."""

    target: ext.Operand[Any]
    value: ext.Operand[Any]

    @structure(2)
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

    @structure(2)
    def verify_invariants(self) -> bool:
        source, target = self.operation.operands
        if not buffers(self, [source, target], (SHARED, FRAGMENT, LOCAL, GLOBAL)):
            return False
        if (rank := len(tile_shape(source))) > 2:
            return fail(self, f"expects two-dimensional tiles, got {rank} dimensions")
        if tile_shape(source) != tile_shape(target)[::-1]:
            return fail(self, f"expects transposed shapes, got {tile_shape(source)} and {tile_shape(target)}")
        return same_element(self, source, target, "source and target")


class CommitGroupOp(TL.Operation, name="commit_group"):
    """Closes the current group of asynchronous copies of the calling thread (PTX ISA, cp.async.commit_group)."""

    @structure(0)
    def verify_invariants(self) -> bool:
        return True


class WaitGroupOp(TL.Operation, name="wait_group"):
    """Waits until at most `pending` groups of asynchronous copies are unfinished (PTX ISA, cp.async.wait_group)."""

    pending: Any

    @structure(0, attributes={"pending": "an integer"})
    def verify_invariants(self) -> bool:
        pending = self.operation.attributes["pending"].value
        return pending >= 0 or fail(self, f"attribute 'pending' is {pending}, expected 0 or more")
