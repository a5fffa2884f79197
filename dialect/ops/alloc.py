"""Buffers: tensors in device memory, allocations on chip, and views of either."""

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.mlir import dialect, ir

from ..tl import FRAGMENT, GLOBAL, SHARED, TL, TMEM, VAR, BarrierType, scope_of
from ..verify import (
    buffers,
    dynamic_strides,
    enum_attr,
    fail,
    int_operands,
    integers,
    same_element,
    shape_of,
    sized,
    structure,
)

ext = dialect("ext")


class TensorOp(TL.Operation, name="tensor", traits=[ext.Pure]):
    """A tensor in device memory: a pointer with a shape and strides.

    `%A = "tl.tensor"(%ptr, %m) {shape = array<i64: -1, 128>, strides = array<i64: 128, 1>}`. Sizes and strides of -1
    take the following operands in order, sizes first; they have one integer type. The result is a memref in scope
    `global`. Strides are in elements. With `view` the pointer's own shape is another one: this is a second look at it.
    """

    ptr: ext.Operand[Any]
    dims: Sequence[ext.Operand[Any]]
    shape: Any
    strides: Any
    tensor: ext.Result[Any]

    @structure((1, None), results=1, attributes={
        "shape": "array<i64>", "strides": "array<i64>", "?view": "a unit attribute",
    })  # fmt: skip
    def verify_invariants(self) -> bool:
        op = self.operation
        shape, strides = list(op.attributes["shape"]), list(op.attributes["strides"])
        if len(shape) != len(strides):
            return fail(self, f"has {len(shape)} sizes but {len(strides)} strides")
        dynamic = shape.count(-1) + strides.count(-1)
        if dynamic != len(op.operands) - 1:
            return fail(self, f"has {dynamic} dynamic sizes and strides but {len(op.operands) - 1} operands for them")
        if not str(op.operands[0].type).startswith("!llvm.ptr"):
            return fail(self, f"operand #0 must be a pointer, got {op.operands[0].type}")
        if not (int_operands(self, list(op.operands)[1:]) and buffers(self, op.results, (GLOBAL,), "result")):
            return False
        return sized(self, shape, strides)


class AllocOp(TL.Operation, name="alloc"):
    """Allocates a buffer; the result type gives shape, element type and scope.

    Scope `global` is a workspace that the host allocates per call; its dynamic sizes are the operands, in order.
    Optional attributes: `layout` (a `#tl.fragment` or `#tl.smem`), `init` (initial value of a `var`), `safe_value`
    (what an out-of-bounds element reads as).
    """

    dims: Sequence[ext.Operand[Any]]
    buffer: ext.Result[Any]

    @structure((0, None), results=1)
    def verify_invariants(self) -> bool:
        op = self.operation
        result = op.results[0]
        if not (buffers(self, [result], what="result") and int_operands(self, op.operands)):
            return False
        scope, shape = scope_of(result), shape_of(result.type)
        if -1 in shape and scope != GLOBAL:
            return fail(self, f"on-chip buffers have static shapes, got {shape}")
        if shape.count(-1) != len(op.operands):
            return fail(self, f"has {shape.count(-1)} dynamic sizes but {len(op.operands)} operands for them")
        if "init" in op.attributes and scope != VAR:
            return fail(self, f"attribute 'init' is for scope 'var', not {scope!r}")
        expected = {FRAGMENT: "fragment", SHARED: "smem", TMEM: "tmem"}.get(scope)
        if "layout" in op.attributes and not str(op.attributes["layout"]).startswith(f"#tl.{expected}<"):
            wanted = f"#tl.{expected}<...>" if expected else "none"
            return fail(self, f"has layout {op.attributes['layout']} in scope {scope!r}, expected {wanted}")
        if scope == VAR and shape not in ([], [1]):
            return fail(self, f"a buffer in scope 'var' is one element, got shape {shape}")
        if scope == TMEM and len(shape) < 2:
            return fail(self, f"a buffer in scope 'tmem' has at least two dimensions, got shape {shape}")
        return True


class AllocBarrierOp(TL.Operation, name="alloc_barrier"):
    """Allocates mbarriers in shared memory and initialises each with its arrival count.

    `counts` gives one arrival count per barrier; `cluster` (optional unit attribute) makes them visible to the cluster.
    """

    counts: Any
    barrier: ext.Result[Any]

    @structure(0, results=1, attributes={"counts": "an array of integers", "?cluster": "a unit attribute"})
    def verify_invariants(self) -> bool:
        counts = list(self.operation.attributes["counts"])
        if not counts or min(counts) < 1:
            return fail(self, f"needs positive arrival counts, got {counts}")
        kind = self.operation.results[0].type
        if not isinstance(kind, BarrierType):
            return fail(self, f"result must be a !tl.barrier, got {kind}")
        size = kind.count.maybe_downcast().value
        return size == len(counts) or fail(self, f"has {len(counts)} arrival counts for {size} barriers")


class AllocReducerOp(TL.Operation, name="alloc_reducer"):
    """Allocates a reduction accumulator: partial values per thread until `tl.finalize_reducer` combines them.

    `kind` is sum, max, min, and, or, xor. The result is a memref in scope `fragment`.
    """

    kind: Any
    buffer: ext.Result[Any]

    @structure(0, results=1, attributes={"kind": "a string"})
    def verify_invariants(self) -> bool:
        op = self.operation
        kinds = ("sum", "max", "min", "umax", "umin", "and", "or", "xor")
        if not (enum_attr(self, "kind", kinds) and buffers(self, op.results, (FRAGMENT,), "result")):
            return False
        if -1 in shape_of(op.results[0].type):
            return fail(self, f"on-chip buffers have static shapes, got {shape_of(op.results[0].type)}")
        kind = ir.StringAttr(op.attributes["kind"]).value
        return kind in ("sum", "max", "min") or integers(self, op.results[0], f"a reducer of kind {kind!r}")


class SliceOp(TL.Operation, name="slice", traits=[ext.Pure]):
    """A rectangular region of a buffer, possibly reaching past its edges.

    `%t = "tl.slice"(%A, %i, %j) {sizes = array<i64: 128, 64>}` starts at the offsets (one integer per dimension). A
    size of -1 takes a further operand, in order; all have one type. What lies outside the buffer reads as its safe
    value (zero by default) and is not written. The result type has the sizes and the source's strides with a dynamic
    offset.
    """

    source: ext.Operand[Any]
    offsets: Sequence[ext.Operand[Any]]
    sizes: Any
    tile: ext.Result[Any]

    @structure((1, None), results=1, attributes={"sizes": "array<i64>"})
    def verify_invariants(self) -> bool:
        op = self.operation
        if not (buffers(self, [op.operands[0]]) and buffers(self, op.results, what="result")):
            return False
        rank = ir.MemRefType(op.operands[0].type).rank
        sizes = list(op.attributes["sizes"])
        if len(sizes) != rank:
            return fail(self, f"has {len(sizes)} sizes for a buffer of rank {rank}")
        expected = 1 + rank + sizes.count(-1)
        if len(op.operands) != expected:
            wanted = f"{expected} operands (buffer, {rank} offsets, dynamic sizes)"
            return fail(self, f"expects {wanted}, got {len(op.operands)}")
        if shape_of(op.results[0].type) != sizes:
            return fail(self, f"sizes {sizes} do not match the result's shape {shape_of(op.results[0].type)}")
        return int_operands(self, list(op.operands)[1:]) and self._same_memory()

    def _same_memory(self) -> bool:
        """The result is a window on the source: same scope, element type and strides."""
        source, tile = self.operation.operands[0], self.operation.results[0]
        if scope_of(source) != scope_of(tile):
            return fail(self, f"changes the scope from {scope_of(source)!r} to {scope_of(tile)!r}")
        if not same_element(self, source, tile, "source and result"):
            return False
        have, want = (dynamic_strides(ir.MemRefType(value.type)) for value in (tile, source))
        return have == want or fail(self, f"has strides {have}, expected the source's {want}")


class ReshapeOp(TL.Operation, name="reshape", traits=[ext.Pure]):
    """The same memory under another shape or element type; the number of bits must agree.

    A dimension of the result that is dynamic takes an operand, in order: `"tl.reshape"(%A, %n)`; all have one type.
    """

    source: ext.Operand[Any]
    sizes: Sequence[ext.Operand[Any]]
    view: ext.Result[Any]

    @structure((1, None), results=1)
    def verify_invariants(self) -> bool:
        source, view = self.operation.operands[0], self.operation.results[0]
        if not (buffers(self, [source]) and buffers(self, [view], what="result")):
            return False
        if scope_of(source) != scope_of(view):
            return fail(self, f"changes the scope from {scope_of(source)!r} to {scope_of(view)!r}")
        bits = [_bits(v.type) for v in (source, view)]
        if None not in bits and bits[0] != bits[1]:
            return fail(self, f"has {bits[0]} bits in the source and {bits[1]} in the result")
        sizes = list(self.operation.operands)[1:]
        dynamic = shape_of(view.type).count(-1)
        if len(sizes) != dynamic:
            return fail(self, f"expects a size for each of {dynamic} dynamic dimensions, got {len(sizes)}")
        return int_operands(self, sizes)


def _bits(kind: ir.MemRefType) -> int | None:
    shape = shape_of(kind)
    if -1 in shape:
        return None
    total = kind.element_type.width
    for size in shape:
        total *= size
    return total

