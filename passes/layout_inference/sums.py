"""Sums in parallel loops: `acc[i] += x[i, j]` adds up all j into one element, in the thread that holds it.

What the index leaves out must lie in registers: threads that shared it would each hold a part of the sum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tilelang_mlir.errors import LayoutError
from tilelang_mlir.mlir import int_array, ir

from ...dialect.layout import REPLICATE, Fragment
from ...dialect.location import name_of, python_location
from .accesses import Access, by_dimension


def updates(accesses: Sequence[Access]) -> list[Access]:
    """Stores to fragments that the loop reads too."""
    read = {a.fragment for a in accesses if not a.is_store}
    return [a for a in accesses if a.is_store and a.fragment in read and a.op.name == "memref.store"]


def sums(loop: ir.Operation, accesses: Sequence[Access]) -> list[Access]:
    """Updates where the index leaves a variable of the loop out.

    An element that all threads index alike (`acc[0]`) is no sum of the block: each thread has its own.
    """
    extents = int_array(loop.attributes["extents"])
    found = updates(accesses)
    return [a for a in found if (named := _named(a)) and any(e > 1 for d, e in enumerate(extents) if d not in named)]


def check_sum(access: Access, layout: Fragment) -> None:
    """Raises LayoutError where threads share what the index of a sum leaves out: a variable, or digits of one."""
    if not _named(access):
        return
    terms = [(dim, t) for dim, s in enumerate(access.subscripts) if s is not None for t in s.terms]
    shared = 1
    for digit in layout.thread:
        if digit.dim == REPLICATE:
            continue
        parts = by_dimension([(dim, t) for dim, t in terms if t.variable == digit.dim], digit)
        shared *= digit.size if None in parts else math.prod(p.size for p in parts if p and p.dim == REPLICATE)
    if shared > 1:
        name = name_of(access.fragment.owner.operation.location) or "the fragment"
        raise LayoutError(
            f"{shared} threads share the iterations that add up to one element of {name}",
            python_location(access.op.location),
            notes=(("allocated here", python_location(access.fragment.owner.operation.location)),),
            hint="another fragment of the loop decides where its iterations run: use T.reduce_sum, or T.alloc_reducer",
        )


def _named(access: Access) -> set[int]:
    return {t.variable for s in access.subscripts if s is not None for t in s.terms}
