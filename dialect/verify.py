"""Checks shared by the verifiers. Each emits a located diagnostic and returns False, or returns True."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tilelang_mlir.mlir import ir

from .products import elements_of, packed_operands, tile_shape_2d
from .tl import SCOPES, BarrierType, ScopeAttr, scope_of

_ATTRIBUTES: dict[str, tuple[type, ...]] = {
    "an integer": (ir.IntegerAttr,),
    "a boolean": (ir.BoolAttr,),
    "a string": (ir.StringAttr,),
    "array<i32>": (ir.DenseI32ArrayAttr,),
    "array<i64>": (ir.DenseI64ArrayAttr,),
    "an array of integers": (ir.DenseI32ArrayAttr, ir.DenseI64ArrayAttr),
    "a unit attribute": (ir.UnitAttr,),
    "a float": (ir.FloatAttr,),
}


def fail(op: ir.OpView, message: str) -> bool:
    """Report `message` at the op, prefixed with its name in the manner of MLIR, and return False."""
    op.location.emit_error(f"'{op.operation.name}' op {message}")
    return False


def structure(
    operands: int | tuple[int, int | None],
    *,
    results: int | tuple[int, int] = 0,
    regions: int = 0,
    attributes: Mapping[str, str] | None = None,
) -> Callable[[Callable[[Any], bool]], Callable[[Any], bool]]:
    """Decorates a verifier: counts and attribute kinds are checked first, so the verifier proper may rely on them.

    The bindings run an op's own verifier before the declared structure is checked, and report missing attributes
    without a location. Counts are exact or (least, most); `attributes` maps names to a kind ("an integer", ...), with a
    leading "?" on the name where the attribute is optional.
    """

    def decorate(verify: Callable[[Any], bool]) -> Callable[[Any], bool]:
        @functools.wraps(verify)
        def verify_invariants(self: Any) -> bool:
            op = self.operation
            counted = (
                _count(self, "operands", len(op.operands), operands)
                and _count(self, "results", len(op.results), results)
                and _count(self, "regions", len(op.regions), regions)
            )
            return counted and _attributes(self, attributes or {}) and verify(self)

        return verify_invariants

    return decorate


def _count(op: ir.OpView, what: str, got: int, expected: int | tuple[int, int | None]) -> bool:
    least, most = (expected, expected) if isinstance(expected, int) else expected
    if least <= got and (most is None or got <= most):
        return True
    text = f"{least}" if least == most else f"{least} or more" if most is None else f"{least} to {most}"
    return fail(op, f"expects {text} {what}, got {got}")


def _attributes(op: ir.OpView, kinds: Mapping[str, str]) -> bool:
    present = op.operation.attributes
    for key, kind in kinds.items():
        name = key.removeprefix("?")
        if name not in present:
            if name == key:
                return fail(op, f"requires attribute '{name}'")
        elif not isinstance(present[name], _ATTRIBUTES[kind]):
            return fail(op, f"attribute '{name}' must be {kind}, got {present[name]}")
    return True


def enum_attr(op: ir.OpView, name: str, allowed: Sequence[str], *, optional: bool = False) -> bool:
    """The attribute is one of the allowed strings."""
    if name not in op.attributes:
        return optional or fail(op, f"requires attribute '{name}', one of {', '.join(allowed)}")
    value = op.attributes[name]
    text = value.value if isinstance(value, ir.StringAttr) else str(value)
    return text in allowed or fail(op, f"attribute '{name}' is {text!r}, expected one of {', '.join(allowed)}")


def buffers(
    op: ir.OpView, values: Sequence[ir.Value], scopes: Sequence[str] = SCOPES, what: str = "operand", first: int = 0
) -> bool:
    """Every value is a buffer in one of the scopes. Messages call them `what`, counted from `first`."""
    for index, value in enumerate(values, first):
        if not isinstance(value.type, ir.MemRefType):
            return fail(op, f"{what} #{index} must be a buffer, got {value.type}")
        space = value.type.memory_space
        if space is not None and not isinstance(space.maybe_downcast(), ScopeAttr):
            return fail(op, f"{what} #{index} has memory space {space}, expected #tl.scope<...>")
        if scope_of(value) not in scopes:
            return fail(op, f"{what} #{index} is in scope {scope_of(value)!r}, expected {' or '.join(scopes)}")
    return True


def tile_shape(value: ir.Value) -> list[int]:
    """Shape with the unit dimensions dropped: tiles match from the right regardless of unit dims. -1 is dynamic."""
    kind = ir.MemRefType(value.type)
    return [size for size in shape_of(kind) if size != 1]


def shape_of(kind: ir.MemRefType) -> list[int]:
    """Static sizes, -1 where dynamic."""
    return [-1 if kind.is_dynamic_dim(i) else kind.get_dim_size(i) for i in range(kind.rank)]


def same_tile(op: ir.OpView, a: ir.Value, b: ir.Value, what: str = "source and destination") -> bool:
    """Two tiles have the same shape up to unit dims; dynamic sizes match anything."""
    left, right = tile_shape(a), tile_shape(b)
    same = len(left) == len(right) and all(x == y or -1 in (x, y) for x, y in zip(left, right, strict=True))
    return same or fail(op, f"{what} differ in shape: {shape_of(a.type)} and {shape_of(b.type)}")


def int_operands(op: ir.OpView, values: Sequence[ir.Value]) -> bool:
    """Every value is an integer or an index."""
    for value in values:
        if not isinstance(value.type, ir.IntegerType | ir.IndexType):
            return fail(op, f"expects integer operands, got {value.type}")
    return True


def index_operands(op: ir.OpView, values: Sequence[ir.Value]) -> bool:
    """Every value has type index, as the indices of memref.load do."""
    for value in values:
        if not isinstance(value.type, ir.IndexType):
            return fail(op, f"expects indices of type index, got {value.type}")
    return True


def typed(op: ir.OpView, value: ir.Value, kind: str, what: str) -> bool:
    """The value has the type spelled `kind`."""
    return str(value.type) == kind or fail(op, f"{what} must be {kind}, got {value.type}")


def element_of(value: ir.Value) -> ir.Type:
    """Element type of a buffer."""
    return ir.MemRefType(value.type).element_type


def same_element(op: ir.OpView, a: ir.Value, b: ir.Value, what: str) -> bool:
    """Two buffers have one element type."""
    left, right = element_of(a), element_of(b)
    return left == right or fail(op, f"{what} differ in element type: {left} and {right}")


def tiles_2d(op: ir.OpView, values: Sequence[ir.Value]) -> list[tuple[int, int]]:
    """Rows and columns of two-dimensional tiles; an empty list where one is none, which is reported."""
    shapes = [shape for shape in map(tile_shape_2d, values) if shape is not None]
    if len(shapes) < len(values):
        fail(op, "operands must be two-dimensional tiles")
        return []
    return shapes


def factors_agree(op: ir.OpView, a: ir.Value, b: ir.Value, c: ir.Value) -> bool:
    """C is as large as op(A) op(B), and A and B have elements of one width, unless both are floats of eight bits and
    fewer (PTX ISA, tcgen05.mma .kind::f8f6f4). In a pair of CTAs each has half of op(B)'s columns and all of C's."""
    tiles = tiles_2d(op, [a, b, c])
    if not tiles:
        return False
    (am, ak), (bn, bk), (m, n) = tiles
    attributes = op.operation.attributes
    if attributes["transpose_a"].value:
        am, ak = ak, am
    if not attributes["transpose_b"].value:
        bn, bk = bk, bn
    packed = packed_operands(op.operation)
    if packed[0] != packed[1]:  # they are counted in different units
        ak, bk = (elements_of(k, kind) for k, kind in zip((ak, bk), packed, strict=True))
    pair = "pair" in attributes
    if (am, bn * (2 if pair else 1)) != (m, n) or ak != bk:
        half = "half of op(B)" if pair else "op(B)"
        return fail(op, f"shapes do not agree: op(A) is {am}x{ak}, {half} is {bk}x{bn}, C is {m}x{n}")
    widths = {element_of(a).width, element_of(b).width}
    if len(widths) > 1 and max(widths) > 8:
        return fail(op, f"A and B differ in element width: {element_of(a)} and {element_of(b)}")
    return True


def same_class(op: ir.OpView, values: Sequence[ir.Value], what: str) -> bool:
    """The buffers hold all integers or all floats."""
    integer = [isinstance(element_of(v), ir.IntegerType) for v in values]
    names = " and ".join(str(element_of(v)) for v in values)
    return all(integer) or not any(integer) or fail(op, f"{what} mix integers and floats: {names}")


def integers(op: ir.OpView, value: ir.Value, what: str) -> bool:
    """The buffer or scalar holds integers."""
    element = element_of(value) if isinstance(value.type, ir.MemRefType) else value.type
    return isinstance(element, ir.IntegerType) or fail(op, f"{what} needs integers, got {element}")


def barrier(op: ir.OpView, value: ir.Value) -> bool:
    """The value is an array of mbarriers."""
    return isinstance(value.type, BarrierType) or fail(op, f"operand #0 must be a !tl.barrier, got {value.type}")


def dynamic_strides(kind: ir.MemRefType) -> list[int]:
    """Strides of a memref type in elements, -1 where dynamic."""
    if 0 in kind.shape and not isinstance(kind.layout, ir.StridedLayoutAttr):
        # MLIR gives the strides over a size of zero as dynamic.
        steps = [1]
        for size in reversed(shape_of(kind)[1:]):
            steps.insert(0, -1 if -1 in (size, steps[0]) else size * steps[0])
        return steps[: kind.rank]
    strides, _ = kind.get_strides_and_offset()
    dynamic = ir.ShapedType.get_dynamic_stride_or_offset()
    return [-1 if stride == dynamic else stride for stride in strides]


def sized(op: ir.OpView, shape: Sequence[int], strides: Sequence[int]) -> bool:
    """The first result's type has these sizes and strides (-1: known at run time)."""
    kind = ir.MemRefType(op.operation.results[0].type)
    if shape_of(kind) != list(shape):
        return fail(op, f"sizes {shape} do not match the result's shape {shape_of(kind)}")
    typed = dynamic_strides(kind)
    if any(have not in (-1, want) for have, want in zip(typed, strides, strict=True)):
        return fail(op, f"strides {strides} do not match the result's strides {typed}")
    return True
