"""Single elements of 4-bit tiles, which share bytes: reads take their half, writes come in pairs.

A read of element j is one of byte j // 2, shifted. A write must have its neighbour in the same thread: a loop over an
even number of elements, in the order of the last dimension, runs over pairs and writes whole bytes. Conversions of
floats stay casts, of values that take a byte (`tl.bitcast`).

    parallel (i, j) in 8x32 { Q[i, j] = cast x[i, j] }
    =>
    parallel (i, w) in 8x16 { Q[i, w] = code(x[i, 2 * w]) | code(x[i, 2 * w + 1]) << 4 }
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import ir

from ..dialect.location import python_location
from ..dialect.tl import buffer_type, scope_of
from . import build, raster
from .clone import clone_ops
from .elementwise import uncast
from .expand_tile_ops import convert, region_of
from .layout_inference.subscripts import subscript
from .walk import nested

FLOAT, INTEGER = "f4E2M1FN", "i4"
_MAGNITUDES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # by code (OCP Microscaling Formats, E2M1)


def is_half_byte(kind: ir.Type) -> bool:
    element = kind.element_type if isinstance(kind, ir.MemRefType) else kind
    return str(element) in (FLOAT, INTEGER)


def expand_elements(module: ir.Operation) -> None:
    """Rewrite single elements, conversions and integer products; what is left moves whole tiles.

    Raises:
        UnsupportedError: a write whose neighbour in the byte is not written with it.
    """
    for op in [op for op in nested(module) if op.name in ("tl.copy", "tl.gemm")]:
        if op.name == "tl.copy":
            _expand_conversion(op)
        else:
            _widen_product(op)
    for op in [op for op in nested(module) if op.name == "tl.fill" and is_half_byte(op.operands[0].type)]:
        with ir.InsertionPoint(op), op.location:
            op.operands[1] = _pair(nibble(op.operands[1], op), nibble(op.operands[1], op))
    for op in [op for op in nested(module) if op.name == "tl.cast" and is_half_byte(op.operands[0].type)]:
        with ir.InsertionPoint(op), op.location:
            op.results[0].replace_all_uses_with(_decode(op))
        op.erase()
    loops: dict[ir.Operation, list[ir.Operation]] = {}
    for op in nested(module):
        if op.name == "memref.store" and is_half_byte(op.operands[1].type):
            loops.setdefault(_loop_of(op), []).append(op)
    for loop, stores in loops.items():
        with ir.InsertionPoint(loop), loop.location:
            _in_pairs(loop, stores)
    _drop_unused(module)


def _drop_unused(module: ir.Operation) -> None:
    """4-bit scalars that have been replaced; users come after what they use."""
    for op in reversed(list(nested(module))):
        if len(op.results) == 1 and not isinstance(op.results[0].type, ir.MemRefType):
            if is_half_byte(op.results[0].type) and not list(op.results[0].uses):
                op.erase()


def _expand_conversion(op: ir.Operation) -> None:
    """A copy that converts to or from 4 bits, or may begin in the middle of a byte, becomes a loop over elements."""
    source, target = op.operands
    kinds = [ir.MemRefType(v.type).element_type for v in (source, target)]
    if not any(is_half_byte(k) for k in kinds):
        return
    if kinds[0] == kinds[1] and _on_bytes(source) and _on_bytes(target):
        return
    with ir.InsertionPoint(op), op.location:
        _element_loop(source, target, op)
    op.erase()
    for tile in (source, target):
        while isinstance(tile, ir.OpResult) and tile.owner.operation.name == "tl.slice" and not list(tile.uses):
            tile, unused = tile.owner.operation.operands[0], tile.owner.operation
            unused.erase()


def _on_bytes(tile: ir.Value) -> bool:
    """Whether a tile begins and ends with whole bytes."""
    while isinstance(tile, ir.OpResult) and tile.owner.operation.name == "tl.slice":
        op = tile.owner.operation
        sizes = list(ir.DenseI64ArrayAttr(op.attributes["sizes"]))
        if sizes[-1] % 2 or raster.divisor(op.operands[len(sizes)]) % 2:
            return False
        tile = op.operands[0]
    return True


def _element_loop(source: ir.Value, target: ir.Value, op: ir.Operation, *, unsigned: bool = False) -> None:
    there, here = region_of(source), region_of(target)
    loop = build.parallel(here.shape or [1])
    with ir.InsertionPoint(loop.regions[0].blocks[0]):
        variables = list(loop.regions[0].blocks[0].arguments)[: len(here.shape)]
        value = build.load(there.buffer, there.indices(variables))
        kind = ir.MemRefType(here.buffer.type).element_type
        value = _cast(value, "uint4", "uint8", kind) if unsigned else convert(op, value, kind)
        build.store(value, here.buffer, here.indices(variables))


def _widen_product(op: ir.Operation) -> None:
    """A product of 4-bit integers is one of bytes, made of its operands right before it."""
    for side, value in enumerate(list(op.operands)[:2]):
        kind = ir.MemRefType(value.type)
        if str(kind.element_type) != INTEGER:
            continue
        with ir.InsertionPoint(op), op.location:
            wide = ir.Operation.create("tl.alloc", [buffer_type(list(kind.shape), _byte(), scope_of(value))]).result
            _element_loop(value, wide, op, unsigned=f"{'ab'[side]}_unsigned" in op.attributes)
        op.operands[side] = wide


# -- scalars -----------------------------------------------------------------------------------------------------------
def nibble(value: ir.Value, user: ir.Operation) -> ir.Value:
    """A 4-bit scalar as a byte from 0 to 15, at the insertion point.

    Raises:
        UnsupportedError: arithmetic on 4-bit scalars.
    """
    op = None if isinstance(value.owner, ir.Block) else value.owner.operation
    if op is not None and op.name == "arith.constant":
        attribute = op.attributes["value"]
        if isinstance(attribute, ir.IntegerAttr):
            return _constant(attribute.value & 15)
        return _constant(_code(ir.FloatAttr(attribute).value))
    if op is not None and op.name == "tl.cast":
        return _encode(op)
    if op is not None and op.name == "arith.select":
        a, b = (nibble(v, user) for v in list(op.operands)[1:])
        return ir.Operation.create("arith.select", [_byte()], [op.operands[0], a, b]).result
    if op is not None and op.name == "memref.load":
        with ir.InsertionPoint(op), op.location:
            return _half_of(op)
    raise UnsupportedError(
        "arithmetic on 4-bit elements",
        python_location(user.location),
        hint="convert them first: T.cast(x, 'float16'), or T.cast(x, 'int32') of int4",
    )


def _half_of(load: ir.Operation) -> ir.Value:
    """The byte that holds an element, shifted down to it."""
    *outer, last = list(load.operands)[1:]
    place = uncast(last)
    byte = ir.Operation.create(
        "memref.load", [_byte()],
        [load.operands[0], *outer, build.to_index(build.binary("divui", place, _constant(2, place.type)))],
    ).result  # fmt: skip
    odd = build.binary("remui", place, _constant(2, place.type))
    if odd.type != build.i32():
        name = "arith.index_cast" if isinstance(odd.type, ir.IndexType) else "arith.trunci"
        odd = ir.Operation.create(name, [build.i32()], [odd]).result
    shift = build.binary("muli", odd, build.constant(4))
    shift = ir.Operation.create("arith.trunci", [_byte()], [shift]).result
    return build.binary("andi", build.binary("shrui", byte, shift), _constant(15))


def _encode(op: ir.Operation) -> ir.Value:
    """The code of what a cast converts to 4 bits: of floats the cast itself, whose result takes a byte."""
    if str(op.results[0].type) == FLOAT:
        return _reinterpret(op.results[0], _byte())
    source = ir.StringAttr(op.attributes["from"]).value
    return build.binary("andi", _cast(op.operands[0], source, "int8", _byte()), _constant(15))


def _decode(op: ir.Operation) -> ir.Value:
    """What a cast converts from 4 bits."""
    code = nibble(op.operands[0], op)
    to, kind = ir.StringAttr(op.attributes["to"]).value, op.results[0].type
    if str(op.operands[0].type) == INTEGER:
        if ir.StringAttr(op.attributes["from"]).value == "uint4":
            return _cast(code, "uint8", to, kind)
        signed = build.binary("subi", build.binary("xori", code, _constant(8)), _constant(8))
        return _cast(signed, "int8", to, kind)
    return _cast(_reinterpret(code, op.operands[0].type), "float4_e2m1fn", to, kind)


def _reinterpret(value: ir.Value, kind: ir.Type) -> ir.Value:
    return ir.Operation.create("tl.bitcast", [kind], [value]).result


def _cast(value: ir.Value, source: str, to: str, kind: ir.Type) -> ir.Value:
    if source == to:
        return value
    names = {"from": ir.StringAttr.get(source), "to": ir.StringAttr.get(to)}
    return ir.Operation.create("tl.cast", [kind], [value], names).result


def _code(value: float) -> int:
    return _MAGNITUDES.index(abs(value)) | (8 if math.copysign(1, value) < 0 else 0)


# -- pairs -------------------------------------------------------------------------------------------------------------
def _loop_of(store: ir.Operation) -> ir.Operation:
    """The loop whose last variable walks the elements of a store, an even number of them."""
    loop = store.parent.operation
    extents = _extents(loop)
    if extents is not None and extents[-1] % 2 == 0:
        variables = {v: i for i, v in enumerate(loop.regions[0].blocks[0].arguments)}
        found = subscript(list(store.operands)[-1], variables, extents)
        if found is not None and found.rest % 2 == 0 and found.terms:
            first, *others = found.terms
            walks = first.whole and first.coefficient == 1 and first.variable == len(extents) - 1
            if walks and all(term.coefficient % 2 == 0 for term in others):
                return loop
    raise UnsupportedError(
        "a 4-bit element is written by itself",
        python_location(store.location),
        hint="two elements share a byte: write an even number of them in one loop, x[.., j] with j its last variable",
    )


def _extents(loop: ir.Operation) -> list[int] | None:
    if loop.name == "tl.parallel":
        return list(ir.DenseI64ArrayAttr(loop.attributes["extents"]))
    if loop.name != "scf.for":
        return None
    bounds = [build.known_constant(v) for v in list(loop.operands)[:3]]
    return [bounds[1]] if bounds[0] == 0 and bounds[1] is not None and bounds[2] == 1 else None


def _in_pairs(loop: ir.Operation, stores: Sequence[ir.Operation]) -> None:
    """Let a loop run over pairs: its body twice, with each pair of stores as one of a byte."""
    body = loop.regions[0].blocks[0]
    inside = [o.operation for o in body.operations if o.operation.name != "scf.yield"]
    _check_order(inside, stores)
    extents = _extents(loop)
    assert extents is not None
    attributes = build.attributes_of(loop)
    if loop.name == "tl.parallel":
        attributes.pop("extents")
        new = build.parallel([*extents[:-1], extents[-1] // 2], attributes)
    else:
        new = build.for_range(extents[0] // 2)
        for name, attribute in attributes.items():
            new.attributes[name] = attribute
    block = new.regions[0].blocks[0]
    with ir.InsertionPoint(block):
        old, mine = list(body.arguments), list(block.arguments)
        halves: list[list[ir.Value]] = []
        places: list[list[ir.Value]] = []
        for odd in range(2):
            place = build.binary("muli", mine[-1], build.constant(2))
            place = build.binary("addi", place, build.constant(1)) if odd else place
            replaced = dict(zip(old, [*mine[:-1], place], strict=True))
            clone_ops([o for o in inside if o not in stores], replaced)
            halves.append([nibble(replaced.get(s.operands[0], s.operands[0]), s) for s in stores])
            if not odd:
                places = [[replaced.get(v, v) for v in list(s.operands)[2:]] for s in stores]
        for store, low, high, indices in zip(stores, *halves, places, strict=True):
            last = uncast(indices[-1])
            half = build.binary("divui", last, _constant(2, last.type))
            ir.Operation.create(
                "memref.store", [], [_pair(low, high), store.operands[1], *indices[:-1], build.to_index(half)]
            )
        if loop.name == "scf.for":
            ir.Operation.create("scf.yield")
    loop.erase()


def _check_order(body: Sequence[ir.Operation], stores: Sequence[ir.Operation]) -> None:
    """What an iteration writes it must not read again: both writes of a pair come after all reads."""
    written: set[ir.Value] = set()
    for op in body:
        for inner in (op, *nested(op)):
            if inner.name == "memref.load" and inner.operands[0] in written:
                raise UnsupportedError(
                    "a 4-bit element is read in the loop that wrote it",
                    python_location(inner.location),
                    hint="read it in a loop of its own",
                )
        if op in stores:
            written.add(op.operands[1])


def _pair(low: ir.Value, high: ir.Value) -> ir.Value:
    return build.binary("ori", low, build.binary("shli", high, _constant(4)))


def _byte() -> ir.Type:
    return ir.IntegerType.get_signless(8)


def _constant(number: int, kind: ir.Type | None = None) -> ir.Value:
    kind = kind or _byte()
    return ir.Operation.create("arith.constant", [kind], attributes={"value": ir.IntegerAttr.get(kind, number)}).result
