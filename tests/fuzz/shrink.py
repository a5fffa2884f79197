"""Cuts a failing program down while it keeps failing the same way."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

from tests.fuzz.program import Node, Program

MAX_TRIALS = 300


def shrink(program: Program, fails: Callable[[Program], bool]) -> Program:
    """The smallest program found by removing kernels and statements, unwrapping loops and branches, and shrinking
    grids and thread counts, for which `fails` holds; `program` must."""
    trials = 0
    progress = True
    while progress:
        progress = False
        for candidate in _smaller(program):
            trials += 1
            if trials > MAX_TRIALS:
                return program
            if fails(candidate):
                program, progress = candidate, True
                break
    return program


def _smaller(program: Program) -> Iterator[Program]:
    for index in reversed(range(len(program.kernels))):
        if len(program.kernels) > 1:
            out = copy.deepcopy(program)
            del out.kernels[index]
            yield out
        for path in reversed(list(_paths(program.kernels[index].body))):
            yield from _without(program, index, path)
        yield from _narrower(program, index)


def _paths(body: list[Node], prefix: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    for index, node in enumerate(body):
        yield (*prefix, index)
        yield from _paths(node.body, (*prefix, index))


def _without(program: Program, kernel: int, path: tuple[int, ...]) -> Iterator[Program]:
    """Without the node, and with its body in its place."""
    for unwrap in (False, True):
        out = copy.deepcopy(program)
        body = out.kernels[kernel].body
        for index in path[:-1]:
            body = body[index].body
        node = body[path[-1]]
        if unwrap and not node.body:
            return
        body[path[-1] : path[-1] + 1] = node.body if unwrap else []
        if body:
            yield out


def _narrower(program: Program, kernel: int) -> Iterator[Program]:
    text = program.kernels[kernel]
    if text.threads > 32:
        out = copy.deepcopy(program)
        out.kernels[kernel].threads = 32
        yield out
    for axis in (0, 1):
        if text.grid[axis] > 1 and text.extents[axis].isdigit():
            out = copy.deepcopy(program)
            grid, extents = list(text.grid), list(text.extents)
            grid[axis], extents[axis] = 1, "1"
            out.kernels[kernel].grid = (grid[0], grid[1])
            out.kernels[kernel].extents = (extents[0], extents[1])
            yield out
