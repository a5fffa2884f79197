"""Guarded accesses to device memory without branches: a lane whose guard fails uses an offset outside of the buffer.

A branch around a load costs a change of the execution mask, ends the scheduler's view, and joins with a register that
other lanes left alone; a select of the offset costs one instruction, and accesses with one guard share it.
"""

from __future__ import annotations

from tilelang_mlir.isa.amd import buffer as isa
from tilelang_mlir.mlir import ir

from ..lowering.buffers import GlobalBuffer, element_bits
from ..lowering.context import Context
from ..lowering.hardware import GuardedAccess

_REACH = 1 << 30  # bytes that the constant part of an offset may add to one outside, or take from it


class Guarded:
    """Buffer accesses of one kernel: a resource per tensor, made where the kernel starts."""

    def __init__(self) -> None:
        self._resources: dict[tuple[ir.Value, int], ir.Value] = {}

    def load(self, ctx: Context, access: GuardedAccess, kind: ir.Type) -> ir.Value | None:
        """The value, zero where the predicate does not hold; None where the access needs a branch."""
        travels = _words(ctx, kind)
        place = None if travels is None or access.buffer.safe_value else self._place(ctx, access)
        if travels is None or place is None:
            return None
        return _reread(ctx, isa.load(*place, travels), kind)

    def store(self, ctx: Context, access: GuardedAccess, value: ir.Value) -> bool:
        """Whether the store was emitted; else it needs a branch."""
        travels = _words(ctx, value.type)
        place = None if travels is None else self._place(ctx, access)
        if travels is None or place is None:
            return False
        isa.store(_reread(ctx, value, travels), *place)
        return True

    def _place(self, ctx: Context, access: GuardedAccess) -> tuple[ir.Value, ir.Value] | None:
        """The resource, and the offset in bytes of an element, or of none; None where 32 bits are too few or the
        tensor's address is made in the kernel."""
        buffer, predicate = access.buffer, access.predicate
        size = element_bits(buffer.element) // 8
        dynamic, constant = access.place
        count = _bytes(buffer, size)
        e = ctx.e
        if not isinstance(constant, int):  # a multiple of a stride that is known at run time
            dynamic, constant = e.add(dynamic, constant), 0
        if count is None or abs(constant * size) >= _REACH or not isinstance(buffer.pointer.owner, ir.Block):
            return None
        inside = e.value(e.mul(dynamic, size))
        chosen = e.pure("arith.select", e.i32, [predicate, inside, e.constant(e.i32, isa.OUTSIDE)])
        return self._resource(ctx, buffer.pointer, count), e.value(e.add(chosen, e.mul(constant, size)))

    def _resource(self, ctx: Context, pointer: ir.Value, count: int) -> ir.Value:
        key = pointer, count
        if key not in self._resources:
            with ir.InsertionPoint.at_block_begin(ctx.e.entry):
                self._resources[key] = isa.resource(pointer, count)
        return self._resources[key]


def _bytes(buffer: GlobalBuffer, size: int) -> int | None:
    """Bytes from a tensor's start to its end, or more, where they are known to be few enough."""
    if buffer.reach is None:
        return isa.MOST_BYTES if buffer.small else None
    negative = any(isinstance(stride, int) and stride < 0 for stride in buffer.strides)
    return None if negative or buffer.reach * size > isa.MOST_BYTES else buffer.reach * size


def _words(ctx: Context, kind: ir.Type) -> ir.Type | None:
    """The integers in which a value of a type travels; None where there are none of its width."""
    e = ctx.e
    count = kind.shape[0] if isinstance(kind, ir.VectorType) else 1
    element = kind.element_type if isinstance(kind, ir.VectorType) else kind
    bits = count * element.width
    if bits in (8, 16, 32):
        return ir.IntegerType.get_signless(bits)
    return e.vector_type(bits // 32, e.i32) if bits in (64, 128) else None


def _reread(ctx: Context, value: ir.Value, kind: ir.Type) -> ir.Value:
    """The bits of a value as another type."""
    if value.type == kind:
        return value
    e = ctx.e
    vectors = isinstance(value.type, ir.VectorType), isinstance(kind, ir.VectorType)
    if not any(vectors):
        return e.pure("arith.bitcast", kind, [value])
    value = value if vectors[0] else e.broadcast(value, 1)
    result = kind if vectors[1] else e.vector_type(1, kind)
    value = e.pure("vector.bitcast", result, [value])
    return value if vectors[1] else e.extract(value, 0)
