"""Emission of thread-program operations with folding, shared constants and common subexpressions.

Integer operands are Python ints where known, so address arithmetic folds while it is built. Pure operations are
remembered per region: asking again for the same one inside it returns the first value.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Hashable, Sequence
from typing import Any, TypeVar

from tilelang_mlir.mlir import ir

_T = TypeVar("_T")


class Emitter:
    """Builds operations at the current insertion point of one function."""

    def __init__(self, entry: ir.Block) -> None:
        self.entry = entry
        self._constants: dict[tuple[ir.Type, object], ir.Value] = {}
        self._known: dict[Hashable, Any] = {}
        self._added: list[list[Hashable]] = [[]]  # by open scope: what is known since it was opened
        self._elements: dict[ir.Value, Sequence[ir.Value]] = {}
        self._positions: dict[int, dict[str, ir.Attribute]] = {}  # attributes of extractions
        self._strides: dict[tuple[int, ir.Type], dict[str, ir.Attribute]] = {}
        self.i1 = ir.IntegerType.get_signless(1)
        self.i8 = ir.IntegerType.get_signless(8)
        self.i16 = ir.IntegerType.get_signless(16)
        self.i32 = ir.IntegerType.get_signless(32)
        self.i64 = ir.IntegerType.get_signless(64)
        self.f32 = ir.F32Type.get()
        self.shared_ptr = ir.Type.parse("!llvm.ptr<3>")
        self.global_ptr = ir.Type.parse("!llvm.ptr<1>")
        self.private_ptr = ir.Type.parse("!llvm.ptr")
        self.contract = ir.Attribute.parse("#arith.fastmath<contract>")

    # -- basic building ---------------------------------------------------------------------------------------------
    @contextlib.contextmanager
    def scope(self, block: ir.Block) -> Generator[None]:
        """Emit at the end of a block; what is remembered inside is forgotten after."""
        self._added.append([])
        try:
            with ir.InsertionPoint(block):
                yield
        finally:
            for key in self._added.pop():
                del self._known[key]

    def op(
        self,
        name: str,
        results: Sequence[ir.Type] = (),
        operands: Sequence[ir.Value] = (),
        attributes: dict[str, ir.Attribute] | None = None,
        regions: int = 0,
    ) -> ir.Operation:
        return ir.Operation.create(name, results, operands, attributes, regions=regions)

    def pure(
        self,
        name: str,
        result: ir.Type,
        operands: Sequence[ir.Value],
        attributes: dict[str, ir.Attribute] | None = None,
    ) -> ir.Value:
        """A side-effect free operation with one result, built once per enclosing region."""
        key = (name, result, *operands, *attributes.items()) if attributes else (name, result, *operands)
        if (known := self._known.get(key)) is not None:
            return known
        return self._remember(key, self.op(name, [result], operands, attributes).result)

    def once(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """What `make` gives, asked for once per enclosing region: for what is made of pure operations alone."""
        if (known := self._known.get(key)) is not None:
            return known
        return self._remember(key, make())

    def _remember(self, key: Hashable, value: _T) -> _T:
        """Keep a value until the innermost scope ends."""
        self._known[key] = value
        self._added[-1].append(key)
        return value

    def constant(self, kind: ir.Type, value: int | float) -> ir.Value:
        """A scalar constant, placed at the start of the function."""
        key = (kind, value if not isinstance(value, float) else repr(value))
        if (known := self._constants.get(key)) is not None:
            return known
        attr = _number(kind, value)
        with ir.InsertionPoint.at_block_begin(self.entry), ir.Location.unknown():
            made = self._constants[key] = self.op("arith.constant", [kind], attributes={"value": attr}).result
        return made

    def splat(self, kind: ir.Type, value: int | float) -> ir.Value:
        """A constant of a scalar or vector type with all elements equal."""
        if not isinstance(kind, ir.VectorType):
            return self.constant(kind, value)
        key = (kind, repr(value))
        if key not in self._constants:
            element = kind.element_type
            attr = ir.DenseElementsAttr.get_splat(kind, _number(element, value))
            with ir.InsertionPoint.at_block_begin(self.entry), ir.Location.unknown():
                self._constants[key] = self.op("arith.constant", [kind], attributes={"value": attr}).result
        return self._constants[key]

    def numbers(self, element: ir.Type, values: Sequence[int]) -> ir.Value:
        """A constant vector of integers."""
        kind = self.vector_type(len(values), element)
        lanes = ir.DenseElementsAttr.get([_number(element, number) for number in values], kind)
        return self.pure("arith.constant", kind, [], {"value": lanes})

    def value(self, x: int | ir.Value, kind: ir.Type | None = None) -> ir.Value:
        """An SSA value of an int-like operand (i32 unless said otherwise)."""
        if isinstance(x, int):
            return self.constant(kind or self.i32, x)
        return x

    # -- integer arithmetic with folding -------------------------------------------------------------------------------
    def binary(self, name: str, a: int | ir.Value, b: int | ir.Value) -> ir.Value:
        """`arith.NAME` without folding; numbers take the type of the other side."""
        if (known := self._known.get((name, a, b))) is not None:
            return known
        kind = a.type if not isinstance(a, int) else b.type if not isinstance(b, int) else self.i32
        made = self.pure(f"arith.{name}", kind, [self.value(a, kind), self.value(b, kind)])
        return self._remember((name, a, b), made)

    def add(self, a: int | ir.Value, b: int | ir.Value) -> int | ir.Value:
        if isinstance(a, int) and isinstance(b, int):
            return a + b
        if isinstance(a, int):
            a, b = b, a
        return a if isinstance(b, int) and b == 0 else self.binary("addi", a, b)

    def sub(self, a: int | ir.Value, b: int | ir.Value) -> int | ir.Value:
        if isinstance(b, int):
            return self.add(a, -b)
        return self.binary("subi", a, b)

    def mul(self, a: int | ir.Value, b: int | ir.Value) -> int | ir.Value:
        if isinstance(a, int) and isinstance(b, int):
            return a * b
        if isinstance(a, int):
            a, b = b, a
        if isinstance(b, int):
            if b in (0, 1):
                return 0 if b == 0 else a
            if b > 0 and b & (b - 1) == 0:
                return self.binary("shli", a, b.bit_length() - 1)
        return self.binary("muli", a, b)

    def div(self, a: int | ir.Value, b: int) -> int | ir.Value:
        """a // b for a known not to be negative."""
        if isinstance(a, int):
            return a // b
        if b == 1:
            return a
        return self.binary("shrui", a, b.bit_length() - 1) if b & (b - 1) == 0 else self.binary("divui", a, b)

    def rem(self, a: int | ir.Value, b: int) -> int | ir.Value:
        """a % b for a known not to be negative."""
        if isinstance(a, int):
            return a % b
        if b == 1:
            return 0
        return self.binary("andi", a, b - 1) if b & (b - 1) == 0 else self.binary("remui", a, b)

    def xor(self, a: int | ir.Value, b: int | ir.Value) -> int | ir.Value:
        if isinstance(a, int) and isinstance(b, int):
            return a ^ b
        if isinstance(b, int) and b == 0:
            return a
        return self.binary("xori", a, b)

    def compare(self, predicate: str, a: int | ir.Value, b: int | ir.Value) -> ir.Value:
        """`arith.cmpi`; predicates as in MLIR (eq, ne, slt, sle, sgt, sge, ult, ule, ugt, uge)."""
        kind = a.type if not isinstance(a, int) else b.type if not isinstance(b, int) else self.i32
        code = ("eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge").index(predicate)
        attrs = {"predicate": ir.IntegerAttr.get(self.i64, code)}
        return self.pure("arith.cmpi", self.i1, [self.value(a, kind), self.value(b, kind)], attrs)

    def both(self, a: ir.Value | None, b: ir.Value | None) -> ir.Value | None:
        """Conjunction of predicates, None being true."""
        if a is None or b is None:
            return a if b is None else b
        return self.pure("arith.andi", self.i1, [a, b])

    def extend(self, a: int | ir.Value) -> int | ir.Value:
        """Sign-extend an i32 to i64."""
        if isinstance(a, int) or a.type == self.i64:
            return a
        return self.pure("arith.extsi", self.i64, [a])

    # -- pointers and vectors ------------------------------------------------------------------------------------------
    def gep(self, pointer: ir.Value, offset: int | ir.Value, element: ir.Type) -> ir.Value:
        """pointer + offset elements."""
        if isinstance(offset, int):
            if offset == 0:
                return pointer
            if -(2**31) < offset < 2**31:
                return self.pure("llvm.getelementptr", pointer.type, [pointer], self._steps(offset, element))
            offset = self.constant(self.i64, offset)
        if (known := self._known.get(("gep", pointer, offset, element))) is not None:
            return known
        made = self.pure("llvm.getelementptr", pointer.type, [pointer, offset], self._steps(-(2**31), element))
        return self._remember(("gep", pointer, offset, element), made)

    def _steps(self, offset: int, element: ir.Type) -> dict[str, ir.Attribute]:
        """The attributes of an address `offset` elements further on; the least number stands for an operand."""
        if (known := self._strides.get((offset, element))) is None:
            known = self._strides[offset, element] = {
                "rawConstantIndices": ir.DenseI32ArrayAttr.get([offset]), "elem_type": ir.TypeAttr.get(element)
            }  # fmt: skip
        return known

    def load(self, pointer: ir.Value, kind: ir.Type, align: int) -> ir.Value:
        return self.op("llvm.load", [kind], [pointer], {"alignment": ir.IntegerAttr.get(self.i64, align)}).result

    def store(self, value: ir.Value, pointer: ir.Value, align: int) -> None:
        self.op("llvm.store", [], [value, pointer], {"alignment": ir.IntegerAttr.get(self.i64, align)})

    def vector_type(self, width: int, element: ir.Type) -> ir.Type:
        return ir.VectorType.get([width], element)

    def broadcast(self, value: ir.Value, width: int) -> ir.Value:
        return self.pure("vector.broadcast", self.vector_type(width, value.type), [value])

    def extract(self, vector: ir.Value, index: int) -> ir.Value:
        """One element of a vector; a scalar is its own only element."""
        if (elements := self._elements.get(vector)) is not None:
            return elements[index]
        if (known := self._known.get(("extract", vector, index))) is not None:
            return known
        kind = vector.type
        if not isinstance(kind, ir.VectorType):
            return vector
        if (position := self._positions.get(index)) is None:
            position = self._positions[index] = {"static_position": ir.DenseI64ArrayAttr.get([index])}
        made = self.op("vector.extract", [kind.element_type], [vector], position).result
        return self._remember(("extract", vector, index), made)

    def pack(self, elements: Sequence[ir.Value]) -> ir.Value:
        """A vector of scalars; one scalar stays a scalar."""
        if len(elements) == 1:
            return elements[0]
        value = self.pure("vector.from_elements", self.vector_type(len(elements), elements[0].type), elements)
        self._elements[value] = tuple(elements)
        return value

    def shuffle(self, a: ir.Value, b: ir.Value, mask: Sequence[int]) -> ir.Value:
        """Elements of the concatenation of two vectors of one type."""
        if len(mask) == 1:
            width = a.type.shape[0]
            return self.extract(a if mask[0] < width else b, mask[0] % width)
        if list(mask) == list(range(a.type.shape[0])):
            return a
        kind = self.vector_type(len(mask), a.type.element_type)
        return self.pure("vector.shuffle", kind, [a, b], {"mask": ir.DenseI64ArrayAttr.get(list(mask))})

    def gather(self, sources: Sequence[tuple[ir.Value, int]]) -> ir.Value:
        """A vector from (vector, element) pairs: a register itself, a shuffle of two, or element by element."""
        vectors = list(dict.fromkeys(v for v, _ in sources))
        first = vectors[0]
        if len(sources) == 1:
            return self.extract(first, sources[0][1])
        if len(vectors) <= 2 and all(isinstance(v.type, ir.VectorType) and v.type == first.type for v in vectors):
            width = first.type.shape[0]
            return self.shuffle(first, vectors[-1], [i if v == first else i + width for v, i in sources])
        if len(vectors) == 1:
            return self.broadcast(first, len(sources))
        return self.pack([self.extract(v, i) for v, i in sources])

    def if_then_else(self, condition: ir.Value, kinds: Sequence[ir.Type]) -> ir.Operation:
        """An `scf.if` with both blocks, to be filled with `scope`."""
        op = self.op("scf.if", kinds, [condition], regions=2)
        op.regions[0].blocks.append()
        op.regions[1].blocks.append()
        return op

    def end_region(self, values: Sequence[ir.Value] = ()) -> None:
        self.op("scf.yield", [], values)


def _number(kind: ir.Type, value: int | float) -> ir.Attribute:
    """A constant of a scalar type. What was folded may have left the type's range, where the machine wraps around."""
    if isinstance(value, float):
        return ir.FloatAttr.get(kind, value)
    if isinstance(kind, ir.IntegerType):
        half = 1 << kind.width - 1
        if not -half <= value < 2 * half:
            value = (value + half) % (2 * half) - half
    return ir.IntegerAttr.get(kind, value)
