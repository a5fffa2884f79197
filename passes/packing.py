"""How elements of fewer than eight bits lie in memory: groups of whole bytes, the first element in the lowest bits.

Two of 4 bits take a byte, four of 6 bits three. Registers and a thread's own arrays hold 6-bit floats one in a byte,
since no digit of an index says which bytes of a group an element lies in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tilelang_mlir.isa import numeric
from tilelang_mlir.mlir import ir

from ..dialect.tl import GLOBAL, SHARED, scope_of
from . import build

E2M1, INTEGER = "f4E2M1FN", "i4"
_BITS = {E2M1: 4, INTEGER: 4, "f6E2M3FN": 6, "f6E3M2FN": 6}
FORMATS = {E2M1: "e2m1", "f6E2M3FN": "e2m3", "f6E3M2FN": "e3m2"}
"""The names of small floats in products (`a_packed`), by element type."""


@dataclass(frozen=True)
class Packing:
    """`count` elements of `bits` bits in `bytes` bytes."""

    bits: int
    count: int
    bytes: int

    @property
    def mask(self) -> int:
        """The bits of an element."""
        return (1 << self.bits) - 1

    def size(self, elements: int) -> int:
        """Bytes of a multiple of `count` elements."""
        return elements // self.count * self.bytes


_LOOSE = Packing(6, 1, 1)
_BY_BITS = {4: Packing(4, 2, 1), 6: Packing(6, 4, 3)}


def is_small(kind: ir.Type) -> bool:
    """Whether a scalar or the elements of a buffer have fewer than eight bits, and are no truth values."""
    return str(kind.element_type if isinstance(kind, ir.MemRefType) else kind) in _BITS


def packing_of(buffer: ir.Value) -> Packing:
    """How a buffer of small elements stores them."""
    bits = _BITS[str(ir.MemRefType(buffer.type).element_type)]
    return _BY_BITS[bits] if bits == 4 or scope_of(buffer) in (SHARED, GLOBAL) else _LOOSE


def code_of(value: float, kind: str) -> int:
    """The code of a constant that the format has exactly."""
    values = numeric.FP4_TO_FLOAT if kind == E2M1 else numeric.fp6_to_float(FORMATS[kind])
    return next(c for c, v in enumerate(values) if repr(float(v)) == repr(float(value)))


def byte() -> ir.Type:
    return ir.IntegerType.get_signless(8)


def number(value: int, kind: ir.Type | None = None) -> ir.Value:
    """A constant: a byte, or of another integer type."""
    kind = kind or byte()
    return ir.Operation.create("arith.constant", [kind], attributes={"value": ir.IntegerAttr.get(kind, value)}).result


def bytes_of(codes: Sequence[ir.Value], packing: Packing) -> list[ir.Value]:
    """A group of codes (i8) as its bytes."""
    out: list[ir.Value] = []
    for place in range(packing.bytes):
        parts: list[ir.Value] = []
        for position, code in enumerate(codes):
            shift = packing.bits * position - 8 * place
            if -packing.bits < shift < 8:
                name, amount = ("shli", shift) if shift > 0 else ("shrui", -shift)
                parts.append(build.binary(name, code, number(amount)) if amount else code)
        whole = parts[0]
        for part in parts[1:]:
            whole = build.binary("ori", whole, part)
        out.append(whole)
    return out


def element_of(load: ir.Operation, packing: Packing, place: ir.Value) -> ir.Value:
    """The code of the element at `place` of a row, from the byte or the two bytes that it lies in."""
    *outer, _ = list(load.operands)[1:]
    buffer, kind = load.operands[0], place.type

    def byte_at(position: ir.Value) -> ir.Value:
        operands = [buffer, *outer, build.to_index(position)]
        return ir.Operation.create("memref.load", [byte()], operands).result

    if packing.count == 1:
        return byte_at(place)
    if 8 % packing.bits == 0:
        low = byte_at(build.binary("divui", place, number(packing.count, kind)))
        turn = _as_i32(build.binary("remui", place, number(packing.count, kind)))
        shift = build.binary("muli", turn, build.constant(packing.bits))
        shift = ir.Operation.create("arith.trunci", [byte()], [shift]).result
        return build.binary("andi", build.binary("shrui", low, shift), number(packing.mask))
    first = build.binary("muli", place, number(packing.bits, kind))
    low = byte_at(build.binary("divui", first, number(8, kind)))
    shift = _as_i32(build.binary("remui", first, number(8, kind)))
    last = build.binary("addi", first, number(packing.bits - 1, kind))
    high = byte_at(build.binary("divui", last, number(8, kind)))
    wide = [ir.Operation.create("arith.extui", [build.i32()], [value]).result for value in (low, high)]
    both = build.binary("ori", wide[0], build.binary("shli", wide[1], build.constant(8)))
    code = build.binary("andi", build.binary("shrui", both, shift), build.constant(packing.mask))
    return ir.Operation.create("arith.trunci", [byte()], [code]).result


def _as_i32(value: ir.Value) -> ir.Value:
    if value.type == build.i32():
        return value
    name = "arith.index_cast" if isinstance(value.type, ir.IndexType) else "arith.trunci"
    return ir.Operation.create(name, [build.i32()], [value]).result
