"""What MFMA and WMMA have in common: element formats, and running many products as one batched one.

A form's tables say which lane and register hold which matrix element; the instructions' own modules build them from
the ISA documents. Products are summed in float32 (integers and float64 in float64, exactly up to 2^53); the order of
the hardware's sum is not documented, so results agree to rounding only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tilelang_mlir.isa.amd import formats
from tilelang_mlir.isa.instruction import Machine, Run

IntArray = np.ndarray


@dataclass(frozen=True, eq=False)
class Tables:
    """Where elements lie. `a` is (blocks, M, K), `b` (blocks, K, N): lane * elements per lane + element. `d_*` are
    (lanes, elements): the block, row and column of each element of the result."""

    a: IntArray
    b: IntArray
    d_block: IntArray
    d_row: IntArray
    d_column: IntArray

    @property
    def lanes(self) -> int:
        return self.d_row.shape[0]


def elements(value: Any, kind: str, machine: Machine) -> np.ndarray:
    """An operand (C|1, T) or (C|1, T, n) as numbers (C|1, waves, lanes * elements)."""
    value = value if isinstance(value, np.ndarray) and value.ndim >= 2 else np.asarray(value).reshape(1, 1)
    if value.shape[1] == 1:
        value = np.broadcast_to(value, (value.shape[0], machine.shape[1], *value.shape[2:]))
    numbers = formats.decode(value, kind)
    waves = machine.active().shape[1]
    return numbers.reshape(value.shape[0], waves, -1)


def multiply(machine: Machine, tables: Tables, kinds: tuple[str, str], lefts: list[Any], rights: list[Any],
             starts: list[Any]) -> list[np.ndarray]:  # fmt: skip
    """D = A B + C for every pair of an A and a B, row by row. `starts` has the C of every product."""
    blocks, m, k = tables.a.shape
    n = tables.b.shape[2]
    left = [elements(v, kinds[0], machine).take(tables.a, axis=2) for v in lefts]
    right = [elements(v, kinds[1], machine).take(tables.b, axis=2) for v in rights]
    ctas = max(x.shape[0] for x in (*left, *right))
    waves = left[0].shape[1]
    wide = np.float64 if {left[0].dtype, right[0].dtype} & {np.dtype(np.float64)} else np.float32
    a = np.empty((ctas, waves, blocks, len(left), m, k), wide)
    b = np.empty((ctas, waves, blocks, k, len(right), n), wide)
    for i, value in enumerate(left):
        a[:, :, :, i] = value
    for j, value in enumerate(right):
        b[:, :, :, :, j] = value
    product = np.matmul(
        a.reshape(ctas, waves, blocks, len(left) * m, k), b.reshape(ctas, waves, blocks, k, len(right) * n)
    ).reshape(ctas, waves, blocks, len(left), m, len(right), n)
    out: list[np.ndarray] = []
    for i in range(len(left)):
        for j in range(len(right)):
            part = product[:, :, :, i, :, j][:, :, tables.d_block, tables.d_row, tables.d_column]
            part = part.reshape(ctas, waves * tables.lanes, -1)
            start = starts[i * len(right) + j]
            scalar = start.ndim < 3  # (C, T), or one number for all
            total = (part[..., 0] if scalar else part) + start.astype(wide, copy=False)
            out.append(total.astype(start.dtype))
    return out


def single(grid: Any) -> Any:
    """The semantics of one instruction from those of many."""

    def semantics(op: Any) -> Run:
        run = grid(op)
        return lambda machine, a, b, c, *rest: run(machine, [(a,)], [(b,)], [(c,)])[0]

    return semantics
