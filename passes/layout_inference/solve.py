"""The solver of layout inference: what is known of each buffer, and the steps that add to it."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from tilelang_mlir.errors import LayoutError, TileValueError
from tilelang_mlir.mlir import int_array, ir
from tilelang_mlir.target import Target

from ...dialect.effects import laid_out, root
from ...dialect.layout import Fragment, SharedLayout, recast, replicated, row_major
from ...dialect.layout.attrs import from_attr, to_attr
from ...dialect.location import name_of, python_location
from ...dialect.products import TENSOR_PRODUCTS
from ...dialect.tl import FRAGMENT, SHARED, scope_of
from ...dialect.verify import tile_shape
from ..nvidia.tensor_products import note_obstacle, tensor_products
from ..walk import members_of, num_threads, span_of, threads_of
from .accesses import (
    Access,
    fragment_from_loop,
    loop_accesses,
    loop_layout_beside,
    loop_layout_from,
)
from .gemm import gemm_layouts, narrow_panels, sparse_layouts, tensor_layouts
from .plan import VECTOR, extend_fragment, plan_fragment
from .product_forms import Form, product_forms
from .sums import check_sum, sums, updates
from .tensor import TensorSide
from .vectors import touches, vector_bits

# Operations that spread a fragment over the threads.
_SPREAD = {"tl.copy", "tl.reduce", "tl.gemm", "tl.gemm_sp", "tl.im2col", "tl.scan", "tl.slice", "tl.transpose"}
_WHOLE = 64  # elements of a fragment that every thread holds when code outside of parallel loops reads single ones


@dataclass
class Known:
    """A layout and the operation it came from."""

    layout: Fragment | SharedLayout
    source: ir.Operation


class Solver:
    """Layouts of one kernel."""

    def __init__(
        self, launch: ir.Operation, target: Target, ops: list[ir.Operation], *, wgmma: bool = True, wide: bool = False
    ) -> None:
        self.launch = launch
        self.target = target
        self.wgmma, self.wide = wgmma, wide
        self.threads = num_threads(launch)
        self.ops = ops
        self.known: dict[ir.Value, Known] = {}
        self.loops: dict[ir.Operation, Fragment] = {}
        self.accesses: dict[ir.Operation, list[Access]] = {o: loop_accesses(o) for o in ops if o.name == "tl.parallel"}
        self.sums = {loop: found for loop, accesses in self.accesses.items() if (found := sums(loop, accesses))}
        self.fragments = [
            o.results[0]
            for o in ops
            if o.name in ("tl.alloc", "tl.alloc_reducer") and scope_of(o.results[0]) == FRAGMENT
        ]
        self.fragments += [o.results[0] for o in ops if o.name == "tl.reshape" and scope_of(o.results[0]) == FRAGMENT]
        in_loops = {a.op for accesses in self.accesses.values() for a in accesses}
        self.scalars = {root(o.operands[o.name == "memref.store"]) for o in ops
                        if o.name in ("memref.load", "memref.store") and o not in in_loops}
        self.tensor = TensorSide(ops)
        self.shared = [o.results[0] for o in ops if o.name == "tl.alloc" and scope_of(o.results[0]) == SHARED]

    # -- facts ---------------------------------------------------------------------------------------------------------
    def layout(self, value: ir.Value) -> Fragment | None:
        found = self.known.get(value)
        return found.layout if found is not None and isinstance(found.layout, Fragment) else None

    def learn(
        self, value: ir.Value, layout: Fragment | SharedLayout, source: ir.Operation, *, strict: bool = False
    ) -> bool:
        """Record a layout; returns whether it is new. Strict facts that contradict are an error."""
        old = self.known.get(value)
        if old is None:
            self.known[value] = Known(layout, source)
            return True
        if strict and not _same(old.layout, layout):
            raise self._conflict(value, old, layout, source)
        return False

    def _conflict(
        self, value: ir.Value, old: Known, layout: Fragment | SharedLayout, source: ir.Operation
    ) -> LayoutError:
        name = name_of(value.owner.operation.location) or "the buffer"
        return LayoutError(
            f"{name} needs two different layouts",
            python_location(source.location),
            notes=(
                (f"here it needs {layout}", python_location(source.location)),
                (f"here it needs {old.layout}", python_location(old.source.location)),
                ("allocated here", python_location(value.owner.operation.location)),
            ),
            hint="copy it to a second buffer, or make the operations agree (T.gemm: policy=T.GemmWarpPolicy.FullRow)",
        )

    # -- steps ---------------------------------------------------------------------------------------------------------
    def solve(self) -> None:
        """Give every fragment, shared tile and parallel loop a layout: what operations demand first, what follows from
        it, then free choices, the largest buffer first.

        Raises:
            LayoutError: two operations demand different layouts of a buffer.
        """
        self._strict()
        self._spread()
        while True:
            if not self._extend_a_loop() and not self._plan_a_reducing_loop():
                value = self._largest_unknown()
                if value is None:
                    break
                self._free(value)
            self._spread()
        for loop in self.accesses:
            if loop not in self.loops:
                self.loops[loop] = self._plan_loop(loop)
        for value in self.shared:
            if value not in self.known:
                self.learn(value, row_major(ir.MemRefType(value.type).shape), value.owner.operation)

    def _strict(self) -> None:
        for op in self.ops:
            if op.name in ("tl.gemm", "tl.gemm_sp"):
                narrow_panels(op, threads_of(op), self.target)
        for value in self.fragments + self.shared:
            op = value.owner.operation
            if "layout" in op.attributes:
                self.learn(value, from_attr(op.attributes["layout"]), op)
            elif self._any_place(value):  # whatever its result is read by
                self.learn(value, replicated(ir.MemRefType(value.type).shape, self._users_threads(value)), op)
        for loop in self.accesses:
            if "layout" in loop.attributes:
                layout = from_attr(loop.attributes["layout"])
                assert isinstance(layout, Fragment)
                self.loops[loop] = layout
        forms = product_forms(self.ops, self.target) if self.wgmma else {}
        through_tensor = tensor_products(self.ops, self.target)
        note_obstacle(self.ops, self.target)
        for op in self.ops:
            form = forms.get(op, Form(wgmma=False))
            if "loop_layout" in op.attributes:
                self._follow_loop(op)
            if op in through_tensor:
                for value, layout in tensor_layouts(op):
                    self.learn(value, layout, op, strict=isinstance(layout, Fragment))
            elif op.name in ("tl.gemm", "tl.mma_scaled"):
                for value, layout in gemm_layouts(op, threads_of(op), self.target, form):
                    shared = isinstance(layout, SharedLayout)
                    self.learn(value, layout, op, strict=not shared)
            elif op.name == "tl.gemm_sp":
                for value, layout in sparse_layouts(op, threads_of(op), self.target, form):
                    self.learn(value, layout, op, strict=not isinstance(layout, SharedLayout))
            elif op.name in TENSOR_PRODUCTS or "by_rows" in op.attributes:
                for value, layout in self.tensor.shared_operands(op):
                    self.learn(value, layout, op)

    def _follow_loop(self, op: ir.Operation) -> None:
        """A copy whose loop the program lays out: whole fragments lie where their elements are copied."""
        layout = from_attr(op.attributes["loop_layout"])
        for value in op.operands:
            is_fragment = isinstance(value.type, ir.MemRefType) and scope_of(value) == FRAGMENT
            if is_fragment and tuple(_whole(laid_out(value))) == layout.shape:
                self.learn(laid_out(value), layout, op)

    def _spread(self) -> None:
        changed = True
        while changed:
            changed = False
            for op in self.ops:
                changed |= self._spread_op(op)

    def _spread_op(self, op: ir.Operation) -> bool:
        if op.name == "tl.copy":
            return self._spread_copy(op)
        if op.name == "tl.reduce":
            return self._spread_reduce(op)
        if op.name == "tl.parallel":
            return self._spread_loop(op)
        if op.name == "tl.reshape" and scope_of(op.results[0]) == FRAGMENT:
            return self._spread_view(op)
        if op.name == "tl.finalize_reducer":
            return self._spread_copy(op)
        return False

    def _spread_copy(self, op: ir.Operation) -> bool:
        a, b = op.operands
        met = self.tensor.meeting(op)
        if met is not None and met[0] not in self.known:
            return self.learn(*met, op)
        if scope_of(a) != FRAGMENT or scope_of(b) != FRAGMENT or tile_shape(a) != tile_shape(b):
            return False
        a, b = laid_out(a), laid_out(b)
        for source, target in ((a, b), (b, a)):
            layout = self.layout(source)
            if layout is not None and target not in self.known and _whole(source) == _whole(target):
                return self.learn(target, layout, op)
            if layout is not None and target not in self.known:
                return self.learn(target, _with_unit_dims(layout, ir.MemRefType(target.type).shape), op)
        return False

    def _spread_reduce(self, op: ir.Operation) -> bool:
        source, target = (laid_out(v) for v in op.operands)
        layout = self.layout(source)
        if layout is None or target in self.known or scope_of(target) != FRAGMENT:
            return False
        keep = ir.MemRefType(target.type).rank == ir.MemRefType(source.type).rank
        return self.learn(target, layout.reduce(ir.IntegerAttr(op.attributes["dim"]).value, keep=keep), op)

    def _spread_view(self, op: ir.Operation) -> bool:
        """A view has its source's layout under another shape, and the other way round."""
        source, view = op.operands[0], op.results[0]
        for a, b in ((source, view), (view, source)):
            layout = self.layout(a)
            if layout is None or b in self.known:
                continue
            try:
                bits = [_bits(ir.MemRefType(v.type).element_type) for v in (a, b)]
                return self.learn(b, recast(layout, ir.MemRefType(b.type).shape, *bits), op)
            except TileValueError:
                continue
        return False

    def _spread_loop(self, loop: ir.Operation) -> bool:
        changed = False
        if loop not in self.loops:
            layout = self._loop_layout(loop)
            if layout is None:
                return False
            self.loops[loop] = layout
            changed = True
        for access in self.accesses[loop]:
            if access.fragment in self.known:
                continue
            shape = tuple(ir.MemRefType(access.fragment.type).shape)
            layout = fragment_from_loop(access, self.loops[loop], shape)
            if layout is not None:
                changed |= self.learn(access.fragment, layout, loop)
        return changed

    def _loop_layout(self, loop: ir.Operation) -> Fragment | None:
        """From a fragment that all loop variables index: a stored one if there is, and one without replication.

        What other threads hold can be read through a copy, but not written."""
        rank = len(loop.regions[0].blocks[0].arguments)
        extents = int_array(loop.attributes["extents"])
        candidates: list[tuple[bool, int, Fragment]] = []
        for access in self.accesses[loop]:
            fragment = self.layout(access.fragment)
            if fragment is None or not (access.covers(rank) or access.is_store and None in access.subscripts):
                continue
            find = loop_layout_from if access.covers(rank) else loop_layout_beside
            layout = find(access, fragment, extents)
            if layout is not None:
                candidates.append((not access.is_store, layout.replication, layout))
        return min(candidates, key=lambda c: c[:2], default=(True, 1, None))[2]

    def _plan_a_reducing_loop(self) -> bool:
        """Give a loop that updates a reducer a coalesced layout, and the reducer what follows; False when none is left.

        Loops wait for other fragments that they use: those are fixed by what they come from."""
        for loop, accesses in self.accesses.items():
            if loop in self.loops or not any(a.op.name == "tl.reducer_update" for a in accesses):
                continue
            if all(a.op.name == "tl.reducer_update" or a.fragment in self.known for a in accesses):
                self.loops[loop] = self._plan_loop(loop)
                return True
        return False

    def _extend_a_loop(self) -> bool:
        """Give a loop that uses a known fragment of fewer dimensions a layout that extends it; False when none does."""
        for loop, accesses in self.accesses.items():
            if loop in self.loops:
                continue
            for access in accesses:
                fragment = self.layout(access.fragment)
                variables = [v for v in access.variables if v is not None]
                if fragment is None or len(variables) != len(access.variables) or len(set(variables)) != len(variables):
                    continue
                extents = int_array(loop.attributes["extents"])
                if [extents[v] for v in variables] == list(fragment.shape):
                    bits, share = self._element_bits(loop), loop not in self.sums
                    self.loops[loop] = extend_fragment(fragment, variables, extents, bits, share=share)
                    return True
        return False

    # -- free choices --------------------------------------------------------------------------------------------------
    def _largest_unknown(self) -> ir.Value | None:
        """Sums first, since loops have to run where they lie; reducers last: they follow from the loops."""
        unknown = [v for v in self.fragments if v not in self.known]
        kind = lambda v: ir.MemRefType(v.type)
        summed = {a.fragment for accesses in self.sums.values() for a in accesses}
        rank = lambda v: (v.owner.name != "tl.alloc_reducer", v in summed, math.prod(kind(v).shape), kind(v).rank)
        return max(unknown, key=rank, default=None)

    def _free(self, value: ir.Value) -> None:
        value = self._widest_view(value)
        kind = ir.MemRefType(value.type)
        op = value.owner.operation
        if (loop := self._loop_with_gaps(value)) is not None:
            self.loops[loop] = self._plan_loop(loop)
            return
        if self._floats(value) or (value in self.scalars and math.prod(kind.shape) <= _WHOLE):
            self.learn(value, replicated(kind.shape, self._users_threads(value)), op)
            return
        layout = plan_fragment(
            kind.shape, _bits(kind.element_type), self._users_threads(value), exact=_has_other_shape(value),
            widest=vector_bits([op for op in self.ops if touches(op, value)]) if self.wide else VECTOR,
        )  # fmt: skip
        self.learn(value, layout, op)

    def _widest_view(self, value: ir.Value) -> ir.Value:
        """The view of a fragment that has wider elements, if there is one: its layout always gives the fragment's."""
        views = [use.owner.operation.results[0] for use in value.uses if use.owner.name == "tl.reshape"]
        views += [value.owner.operation.operands[0]] if value.owner.name == "tl.reshape" else []
        bits = lambda v: _bits(ir.MemRefType(v.type).element_type)
        return max([value, *(v for v in views if v not in self.known)], key=bits)

    def _any_place(self, value: ir.Value) -> bool:
        """A reducer that a loop updates at an index without digits: every thread has all elements, for its own sums."""
        if value.owner.name != "tl.alloc_reducer":
            return False
        updates = (a for accesses in self.accesses.values() for a in accesses if a.fragment == value)
        return any(None in a.subscripts for a in updates)

    def _loop_with_gaps(self, value: ir.Value) -> ir.Operation | None:
        """A loop over the fragment that needs parts of what it reads in registers: its own variables are spread."""
        for loop, accesses in self.accesses.items():
            mine = any(a.fragment == value and any(s is not None and s.terms for s in a.subscripts) for a in accesses)
            if mine and loop not in self.loops and any(a.gapped and a.fragment not in self.known for a in accesses):
                return loop
        return None

    @functools.cached_property
    def _uses(self) -> dict[ir.Value, list[ir.Operation]]:
        """The operations on each buffer and its views, in order."""
        found: dict[ir.Value, list[ir.Operation]] = {}
        for op in self.ops:
            for buffer in dict.fromkeys(root(v) for v in op.operands if isinstance(v.type, ir.MemRefType)):
                found.setdefault(buffer, []).append(op)
        return found

    def _users_threads(self, value: ir.Value) -> int:
        """Threads that hold a fragment: those of the operations that use it, which must agree."""
        uses = [op for op in self._uses.get(value, ()) if op.name not in ("tl.slice", "tl.reshape")]
        counts = {threads_of(op): op for op in uses}
        if len(counts) > 1:
            name = name_of(value.owner.operation.location) or "the fragment"
            raise LayoutError(
                f"{name} is used by {' and by '.join(f'{n} threads' for n in sorted(counts))}",
                python_location(value.owner.operation.location),
                notes=tuple(
                    (f"by {span_of(members_of(op))}", python_location(op.location))
                    for op in counts.values()
                ),
                hint="a fragment belongs to the threads of one T.ws region; copy through shared memory between regions",
            )
        return next(iter(counts), self.threads)

    def _floats(self, value: ir.Value) -> bool:
        """Touched only outside of tile operations and parallel loops, or by fixed elements: each thread has its own."""
        in_loops = [a for accesses in self.accesses.values() for a in accesses if a.fragment == value]
        if any(s is not None and s.terms for a in in_loops for s in a.subscripts):
            return False
        users = {use.owner.operation.name for use in value.uses}
        return not users & _SPREAD

    def _plan_loop(self, loop: ir.Operation) -> Fragment:
        extents = int_array(loop.attributes["extents"])
        limit = ir.IntegerAttr(loop.attributes["coalesced_width"]).value if "coalesced_width" in loop.attributes else 0
        if -1 in extents:
            # A dynamic extent is run through by all threads; the loop around the chunks is at run time.
            raise LayoutError("a parallel loop has a run-time extent", python_location(loop.location),
                              hint="use a constant extent and guard the body with `if`")
        widest = vector_bits([loop]) if self.wide else VECTOR
        return plan_fragment(extents, self._element_bits(loop), threads_of(loop), limit=limit, widest=widest)

    def _element_bits(self, loop: ir.Operation) -> int:
        """The widest element that the loop's body touches."""
        body = loop.regions[0].blocks[0]
        found = [
            _bits(_element(o.operation)) for o in body.operations if o.operation.name in ("memref.load", "memref.store")
        ]
        return max(found, default=32)

    # -- result --------------------------------------------------------------------------------------------------------
    def assign(self) -> None:
        """Write the layouts into the program."""
        if any(op.name == "tl.warpgroups" for op in self.ops):
            for value in self.fragments:
                self._users_threads(value)
        self.tensor.assign()
        for value, known in self.known.items():
            value.owner.operation.attributes["layout"] = to_attr(known.layout)
        for loop, layout in self.loops.items():
            for access in updates(self.accesses.get(loop, ())):
                check_sum(access, layout)
            loop.attributes["layout"] = to_attr(layout)


def _same(a: Fragment | SharedLayout, b: Fragment | SharedLayout) -> bool:
    if isinstance(a, Fragment) and isinstance(b, Fragment):
        return a.same_map(b)
    return a == b


def _whole(value: ir.Value) -> list[int]:
    return list(ir.MemRefType(value.type).shape)


def _has_other_shape(value: ir.Value) -> bool:
    """Whether views cut a fragment's dimensions elsewhere, which a padded one does not bear."""
    views = [use.owner.operation for use in value.uses if use.owner.name == "tl.reshape"]
    views += [value.owner.operation] if value.owner.name == "tl.reshape" else []
    cuts = lambda v: [size for size in ir.MemRefType(v.type).shape if size != 1]
    return any(cuts(view.operands[0]) != cuts(view.results[0]) for view in views)


def _with_unit_dims(layout: Fragment, shape: list[int]) -> Fragment:
    """The layout under a shape that differs in unit dimensions only."""
    old = [i for i, s in enumerate(layout.shape) if s != 1]
    new = [i for i, s in enumerate(shape) if s != 1]
    squeezed = layout.project(old) if len(old) != len(layout.shape) else layout
    return squeezed.with_dims(tuple(shape), new)


def _bits(element: ir.Type) -> int:
    return 8 if str(element) == "i1" else element.width


def _element(op: ir.Operation) -> ir.Type:
    return ir.MemRefType(op.operands[0 if op.name == "memref.load" else 1].type).element_type
