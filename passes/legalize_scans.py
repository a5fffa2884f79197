"""Scans as `lower-to-threads` takes them: of a whole fragment, in place.

    tl.scan S, S   =>   copy S -> f; tl.scan f, f; copy f -> S

Where the scanned dimension is not the last one, the fragment is laid out so that a thread holds neighbours along it.
A shared tile of more elements than threads have registers for is walked where it lies, a thread per line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tilelang_mlir.mlir import ir

from ..dialect.effects import root
from ..dialect.layout import REPLICATE, Digit, Fragment
from ..dialect.layout.attrs import to_attr
from ..dialect.tl import FRAGMENT, SHARED, VAR, buffer_type, scope_of
from . import build
from .combining import combine
from .expand_tile_ops import convert, region_of
from .fragment_parts import expand_part
from .walk import threads_of

_MOST = 64  # elements per thread that are scanned in registers


def legalize_scan(op: ir.Operation) -> None:
    """Rewrite a scan into one of a fragment in place, with copies around it, or into a loop."""
    source, target = op.operands
    if source == target and _is_whole(target):
        return
    elements, threads = math.prod(ir.MemRefType(source.type).shape), threads_of(op)
    with ir.InsertionPoint(op), op.location:
        if elements > _MOST * threads and scope_of(source) == scope_of(target) == SHARED and not _is_narrow(source):
            _walk_lines(op, source, target)
        else:
            place = target if _is_whole(target) else _fragment_like(source, _dim_of(op), threads)
            _copy(source, place)
            ir.Operation.create(op.name, [], [place, place], build.attributes_of(op))
            if place != target:
                _copy(place, target)
    op.erase()


def _dim_of(op: ir.Operation) -> int:
    return ir.IntegerAttr(op.attributes["dim"]).value


def _is_narrow(value: ir.Value) -> bool:
    return ir.MemRefType(value.type).element_type.width < 16 and not _is_integer(value)


def _is_integer(value: ir.Value) -> bool:
    return isinstance(ir.MemRefType(value.type).element_type, ir.IntegerType)


def _is_whole(value: ir.Value) -> bool:
    return scope_of(value) == FRAGMENT and root(value) == value and not _is_narrow(value)


def _copy(source: ir.Value, target: ir.Value) -> None:
    expand_part(ir.Operation.create("tl.copy", [], [source, target]))


def _fragment_like(value: ir.Value, dim: int, threads: int) -> ir.Value:
    """A fragment of a tile's shape, of float32 for floats below 16 bits."""
    kind = ir.MemRefType(value.type)
    element = ir.F32Type.get() if _is_narrow(value) else kind.element_type
    layout = _along(tuple(kind.shape), dim, element.width, threads)
    attributes = {} if layout is None else {"layout": to_attr(layout)}
    return ir.Operation.create("tl.alloc", [buffer_type(list(kind.shape), element, FRAGMENT)], [], attributes).result


def _along(shape: Sequence[int], dim: int, bits: int, threads: int) -> Fragment | None:
    """Threads over the other dimensions first, vectors along the last one; those left share each line in runs."""
    last = len(shape) - 1
    if dim == last:
        return None
    vector = math.gcd(shape[last], max(1, 128 // bits))
    thread: list[Digit] = []
    value = [Digit(vector, last, 1)]
    left = threads
    for d in (*(d for d in reversed(range(len(shape))) if d != dim), dim):
        stride = vector if d == last else 1
        count = shape[d] // stride
        here = math.gcd(left, count)
        if d == dim:
            value.append(Digit(count // here, d, 1))
            thread.append(Digit(here, d, count // here))
        else:
            thread.append(Digit(here, d, stride))
            value.append(Digit(count // here, d, stride * here))
        left //= here
    thread.append(Digit(left, REPLICATE, 1))
    return Fragment(tuple(shape), tuple(thread), tuple(value))


def _walk_lines(op: ir.Operation, source: ir.Value, target: ir.Value) -> None:
    """On shared memory, one thread per line walks it: sofar = sofar + S[..., k]; T[..., k] = sofar."""
    shape = list(ir.MemRefType(source.type).shape)
    dim = _dim_of(op)
    kind = ir.StringAttr(op.attributes["kind"]).value
    reverse = ir.BoolAttr(op.attributes["reverse"]).value
    kept = [s for d, s in enumerate(shape) if d != dim] or [1]
    read, write = (region_of(value) for value in (source, target))
    loop = build.parallel(kept)
    with ir.InsertionPoint(loop.regions[0].blocks[0]):
        variables = list(loop.regions[0].blocks[0].arguments)[: len(shape) - 1]
        at = lambda step: [*variables[:dim], step, *variables[dim:]]
        position = lambda k: build.binary("subi", build.constant(shape[dim] - 1), k) if reverse else k
        first, zero = position(build.constant(0)), build.constant(0)
        element = ir.MemRefType(source.type).element_type
        small = kind == "sum" and not _is_integer(source) and element.width < 32  # sums of these are kept in float32
        kept_in = ir.F32Type.get() if small else element
        sofar = ir.Operation.create("tl.alloc", [buffer_type([1], kept_in, VAR)]).result
        load = lambda step: convert(op, build.load(read.buffer, read.within(at(step))), kept_in)

        def put(value: ir.Value, step: ir.Value) -> None:
            build.store(value, sofar, [zero])
            build.store(convert(op, value, element), write.buffer, write.within(at(step)))

        put(load(first), first)
        walk = build.for_range(shape[dim] - 1)
        with ir.InsertionPoint(walk.regions[0].blocks[0]):
            here = position(build.binary("addi", walk.regions[0].blocks[0].arguments[0], build.constant(1)))
            put(combine(kind, build.load(sofar, [zero]), load(here)), here)
            ir.Operation.create("scf.yield")
