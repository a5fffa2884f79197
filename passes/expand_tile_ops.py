"""`expand-tile-ops`: copies, fills, transposes and im2col tiles as parallel loops over their elements.

Input: scheduled program with layouts. Output: no `tl.copy` but asynchronous ones that the target has, no `tl.fill`,
`tl.transpose` and `tl.im2col`. The loop runs where a fragment's elements lie, or in coalesced vectors when none takes
part.

    tl.copy A[i0:64, j0:32] -> S   =>   parallel (i, j) in 64x32 { S[i, j] = A[i0 + i, j0 + j] }
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilelang_mlir import dtypes
from tilelang_mlir.errors import LayoutError, TileValueError
from tilelang_mlir.mlir import int_array, ir
from tilelang_mlir.target import Feature, Target

from ..dialect.layout import Fragment, from_table, row_major
from ..dialect.layout.attrs import from_attr, to_attr
from ..dialect.location import python_location
from ..dialect.tl import FRAGMENT, LOCAL, SHARED, TMEM, VAR, buffer_type, scope_of
from . import build, im2col
from .base import Pass
from .layout_inference.plan import plan_fragment
from .walk import launches, nested, threads_of

_EXPANDED = ("tl.copy", "tl.transpose", "tl.fill", "tl.im2col")


@dataclass(frozen=True)
class ExpandTileOps(Pass):
    """Turn synchronous copies, fills and transposes into parallel loops."""

    name: ClassVar[str] = "expand-tile-ops"

    def run(self, module: ir.Module, target: Target) -> None:
        for launch in launches(module):
            with module.context:
                for op in [op for op in nested(launch) if op.name in _EXPANDED]:
                    if op.name == "tl.copy" and TMEM in (scope_of(v) for v in list(op.operands)[:2]):
                        continue  # loads and stores of tensor memory are tile operations to the end
                    if op.name in ("tl.copy", "tl.transpose") and not _stays_asynchronous(op, target):
                        _expand_copy(op, threads_of(op))
                    elif op.name == "tl.im2col":
                        _expand_im2col(op, threads_of(op))
                    elif op.name == "tl.fill":
                        _expand_fill(op, threads_of(op))


def _stays_asynchronous(op: ir.Operation, target: Target) -> bool:
    """Whether a copy is left to the target's instructions: a program may ask for one that loads into LDS cannot do,
    which threads make through registers then; it is complete before anybody waits for it."""
    if "async" not in op.attributes:
        return False
    if "explicit" not in op.attributes or not target.supports(Feature.LDS_DMA):
        return True
    from .amd.lds_copy import copies_directly

    return copies_directly(op, threads_of(op), target, versions=True)


@dataclass(frozen=True)
class _Region:
    """A tile operand: its buffer, the offset per dimension, and the dimensions that are longer than one."""

    buffer: ir.Value
    offsets: tuple[ir.Value | None, ...]
    sizes: tuple[int, ...]

    @property
    def dims(self) -> list[int]:
        return [d for d, size in enumerate(self.sizes) if size != 1]

    @property
    def shape(self) -> list[int]:
        return [self.sizes[d] for d in self.dims]

    def within(self, places: Sequence[ir.Value]) -> list[ir.Value]:
        """Indices of the element at a place of the tile, given in all dimensions."""
        return [
            place if offset is None else build.binary("addi", offset, place)
            for offset, place in zip(self.offsets, places, strict=True)
        ]

    def indices(self, variables: Sequence[ir.Value]) -> list[ir.Value]:
        """Indices of the element that the variables name, one per long dimension."""
        along = dict(zip(self.dims, variables, strict=True))
        out: list[ir.Value] = []
        for dim, offset in enumerate(self.offsets):
            variable = along.get(dim)
            if offset is not None and variable is not None:
                variable = build.binary("addi", offset, variable)
            out.append(variable if variable is not None else offset if offset is not None else build.constant(0))
        return out


def _sum(a: ir.Value, b: ir.Value) -> ir.Value:
    known = [build.known_constant(value) for value in (a, b)]
    return build.binary("addi", a, b) if None in known else build.constant(sum(filter(None, known)))


def region_of(value: ir.Value) -> _Region:
    """Look through slices to the buffer."""
    owner = value.owner
    if not isinstance(owner, ir.Block) and owner.operation.name == "tl.slice":
        op = owner.operation
        inner = region_of(op.operands[0])
        rank = len(inner.sizes)
        offsets: list[ir.Value | None] = []
        for outer, here in zip(inner.offsets, list(op.operands)[1 : 1 + rank], strict=True):
            offsets.append(here if outer is None else _sum(outer, here))
        return _Region(inner.buffer, tuple(offsets), tuple(int_array(op.attributes["sizes"])))
    shape = tuple(ir.MemRefType(value.type).shape)
    return _Region(value, (None,) * len(shape), shape)


def _expand_copy(op: ir.Operation, threads: int) -> None:
    with ir.InsertionPoint(op), op.location:
        source, target = (region_of(v) for v in op.operands)

        def body(variables: list[ir.Value]) -> None:
            flipped = variables[::-1] if op.name == "tl.transpose" else variables
            value = build.load(source.buffer, source.indices(flipped))
            value = convert(op, value, ir.MemRefType(target.buffer.type).element_type)
            build.store(value, target.buffer, target.indices(variables))

        if _layouts_differ(op, source, target):
            _through_shared(op, source, target, threads)
        else:
            _element_loop(op, [source, target], target, threads, body)
    op.erase()


def _layouts_differ(op: ir.Operation, source: _Region, target: _Region) -> bool:
    """Two fragments that spread the tile over threads in different ways."""
    if not scope_of(source.buffer) == scope_of(target.buffer) == FRAGMENT:
        return False
    left, right = (_fragment_loop(op, r, r.shape or [1]) for r in (source, target))
    left = left.with_dims(left.shape[::-1], [1, 0]) if op.name == "tl.transpose" else left
    return not right.canonical().thread == left.canonical().thread or not left.same_map(right)


def _through_shared(op: ir.Operation, source: _Region, target: _Region, threads: int) -> None:
    """Exchange elements between threads through a shared tile of the target's element type."""
    element = ir.MemRefType(target.buffer.type).element_type
    shape = source.shape or [1]
    layout = {"layout": to_attr(row_major(shape, pad=max(1, 128 // max(8, _bits(target.buffer)))))}
    staged = ir.Operation.create("tl.alloc", [buffer_type(shape, element, SHARED)], attributes=layout).result
    tile = region_of(staged)

    def write(variables: list[ir.Value]) -> None:
        build.store(
            convert(op, build.load(source.buffer, source.indices(variables)), element), staged, tile.indices(variables)
        )

    def read(variables: list[ir.Value]) -> None:
        flipped = variables[::-1] if op.name == "tl.transpose" else variables
        build.store(build.load(staged, tile.indices(flipped)), target.buffer, target.indices(variables))

    _element_loop(op, [source, tile], tile, threads, write)
    _element_loop(op, [tile, target], target, threads, read)


def _element_loop(
    op: ir.Operation, regions: Sequence[_Region], target: _Region, threads: int, body: Callable[[list[ir.Value]], None]
) -> None:
    """A loop over the target's elements: spread over the threads, or whole in each thread when it has its own copy."""
    if any(scope_of(r.buffer) in (LOCAL, VAR) for r in regions):
        _thread_loop(target.shape, [], body)
        return
    shape = target.shape or [1]
    layout = _loop_layout(op, regions, shape, threads)
    loop = build.parallel(shape, {"layout": to_attr(layout)})
    with ir.InsertionPoint(loop.regions[0].blocks[0]):
        body(list(loop.regions[0].blocks[0].arguments)[: len(target.shape)])


def _thread_loop(shape: list[int], variables: list[ir.Value], body: Callable[[list[ir.Value]], None]) -> None:
    if not shape:
        body(variables)
        return
    loop = build.for_range(shape[0])
    loop.attributes["tl.unroll"] = build.unit()
    with ir.InsertionPoint(loop.regions[0].blocks[0]):
        _thread_loop(shape[1:], [*variables, loop.regions[0].blocks[0].arguments[0]], body)
        ir.Operation.create("scf.yield")


def convert(op: ir.Operation, value: ir.Value, element: ir.Type) -> ir.Value:
    """The value in another element type; an operation marked `unsigned` reads integers so."""
    if value.type == element:
        return value
    unsigned = "unsigned" in op.attributes
    names = {
        "from": ir.StringAttr.get(dtypes.from_mlir(str(value.type), unsigned=unsigned)),
        "to": ir.StringAttr.get(dtypes.from_mlir(str(element), unsigned=unsigned)),
    }
    return ir.Operation.create("tl.cast", [element], [value], names).result


def _expand_fill(op: ir.Operation, threads: int) -> None:
    with ir.InsertionPoint(op), op.location:
        target = region_of(op.operands[0])
        fill = lambda variables: build.store(op.operands[1], target.buffer, target.indices(variables))
        _element_loop(op, [target], target, threads, fill)
    op.erase()


def _expand_im2col(op: ir.Operation, threads: int) -> None:
    with ir.InsertionPoint(op), op.location:
        image, target = op.operands[0], region_of(op.operands[1])

        def body(variables: list[ir.Value]) -> None:
            along = dict(zip(target.dims, variables, strict=True))
            rank = len(target.sizes)
            within = [along[d] if d in along else build.constant(0) for d in (rank - 2, rank - 1)]
            build.store(build.load(image, im2col.places(op, within)), target.buffer, target.indices(variables))

        _element_loop(op, [target], target, threads, body)
    op.erase()


def _loop_layout(op: ir.Operation, regions: Sequence[_Region], shape: list[int], threads: int) -> Fragment:
    """The layout of the fragment that takes part (the one without replication if two do), else a coalesced one."""
    if "loop_layout" in op.attributes:
        layout = from_attr(op.attributes["loop_layout"])
        assert isinstance(layout, Fragment)
        return layout
    found: list[Fragment] = []
    for position, region in enumerate(regions):
        if scope_of(region.buffer) == FRAGMENT:
            fragment = _fragment_loop(op, region, shape)
            flip = op.name == "tl.transpose" and position == 0 and fragment.shape != tuple(shape)
            found.append(fragment.with_dims(shape, [1, 0]) if flip else fragment)
    if found:
        return min(found, key=lambda f: f.replication)
    bits = max(_bits(r.buffer) for r in regions)
    limit = ir.IntegerAttr(op.attributes["coalesced_width"]).value if "coalesced_width" in op.attributes else 0
    return plan_fragment(shape, bits, threads, limit=limit)


def _fragment_loop(op: ir.Operation, region: _Region, shape: list[int]) -> Fragment:
    attr = region.buffer.owner.operation.attributes
    layout = from_attr(attr["layout"])
    assert isinstance(layout, Fragment)
    full = tuple(ir.MemRefType(region.buffer.type).shape)
    if region.sizes != full:
        part = _part_layout(layout, region)
        if part is None:
            raise LayoutError(
                f"a copy of a part {list(region.sizes)} of a fragment of {list(full)}",
                python_location(op.location),
                hint="copy whole fragments, or go through shared memory",
            )
        return part
    if not region.dims:
        return layout.project([0]) if len(full) > 1 else layout
    return layout.project(region.dims)


def _part_layout(layout: Fragment, region: _Region) -> Fragment | None:
    """How the threads hold a part of a fragment, registers counted without the rest; None where not all have as many.

    Which threads have the part must not depend on numbers of run time: where it starts along a dimension that lies in
    registers alone does not matter.
    """
    starts = [0 if offset is None else build.known_constant(offset) for offset in region.offsets]
    spread = {digit.dim for digit in layout.thread}
    if layout.replication > 1 or layout.is_padded or any(starts[dim] is None for dim in spread):
        return None
    starts = [start or 0 for start in starts]
    grid = [axis + start for axis, start in zip(np.indices(region.sizes), starts, strict=True)]
    shape = region.shape or [1]
    thread = layout.thread_of(grid).reshape(shape)
    _, registers = np.unique(layout.value_of(grid), return_inverse=True)
    try:
        return from_table(shape, thread, registers.reshape(shape), threads=layout.num_threads)
    except TileValueError:
        return None


def _bits(buffer: ir.Value) -> int:
    element = ir.MemRefType(buffer.type).element_type
    return 8 if str(element) == "i1" else element.width
