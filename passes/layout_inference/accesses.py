"""How the body of a parallel loop indexes fragments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tilelang_mlir.errors import TileValueError
from tilelang_mlir.mlir import int_array, ir

from ...dialect.effects import laid_out
from ...dialect.layout import REPLICATE, Digit, Fragment
from ...dialect.tl import FRAGMENT, scope_of
from ..walk import nested
from .subscripts import Subscript, Term, subscript


@dataclass(frozen=True)
class Access:
    """One access to a fragment: per dimension, what indexes it, or None for what is no mixed-radix number."""

    fragment: ir.Value
    subscripts: tuple[Subscript | None, ...]
    is_store: bool
    op: ir.Operation

    @property
    def variables(self) -> tuple[int | None, ...]:
        """Per dimension, the loop variable that indexes it, or None for anything else."""
        return tuple(None if s is None else s.plain for s in self.subscripts)

    @property
    def gapped(self) -> bool:
        """Parts of the fragment must lie in registers, for the indices to reach them."""
        shape = ir.MemRefType(self.fragment.type).shape
        return None not in self.subscripts and any(
            s.gaps(size) and size != 1 for s, size in zip(self.subscripts, shape, strict=True) if s is not None
        )

    def covers(self, rank: int) -> bool:
        """Every loop variable takes part in one index; its low digits may be missing where the access only reads."""
        if None in self.subscripts:
            return False
        terms = [t for s in self.subscripts if s is not None for t in s.terms]
        whole = all(t.top and (t.divisor == 1 or not self.is_store) for t in terms)
        return whole and sorted(t.variable for t in terms) == list(range(rank))


def loop_accesses(loop: ir.Operation) -> list[Access]:
    """All fragment accesses of a parallel loop, stores first."""
    variables = {v: i for i, v in enumerate(loop.regions[0].blocks[0].arguments)}
    extents = int_array(loop.attributes["extents"])
    found: list[Access] = []
    for op in nested(loop):
        if op.name not in ("memref.load", "memref.store", "tl.reducer_update"):
            continue
        first = {"memref.load": 0, "memref.store": 1, "tl.reducer_update": 0}[op.name]
        buffer = op.operands[first]
        if scope_of(buffer) != FRAGMENT:
            continue
        skip = first + (2 if op.name == "tl.reducer_update" else 1)
        indices = tuple(subscript(v, variables, extents) for v in list(op.operands)[skip:])
        found.append(Access(laid_out(buffer), indices, op.name != "memref.load", op))
    return sorted(found, key=lambda a: not a.is_store)


def loop_layout_from(access: Access, fragment: Fragment, extents: Sequence[int]) -> Fragment | None:
    """The loop layout in which every iteration runs where its element lies; None where threads lack what it reaches."""
    shared = [Digit(t.divisor, t.variable, 1) for s in access.subscripts if s is not None for t in s.terms]
    sides: list[list[Digit]] = []
    for digits in (fragment.thread, fragment.value):
        side: list[Digit] = []
        for digit in digits:
            parts = [digit] if digit.dim == REPLICATE else _by_variable(access, digit)
            if parts is None or (digits is fragment.thread and any(p.dim == _GAP for p in parts)):
                return None
            side += [p for p in parts if p.dim != _GAP]
        sides.append(side)
    sides[1] = shared + sides[1]  # iterations that use one element follow each other in its thread
    reach = [1] * len(extents)
    for digit in sides[0] + sides[1]:
        if digit.dim != REPLICATE:
            reach[digit.dim] *= digit.size
    if any(have < extent for have, extent in zip(reach, extents, strict=True)):
        return None
    return Fragment(tuple(extents), tuple(sides[0]), tuple(sides[1]))


def loop_layout_beside(access: Access, fragment: Fragment, extents: Sequence[int]) -> Fragment | None:
    """The loop layout for a fragment of which some dimensions lie in registers only, so that any index will do there
    (`f[i, j + 8]`): other dimensions are indexed by one variable each, the variables left over lie in registers."""
    spread = {d.dim for d in fragment.thread if d.dim != REPLICATE}
    named = {dim: access.variables[dim] for dim in range(len(fragment.shape)) if dim in spread}
    variables = {dim: v for dim, v in named.items() if v is not None and extents[v] == fragment.shape[dim]}
    if len(set(variables.values())) != len(named):
        return None

    def moved(digit: Digit) -> Digit:
        return digit if digit.dim == REPLICATE else Digit(digit.size, variables[digit.dim], digit.stride)

    left = [Digit(extents[v], v, 1) for v in reversed(range(len(extents))) if v not in variables.values()]
    value = [moved(d) for d in fragment.value if d.dim in variables]
    return Fragment(tuple(extents), tuple(moved(d) for d in fragment.thread), (*left, *value))


_GAP = -2  # a digit that no variable of the loop walks


def _by_variable(access: Access, digit: Digit) -> list[Digit] | None:
    """A digit of the fragment as digits of the loop's variables and gaps, fastest first; None where they straddle."""
    subscript = access.subscripts[digit.dim]
    assert subscript is not None
    parts: list[Digit] = []
    stride, end = digit.stride, digit.stride * digit.size
    while stride < end:
        term = next((t for t in reversed(subscript.terms) if t.coefficient <= stride), None)
        above = [t.coefficient for t in subscript.terms if t.coefficient > stride]
        limit = min([end, *above])
        if term is not None and (above or subscript.rest):  # the last term alone may go on past its extent
            if stride < term.reach:
                limit = min(limit, term.reach)
            else:
                term = None
        if limit % stride or (term is not None and stride % term.coefficient):
            return None
        parts.append(Digit(limit // stride, _GAP if term is None else term.variable,
                           1 if term is None else stride // term.coefficient * term.divisor))
        stride = limit
    return parts


def fragment_from_loop(access: Access, loop: Fragment, shape: tuple[int, ...]) -> Fragment | None:
    """The fragment whose elements lie where the loop's iterations use them; None when an index is no mixed-radix
    number (dimensions of size one aside), or the loop covers less than the fragment.

    What the loop's variables do not walk lies in registers of every thread."""
    place: dict[int, list[tuple[int, Term]]] = {}
    extra: list[Digit] = []
    for dim, (index, size) in enumerate(zip(access.subscripts, shape, strict=True)):
        if size == 1 and (index is None or index.serial):
            continue
        gaps = None if index is None else index.gaps(size)
        if index is None or gaps is None:
            return None
        extra += [Digit(count, dim, stride) for count, stride in gaps]
        for term in index.terms:
            if term.reach < size and term.variable in loop.padded_dims():
                return None
            place.setdefault(term.variable, []).append((dim, term))
    thread, value = ([part for d in digits for part in by_dimension(place.get(d.dim, []), d)]
                     for digits in (loop.thread, loop.value))
    if any(part is None for part in thread + value):
        return None
    kept = [part for part in value if part is not None and part.dim != REPLICATE]
    try:
        return Fragment(shape, tuple(part for part in thread if part is not None), (*kept, *extra))
    except TileValueError:
        return None  # two indices walk one digit, or the loop's digits end elsewhere than the index's


def by_dimension(terms: list[tuple[int, Term]], digit: Digit) -> list[Digit | None]:
    """A digit of the loop as digits of the fragment, fastest first: replication where no index uses it; None where it
    straddles the edge of a term."""
    parts: list[Digit | None] = []
    stride, end = digit.stride, digit.stride * digit.size
    edges = [t.divisor for _, t in terms] + [t.divisor * t.extent for _, t in terms if not t.top]
    while stride < end:
        inside = next(
            ((d, t) for d, t in terms if t.divisor <= stride and (t.top or stride < t.divisor * t.extent)), None
        )
        limit = min([end, *(edge for edge in edges if stride < edge)])
        if limit % stride or end % limit:
            return [None]
        if inside is None:
            parts.append(Digit(limit // stride, REPLICATE, 1))
        else:
            dim, term = inside
            parts.append(Digit(limit // stride, dim, stride // term.divisor * term.coefficient))
        stride = limit
    return parts
