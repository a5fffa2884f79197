"""Checks shared by the verifiers. Each emits a located diagnostic and returns False, or returns True."""

from __future__ import annotations

from collections.abc import Sequence

from tilelang_mlir.mlir import ir

from .tl import SCOPES, scope_of


def fail(op: ir.OpView, message: str) -> bool:
    """Report `message` at the op, prefixed with its name in the manner of MLIR, and return False."""
    op.location.emit_error(f"'{op.operation.name}' op {message}")
    return False


def has_attr(op: ir.OpView, name: str) -> bool:
    return name in op.attributes


def enum_attr(op: ir.OpView, name: str, allowed: Sequence[str], *, optional: bool = False) -> bool:
    """The attribute is one of the allowed strings."""
    if name not in op.attributes:
        return optional or fail(op, f"requires attribute '{name}', one of {', '.join(allowed)}")
    value = op.attributes[name]
    text = value.value if isinstance(value, ir.StringAttr) else str(value)
    return text in allowed or fail(op, f"attribute '{name}' is {text!r}, expected one of {', '.join(allowed)}")


def buffers(op: ir.OpView, values: Sequence[ir.Value], scopes: Sequence[str] = SCOPES) -> bool:
    """Every value is a buffer in one of the scopes."""
    for index, value in enumerate(values):
        if not isinstance(value.type, ir.MemRefType):
            return fail(op, f"operand #{index} must be a buffer, got {value.type}")
        if scope_of(value) not in scopes:
            return fail(op, f"operand #{index} is in scope {scope_of(value)!r}, expected {' or '.join(scopes)}")
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
    for value in values:
        if not isinstance(value.type, ir.IntegerType | ir.IndexType):
            return fail(op, f"expects integer operands, got {value.type}")
    return True
