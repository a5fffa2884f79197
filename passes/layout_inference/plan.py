"""Layouts chosen freely: coalesced vectors along the last dimension, threads over what remains."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...dialect.layout import REPLICATE, Digit, Fragment

VECTOR = 128
"""Bits of a vector, unless one of `widest` serves a tile better."""


def plan_fragment(
    shape: Sequence[int], bits: int, threads: int, *, limit: int = 0, exact: bool = False, widest: int = VECTOR
) -> Fragment:
    """Spread a tile over threads: vectors of `widest` bits, at most `limit` elements, neighbours in neighbour threads.

    Where the shape has no common factor with the threads, the thread digit is padded past the edge rather than leaving
    threads without work; threads left over replicate. `exact` layouts are never padded.
    """
    shape = tuple(shape) or (1,)
    vector = _vector(shape, widest // max(bits, 8), threads, limit)
    whole, padded = (_spread(shape, vector, threads, pad=pad) for pad in (False, True))
    return padded if padded.num_values < whole.num_values and not exact else whole


def _spread(shape: tuple[int, ...], vector: int, threads: int, *, pad: bool) -> Fragment:
    """Deal the threads out from the last dimension to the first."""
    last = len(shape) - 1
    thread: list[Digit] = []
    value = [Digit(vector, last, 1)]
    left = threads
    for dim in reversed(range(len(shape))):
        stride = vector if dim == last else 1
        count = shape[dim] // stride
        here = _share(left, count) if pad else math.gcd(left, count)
        repeats = -(-count // here)
        thread.append(Digit(here, dim, stride))
        value.append(Digit(repeats, dim, stride * here))
        left //= here
    if left > 1:
        thread.append(Digit(left, REPLICATE, 1))
    return Fragment(shape, tuple(thread), tuple(value))


def extend_fragment(
    fragment: Fragment, variables: Sequence[int], extents: Sequence[int], bits: int, *, share: bool = True
) -> Fragment:
    """A loop layout over `extents` in which the variables `variables` run as a fragment of those dimensions lies.

    The fragment's replicas share the other dimensions: vectors along the last of them, then threads, then registers.
    Without `share` each replica runs through all of them.
    """
    others = [d for d in reversed(range(len(extents))) if d not in variables]
    left, stride = {d: extents[d] for d in others}, dict.fromkeys(others, 1)
    value: list[Digit] = []
    if others and others[0] == len(extents) - 1:
        vector = math.gcd(extents[-1], max(1, VECTOR // max(bits, 8)))
        value.append(Digit(vector, others[0], 1))
        left[others[0]] //= vector
        stride[others[0]] = vector
    thread: list[Digit] = []
    for digit in fragment.thread:
        if digit.dim != REPLICATE:
            thread.append(Digit(digit.size, variables[digit.dim], digit.stride))
            continue
        rest = digit.size
        for dim in others if share else ():
            part = math.gcd(rest, left[dim])
            thread.append(Digit(part, dim, stride[dim]))
            stride[dim] *= part
            left[dim] //= part
            rest //= part
        thread.append(Digit(rest, REPLICATE, 1))
    value += [Digit(d.size, variables[d.dim], d.stride) for d in fragment.value]
    value += [Digit(left[d], d, stride[d]) for d in others]
    return Fragment(tuple(extents), tuple(thread), tuple(value))


def _vector(shape: tuple[int, ...], widest: int, threads: int, limit: int) -> int:
    most = max(1, widest)
    most = min(most, limit) if limit else most
    total = math.prod(shape)
    vector = 1
    while vector * 2 <= most and shape[-1] % (vector * 2) == 0 and total // (vector * 2) >= threads:
        vector *= 2
    return vector


def _share(threads: int, count: int) -> int:
    """How many of the threads a dimension of `count` steps takes."""
    common = math.gcd(threads, count)
    if common * 2 > min(threads, count):
        return common
    for padded in sorted(d for d in range(1, threads + 1) if threads % d == 0):
        if padded >= count:
            return padded
    return threads
