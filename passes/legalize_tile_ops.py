"""`legalize-tile-ops`: rewrite tile operations into those that layouts and lowering know.

Input: the tile program as traced. Output: reductions from fragment to fragment only (shared operands go through
fragments, per-thread arrays through serial loops), scans as parallel loops over the other dimensions, atomic reducers as
fragments, prints of buffers as loops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from ..dialect.tl import FRAGMENT, LOCAL, SHARED, buffer_type, scope_of
from . import build
from .base import Pass
from .walk import launches, nested


@dataclass(frozen=True)
class LegalizeTileOps(Pass):
    """Bring reductions and scans into the forms that later passes handle."""

    name: ClassVar[str] = "legalize-tile-ops"

    def run(self, module: ir.Module, target: Target) -> None:
        for launch in launches(module):
            with module.context:
                for op in list(nested(launch)):
                    if op.name == "tl.reduce":
                        _legalize_reduce(op)
                    elif op.name == "tl.scan":
                        _legalize_scan(op)
                    elif op.name == "tl.print":
                        _legalize_print(op)


def _like(value: ir.Value, scope: str) -> ir.Value:
    """A fresh buffer of the same shape in another scope."""
    kind = ir.MemRefType(value.type)
    return ir.Operation.create("tl.alloc", [buffer_type(list(kind.shape), kind.element_type, scope)]).result


def _copy(source: ir.Value, target: ir.Value) -> None:
    ir.Operation.create("tl.copy", [], [source, target])


def _legalize_reduce(op: ir.Operation) -> None:
    source, target = op.operands
    if scope_of(source) == scope_of(target) == LOCAL:
        _serial_reduce(op)
        return
    with ir.InsertionPoint(op), op.location:
        if scope_of(source) != FRAGMENT:
            staged = _like(source, FRAGMENT)
            _copy(source, staged)
            op.operands[0] = staged
    if scope_of(target) == FRAGMENT:
        return
    with ir.InsertionPoint(op), op.location:
        staged = _like(target, FRAGMENT)
        if not ir.BoolAttr(op.attributes["clear"]).value:
            _copy(target, staged)
        op.operands[1] = staged
    with ir.InsertionPoint.after(op), op.location:
        _copy(staged, target)


_COMBINE = {"sum": ("arith.addf", "arith.addi"), "max": ("arith.maxnumf", "arith.maxsi"), "min": ("arith.minnumf", "arith.minsi"),
            "umax": ("arith.maxnumf", "arith.maxui"), "umin": ("arith.minnumf", "arith.minui"), "and": ("", "arith.andi"),
            "or": ("", "arith.ori"), "xor": ("", "arith.xori")}  # fmt: skip


def combine(kind: str, a: ir.Value, b: ir.Value) -> ir.Value:
    """One step of a reduction on scalars."""
    names = _COMBINE[kind.removeprefix("abs")]
    integer = isinstance(a.type, ir.IntegerType)
    return ir.Operation.create(names[1] if integer else names[0], [a.type], [a, b]).result


def _absolute(kind: str, value: ir.Value) -> ir.Value:
    if not kind.startswith("abs"):
        return value
    name = "math.absi" if isinstance(value.type, ir.IntegerType) else "math.absf"
    return ir.Operation.create(name, [value.type], [value]).result


def _serial_reduce(op: ir.Operation) -> None:
    """Per-thread arrays: loops over the kept dimensions around a loop over the reduced one."""
    source, target = op.operands
    shape = list(ir.MemRefType(source.type).shape)
    dim = ir.IntegerAttr(op.attributes["dim"]).value
    kind = ir.StringAttr(op.attributes["kind"]).value
    clear = ir.BoolAttr(op.attributes["clear"]).value
    keep = ir.MemRefType(target.type).rank == len(shape)
    kept = [s for d, s in enumerate(shape) if d != dim]

    def innermost(variables: Sequence[ir.Value]) -> None:
        place = list(variables)
        if keep:
            place.insert(dim, build.constant(0))
        place = place or [build.constant(0)]

        def at(step: ir.Value) -> ir.Value:
            return _absolute(kind, build.load(source, [*variables[:dim], step, *variables[dim:]]))

        if clear:
            build.store(at(build.constant(0)), target, place)
        loop = build.for_range(shape[dim] - 1 if clear else shape[dim])
        with ir.InsertionPoint(loop.regions[0].blocks[0]):
            step = loop.regions[0].blocks[0].arguments[0]
            if clear:
                step = build.binary("addi", step, build.constant(1))
            build.store(combine(kind, build.load(target, place), at(step)), target, place)
            ir.Operation.create("scf.yield")

    with ir.InsertionPoint(op), op.location:
        _loops(kept, [], innermost)
    op.erase()


def _loops(extents: Sequence[int], variables: list[ir.Value], body) -> None:  # noqa: ANN001
    if not extents:
        body(variables)
        return
    loop = build.for_range(extents[0])
    with ir.InsertionPoint(loop.regions[0].blocks[0]):
        _loops(extents[1:], [*variables, loop.regions[0].blocks[0].arguments[0]], body)
        ir.Operation.create("scf.yield")


def _legalize_scan(op: ir.Operation) -> None:
    """On shared memory, one thread per line walks it: T[..., k] = T[..., k - 1] + S[..., k]. Fragments are staged."""
    source, target = op.operands
    with ir.InsertionPoint(op), op.location:
        if FRAGMENT in (scope_of(source), scope_of(target)):
            staged = _like(source, SHARED)
            _copy(source, staged)
            _scan_shared(op, staged, staged)
            _copy(staged, target)
        else:
            _scan_shared(op, source, target)
    op.erase()


def _scan_shared(op: ir.Operation, source: ir.Value, target: ir.Value) -> None:
    shape = list(ir.MemRefType(source.type).shape)
    dim = ir.IntegerAttr(op.attributes["dim"]).value
    kind = ir.StringAttr(op.attributes["kind"]).value
    reverse = ir.BoolAttr(op.attributes["reverse"]).value
    kept = [s for d, s in enumerate(shape) if d != dim] or [1]
    loop = build.parallel(kept)
    with ir.InsertionPoint(loop.regions[0].blocks[0]):
        variables = list(loop.regions[0].blocks[0].arguments)[: len(shape) - 1]
        at = lambda step: [*variables[:dim], step, *variables[dim:]]  # noqa: E731
        position = lambda k: build.binary("subi", build.constant(shape[dim] - 1), k) if reverse else k  # noqa: E731
        first = position(build.constant(0))
        build.store(build.load(source, at(first)), target, at(first))
        walk = build.for_range(shape[dim] - 1)
        with ir.InsertionPoint(walk.regions[0].blocks[0]):
            step = walk.regions[0].blocks[0].arguments[0]
            before, here = position(step), position(build.binary("addi", step, build.constant(1)))
            total = combine(kind, build.load(target, at(before)), build.load(source, at(here)))
            build.store(total, target, at(here))
            ir.Operation.create("scf.yield")


def _legalize_print(op: ir.Operation) -> None:
    """A buffer is printed element by element: from shared or device memory by a loop over its elements."""
    if not any(isinstance(v.type, ir.MemRefType) for v in op.operands):
        return
    message = ir.StringAttr(op.attributes["message"]).value if "message" in op.attributes else ""
    with ir.InsertionPoint(op), op.location:
        for value in op.operands:
            shape = list(ir.MemRefType(value.type).shape)
            loop = build.parallel(shape)
            with ir.InsertionPoint(loop.regions[0].blocks[0]):
                variables = list(loop.regions[0].blocks[0].arguments)
                attrs = {"message": ir.StringAttr.get(f"{message}[{', '.join(['%d'] * len(shape))}] =".strip())}
                element = build.load(value, variables)
                ir.Operation.create("tl.print", [], [*variables, element], {**attrs, "inline": build.unit()})
    op.erase()
