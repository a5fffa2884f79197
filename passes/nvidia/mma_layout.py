"""How warps share a matrix product on mma.sync, and the fragments that follow.

One instruction computes 16x8 (8x8 for float64) from k of 256 bits per row (PTX ISA, "Matrix Fragments for mma"). Warps
are numbered along M first; each owns a contiguous part of C.
"""

from __future__ import annotations

from dataclasses import dataclass

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import ir

from ...dialect.layout import REPLICATE, Digit, Fragment
from ...dialect.location import python_location
from ..warp_grid import WarpGrid, split_tile


@dataclass(frozen=True)
class MmaShape:
    """m x n x k of one instruction for operands of `bits` bits."""

    m: int
    n: int
    k: int


def mma_shape(bits: int) -> MmaShape:
    return MmaShape(8, 8, 4) if bits == 64 else MmaShape(16, 8, 256 // bits)


def sparse_shape(shape: MmaShape) -> MmaShape:
    """The instruction with a sparse A: twice as deep, for the same registers of A."""
    return MmaShape(shape.m, shape.n, 2 * shape.k)


def require_whole_steps(op: ir.Operation, k: int, shape: MmaShape) -> None:
    """An error at the op's Python line where the instruction does not divide K."""
    if k % shape.k:
        where = python_location(op.location)
        raise UnsupportedError(f"K = {k} is no multiple of {shape.k}", where, hint="use a larger block_K")


def partition(m: int, n: int, warps: int, policy: str, shape: MmaShape, op: ir.Operation) -> WarpGrid:
    """Split C over the warps in multiples of the instruction's tile."""
    return split_tile(m, n, warps, policy, (shape.m, shape.n), op)


def accumulator(grid: WarpGrid, shape: MmaShape) -> Fragment:
    """C: a lane holds two neighbours in a row, and the same eight rows further down."""
    warps = (Digit(grid.m, 0, grid.rows), Digit(grid.n, 1, grid.columns), Digit(grid.replicas, REPLICATE, 1))
    thread = (Digit(4, 1, 2), Digit(8, 0, 1), *warps)
    value = [Digit(2, 1, 1)]
    if shape.m == 16:
        value.append(Digit(2, 0, 8))
    value += [Digit(grid.columns // shape.n, 1, shape.n), Digit(grid.rows // shape.m, 0, shape.m)]
    return Fragment((grid.rows * grid.m, grid.columns * grid.n), thread, tuple(value))


def operand_a(grid: WarpGrid, shape: MmaShape, k: int, bits: int) -> Fragment:
    """A [M, K] in registers, for every warp along N."""
    pack = max(1, 32 // bits)
    warps = (Digit(grid.m, 0, grid.rows), Digit(grid.n * grid.replicas, REPLICATE, 1))
    thread = (Digit(4, 1, pack), Digit(8, 0, 1), *warps)
    value = [Digit(pack, 1, 1)]
    if shape.m == 16:
        value.append(Digit(2, 0, 8))
    value += [
        Digit(shape.k // (4 * pack), 1, 4 * pack),
        Digit(k // shape.k, 1, shape.k),
        Digit(grid.rows // shape.m, 0, shape.m),
    ]
    return Fragment((grid.rows * grid.m, k), thread, tuple(value))


def operand_fragments(
    grid: WarpGrid, shape: MmaShape, k: int, bits: int, transposed: tuple[bool, bool]
) -> tuple[Fragment, Fragment]:
    """A and B as they are stored in registers."""
    a = operand_a(grid, shape, k, bits)
    if transposed[0]:
        a = a.with_dims(a.shape[::-1], [1, 0])
    return a, operand_b(grid, shape, k, bits, transposed=transposed[1])


def operand_b(grid: WarpGrid, shape: MmaShape, k: int, bits: int, *, transposed: bool) -> Fragment:
    """B in registers, [K, N] or, transposed, [N, K], for every warp along M."""
    pack = max(1, 32 // bits)
    kd, nd = (1, 0) if transposed else (0, 1)
    warps = (Digit(grid.m, REPLICATE, 1), Digit(grid.n, nd, grid.columns), Digit(grid.replicas, REPLICATE, 1))
    thread = (Digit(4, kd, pack), Digit(8, nd, 1), *warps)
    value = (
        Digit(pack, kd, 1),
        Digit(shape.k // (4 * pack), kd, 4 * pack),
        Digit(k // shape.k, kd, shape.k),
        Digit(grid.columns // shape.n, nd, shape.n),
    )
    total = (grid.columns * grid.n, k) if transposed else (k, grid.columns * grid.n)
    return Fragment(total, thread, value)
