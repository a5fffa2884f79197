"""Single elements of tiles of fewer than eight bits, which share bytes (`packing.py`).

A read of a 4-bit element j is one of byte j // 2, shifted; one of 6 bits reads the two bytes that it lies in. A loop
over a multiple of the group, in the order of the last dimension, runs over groups and writes whole bytes. Elsewhere one
of 4 bits is written into its byte, by atomic operations where threads share the memory. Conversions of floats stay
casts, of values that take a byte (`tl.bitcast`).

    parallel (i, j) in 8x32 { Q[i, j] = cast x[i, j] }
    =>
    parallel (i, w) in 8x16 { Q[i, w] = code(x[i, 2 * w]) | code(x[i, 2 * w + 1]) << 4 }
"""

from __future__ import annotations

from collections.abc import Sequence

from tilelang_mlir.dtypes import from_mlir
from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import int_array, ir

from ..dialect.location import python_location
from ..dialect.tl import FRAGMENT, GLOBAL, SHARED, buffer_type, scope_of
from . import build, raster
from .clone import clone_ops
from .elementwise import uncast
from .expand_tile_ops import convert, region_of
from .layout_inference.subscripts import subscript
from .packing import INTEGER, Packing, byte, bytes_of, code_of, element_of, is_small, number, packing_of
from .walk import nested


def expand_elements(module: ir.Operation) -> None:
    """Rewrite single elements, conversions and integer products; what is left moves whole tiles.

    Raises:
        UnsupportedError: a write to a fragment, or of 6 bits, whose neighbours in the byte are not written with it.
    """
    for op in [op for op in nested(module) if op.name in ("tl.copy", "tl.gemm")]:
        if op.name == "tl.copy":
            _expand_conversion(op)
        else:
            _widen_product(op)
    for op in [op for op in nested(module) if op.name == "tl.fill" and is_small(op.operands[0].type)]:
        with ir.InsertionPoint(op), op.location:
            _expand_fill(op)
    for op in [op for op in nested(module) if op.name == "tl.cast" and is_small(op.operands[0].type)]:
        with ir.InsertionPoint(op), op.location:
            op.results[0].replace_all_uses_with(_decode(op))
        op.erase()
    _expand_stores(module)
    _drop_unused(module)


def _expand_stores(module: ir.Operation) -> None:
    stores = [op for op in nested(module) if op.name == "memref.store" and is_small(op.operands[1].type)]
    loops: dict[ir.Operation, list[ir.Operation]] = {}
    begun: set[ir.Value] = set()
    for op in stores:
        packing = packing_of(op.operands[1])
        loop = _loop_of(op) if packing.count > 1 else None
        if loop is not None:
            loops.setdefault(loop, []).append(op)
            continue
        with ir.InsertionPoint(op), op.location:
            if packing.count == 1:
                ir.Operation.create("memref.store", [], [code(op.operands[0], op), *list(op.operands)[1:]])
            else:
                _begin(op.operands[1], begun)
                _store_alone(op, packing)
        op.erase()
    for loop, grouped in loops.items():
        with ir.InsertionPoint(loop), loop.location:
            _in_groups(loop, grouped)


def _expand_fill(op: ir.Operation) -> None:
    """A fill is one of bytes, where they are alike; else a loop over elements."""
    target, value = op.operands
    packing = packing_of(target)
    known = code(value, op)
    if 8 % packing.bits == 0 or packing.count == 1 or build.known_constant(known) == 0:
        op.operands[1] = known if packing.bits == 6 else bytes_of([known, known], packing)[0]
        return
    here = region_of(target)
    loop = build.parallel(here.shape or [1])
    with ir.InsertionPoint(loop.regions[0].blocks[0]):
        variables = list(loop.regions[0].blocks[0].arguments)[: len(here.shape)]
        build.store(value, here.buffer, here.indices(variables))
    op.erase()


def _drop_unused(module: ir.Operation) -> None:
    """4-bit scalars that have been replaced; users come after what they use."""
    for op in reversed(list(nested(module))):
        if len(op.results) == 1 and not isinstance(op.results[0].type, ir.MemRefType):
            if is_small(op.results[0].type) and not list(op.results[0].uses):
                op.erase()


def _expand_conversion(op: ir.Operation) -> None:
    """A copy that converts to or from small elements, stores them another way, or may begin in the middle of a group
    becomes a loop over elements."""
    source, target = op.operands
    kinds = [ir.MemRefType(v.type).element_type for v in (source, target)]
    if not any(is_small(k) for k in kinds):
        return
    if kinds[0] == kinds[1] and packing_of(source) == packing_of(target) and _on_bytes(source) and _on_bytes(target):
        return
    with ir.InsertionPoint(op), op.location:
        _element_loop(source, target, op)
    op.erase()
    for tile in (source, target):
        while isinstance(tile, ir.OpResult) and tile.owner.operation.name == "tl.slice" and not list(tile.uses):
            tile, unused = tile.owner.operation.operands[0], tile.owner.operation
            unused.erase()


def _on_bytes(tile: ir.Value) -> bool:
    """Whether a tile begins and ends with whole groups."""
    count = packing_of(tile).count
    while isinstance(tile, ir.OpResult) and tile.owner.operation.name == "tl.slice":
        op = tile.owner.operation
        sizes = int_array(op.attributes["sizes"])
        if sizes[-1] % count or raster.divisor(op.operands[len(sizes)]) % count:
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
            wide = ir.Operation.create("tl.alloc", [buffer_type(list(kind.shape), byte(), scope_of(value))]).result
            _element_loop(value, wide, op, unsigned=f"{'ab'[side]}_unsigned" in op.attributes)
        op.operands[side] = wide


# -- scalars -----------------------------------------------------------------------------------------------------------
def code(value: ir.Value, user: ir.Operation) -> ir.Value:
    """The code of a small scalar as a byte, at the insertion point.

    Raises:
        UnsupportedError: arithmetic on such scalars.
    """
    op = None if isinstance(value.owner, ir.Block) else value.owner.operation
    if op is not None and op.name == "arith.constant":
        attribute = op.attributes["value"]
        if isinstance(attribute, ir.IntegerAttr):
            return number(attribute.value & 15)
        return number(code_of(ir.FloatAttr(attribute).value, str(value.type)))
    if op is not None and op.name == "tl.cast":
        return _encode(op)
    if op is not None and op.name == "arith.select":
        a, b = (code(v, user) for v in list(op.operands)[1:])
        return ir.Operation.create("arith.select", [byte()], [op.operands[0], a, b]).result
    if op is not None and op.name == "memref.load":
        with ir.InsertionPoint(op), op.location:
            return element_of(op, packing_of(op.operands[0]), uncast(list(op.operands)[-1]))
    raise UnsupportedError(
        f"arithmetic on {value.type.width}-bit elements",
        python_location(user.location),
        hint="convert them first: T.cast(x, 'float16'), or T.cast(x, 'int32') of int4",
    )


def _encode(op: ir.Operation) -> ir.Value:
    """The code of what a cast converts to: of floats the cast itself, whose result takes a byte."""
    if str(op.results[0].type) != INTEGER:
        return _reinterpret(op.results[0], byte())
    source = ir.StringAttr(op.attributes["from"]).value
    return build.binary("andi", _cast(op.operands[0], source, "int8", byte()), number(15))


def _decode(op: ir.Operation) -> ir.Value:
    """What a cast converts from small elements."""
    bits = code(op.operands[0], op)
    to, kind = ir.StringAttr(op.attributes["to"]).value, op.results[0].type
    if str(op.operands[0].type) == INTEGER:
        if ir.StringAttr(op.attributes["from"]).value == "uint4":
            return _cast(bits, "uint8", to, kind)
        signed = build.binary("subi", build.binary("xori", bits, number(8)), number(8))
        return _cast(signed, "int8", to, kind)
    return _cast(_reinterpret(bits, op.operands[0].type), from_mlir(str(op.operands[0].type)), to, kind)


def _reinterpret(value: ir.Value, kind: ir.Type) -> ir.Value:
    return ir.Operation.create("tl.bitcast", [kind], [value]).result


def _cast(value: ir.Value, source: str, to: str, kind: ir.Type) -> ir.Value:
    if source == to:
        return value
    names = {"from": ir.StringAttr.get(source), "to": ir.StringAttr.get(to)}
    return ir.Operation.create("tl.cast", [kind], [value], names).result


# -- groups ------------------------------------------------------------------------------------------------------------
def _loop_of(store: ir.Operation) -> ir.Operation | None:
    """The loop whose last variable walks the elements of a store, a multiple of their group; None without one.

    Raises:
        UnsupportedError: there is none, and the element cannot be written by itself.
    """
    loop = store.parent.operation
    extents = _extents(loop)
    packing = packing_of(store.operands[1])
    count = packing.count
    if extents is not None and extents[-1] % count == 0:
        variables = {v: i for i, v in enumerate(loop.regions[0].blocks[0].arguments)}
        found = subscript(list(store.operands)[-1], variables, extents)
        if found is not None and found.rest % count == 0 and found.terms:
            first, *others = found.terms
            walks = first.whole and first.coefficient == 1 and first.variable == len(extents) - 1
            if walks and all(term.coefficient % count == 0 for term in others):
                return loop
    if packing.bits == 4 and scope_of(store.operands[1]) != FRAGMENT:
        return None
    sharing, many = "four elements share three bytes", f"a multiple of {count}"
    if count == 2:
        sharing, many = "two elements share a byte", "an even number"
    raise UnsupportedError(
        f"a {packing.bits}-bit element is written by itself",
        python_location(store.location),
        hint=f"{sharing}: write {many} of them in one loop, x[.., j] with j its last variable",
    )


def _begin(buffer: ir.Value, begun: set[ir.Value]) -> None:
    """Memory of the kernel starts as zeros where halves of bytes are written: the other half has a value."""
    owner = buffer.owner
    if buffer in begun or isinstance(owner, ir.Block) or owner.operation.name != "tl.alloc":
        return
    if scope_of(buffer) != GLOBAL:
        begun.add(buffer)
        with ir.InsertionPoint.after(owner.operation), owner.operation.location:
            ir.Operation.create("tl.fill", [], [buffer, number(0)])


def _store_alone(store: ir.Operation, packing: Packing) -> None:
    """One half of a byte. In memory that threads share another thread may write the other half: both steps are atomic,
    so that neither loses what the other writes; the place is zero in between."""
    value, buffer, *indices = store.operands
    last = uncast(indices[-1])
    shift = build.binary("muli", build.binary("remui", last, number(2, last.type)), number(4, last.type))
    shift = ir.Operation.create("arith.trunci", [byte()], [shift]).result
    bits = build.binary("shli", code(value, store), shift)
    others = build.binary("xori", build.binary("shli", number(15), shift), number(-1))
    place = build.to_index(build.binary("divui", last, number(packing.count, last.type)))
    places = [*indices[:-1], place]
    if scope_of(buffer) in (GLOBAL, SHARED):
        for kind, operand in (("and", others), ("or", bits)):
            attributes = {"kind": ir.StringAttr.get(kind), "order": ir.StringAttr.get("relaxed")}
            ir.Operation.create("tl.atomic", [], [buffer, operand, *places], attributes)
        return
    old = ir.Operation.create("memref.load", [byte()], [buffer, *places]).result
    new = build.binary("ori", build.binary("andi", old, others), bits)
    ir.Operation.create("memref.store", [], [new, buffer, *places])


def _extents(loop: ir.Operation) -> list[int] | None:
    if loop.name == "tl.parallel":
        return int_array(loop.attributes["extents"])
    if loop.name != "scf.for":
        return None
    bounds = [build.known_constant(v) for v in list(loop.operands)[:3]]
    return [bounds[1]] if bounds[0] == 0 and bounds[1] is not None and bounds[2] == 1 else None


def _in_groups(loop: ir.Operation, stores: Sequence[ir.Operation]) -> None:
    """Let a loop run over groups: its body for each of them, with the stores of a group as stores of its bytes."""
    body = loop.regions[0].blocks[0]
    inside = [o.operation for o in body.operations if o.operation.name != "scf.yield"]
    _check_order(inside, stores)
    extents = _extents(loop)
    assert extents is not None
    packings = [packing_of(store.operands[1]) for store in stores]
    count = max(packing.count for packing in packings)
    if extents[-1] % count or any(count % packing.count for packing in packings):
        raise UnsupportedError(f"a loop over {extents[-1]} elements that writes groups of {count}",
                               python_location(loop.location), hint=f"a multiple of {count}")  # fmt: skip
    attributes = build.attributes_of(loop)
    if loop.name == "tl.parallel":
        attributes.pop("extents")
        new = build.parallel([*extents[:-1], extents[-1] // count], attributes)
    else:
        new = build.for_range(extents[0] // count)
        for name, attribute in attributes.items():
            new.attributes[name] = attribute
    block = new.regions[0].blocks[0]
    with ir.InsertionPoint(block):
        old, mine = list(body.arguments), list(block.arguments)
        codes: list[list[ir.Value]] = []
        places: list[list[list[ir.Value]]] = []
        for position in range(count):
            place = build.binary("muli", mine[-1], build.constant(count))
            place = build.binary("addi", place, build.constant(position)) if position else place
            replaced = dict(zip(old, [*mine[:-1], place], strict=True))
            clone_ops([o for o in inside if o not in stores], replaced)
            codes.append([code(replaced.get(s.operands[0], s.operands[0]), s) for s in stores])
            places.append([[replaced.get(v, v) for v in list(s.operands)[2:]] for s in stores])
        for index, (store, packing) in enumerate(zip(stores, packings, strict=True)):
            for start in range(0, count, packing.count):
                group = [row[index] for row in codes[start : start + packing.count]]
                _store_group(store, packing, group, places[start][index])
        if loop.name == "scf.for":
            ir.Operation.create("scf.yield")
    loop.erase()


def _store_group(store: ir.Operation, packing: Packing, codes: list[ir.Value], indices: list[ir.Value]) -> None:
    """The bytes of a group, whose first element is at `indices`."""
    last = uncast(indices[-1])
    first = build.binary("divui", last, number(packing.count, last.type))
    if packing.bytes > 1:
        first = build.binary("muli", first, number(packing.bytes, last.type))
    for offset, value in enumerate(bytes_of(codes, packing)):
        place = build.binary("addi", first, number(offset, last.type)) if offset else first
        operands = [value, store.operands[1], *indices[:-1], build.to_index(place)]
        ir.Operation.create("memref.store", [], operands)


def _check_order(body: Sequence[ir.Operation], stores: Sequence[ir.Operation]) -> None:
    """What an iteration writes it must not read again: all writes of a group come after all reads."""
    written: set[ir.Value] = set()
    for op in body:
        for inner in (op, *nested(op)):
            if inner.name == "memref.load" and inner.operands[0] in written:
                raise UnsupportedError(
                    f"a {packing_of(inner.operands[0]).bits}-bit element is read in the loop that wrote it",
                    python_location(inner.location),
                    hint="read it in a loop of its own",
                )
        if op in stores:
            written.add(op.operands[1])
