"""Random tile programs: a seed gives a program (`generate(seed)`), always the same one.

Programs do what kernels do and no more: tiles are written before they are read, blocks write different parts of the
outputs, fragments meet in one loop only when they descend from each other, and values are kept near one.
"""

from __future__ import annotations

import random

from tests.fuzz.program import KernelText, Program, Scalar, Tensor
from tests.fuzz.state import SIZES, Block, State, features
from tests.fuzz.statements import load, statement, store

_TARGETS = (("sm_80", 6), ("sm_90", 1), ("sm_89", 1), ("sm_75", 1), ("gfx942", 1), ("gfx950", 1), ("gfx1100", 1))
_THREADS = (32, 64, 64, 128, 128, 128, 256, 96, 160)


def generate(seed: int, statements: int = 0, target: str = "") -> Program:
    """The program of a seed; `statements` per kernel (0: a random small number); for `target`, or one by chance."""
    rng = random.Random(seed)
    by_chance = rng.choices([t for t, _ in _TARGETS], [w for _, w in _TARGETS])[0]
    target = target or by_chance
    params: list[Tensor | Scalar] = []
    symbols: dict[str, int] = {}
    counter = [0]
    kernels = [
        _kernel(rng, target, params, symbols, counter, statements) for _ in range(rng.choices((1, 2, 3), (12, 3, 1))[0])
    ]
    return Program(seed, target, params, symbols, kernels)


def _kernel(
    rng: random.Random,
    target: str,
    params: list[Tensor | Scalar],
    symbols: dict[str, int],
    counter: list[int],
    statements: int,
) -> KernelText:
    grid = (rng.choice((1, 1, 2, 3)), rng.choice((1, 1, 2)))
    block = Block(grid, rng.choice(_THREADS))
    extents = (str(grid[0]), str(grid[1]))
    if rng.random() < 0.25:
        counter[0] += 1
        block.rows, block.symbol = rng.choice([s for s in SIZES if s > 1]), f"n{counter[0]}"
        block.total = symbols[block.symbol] = grid[1] * block.rows - rng.randrange(block.rows)
        extents = (extents[0], f"T.ceildiv({block.symbol}, {block.rows})")
        if rng.random() < 0.4:
            block.columns, block.column_symbol = rng.choice((8, 17, 32)), f"m{counter[0]}"
            block.column_total = symbols[block.column_symbol] = grid[0] * block.columns - rng.randrange(block.columns)
            extents = (f"T.ceildiv({block.column_symbol}, {block.columns})", extents[1])
    earlier = [p for p in params if isinstance(p, Tensor)]
    state = State(rng, block, features(target), params, counter, earlier=earlier)
    if block.symbol:
        load(state, (block.rows, block.columns or rng.choice((1, 8, 17, 32))))
    elif rng.random() < 0.7:
        load(state)
    for _ in range(statements or rng.choice((2, 3, 4, 5, 7))):
        statement(state)
    for tile in state.tiles:
        if rng.random() < 0.6 or tile is state.tiles[-1]:
            store(state, tile)
    if not state.body:
        load(state)
        store(state)
    return KernelText(grid, extents, block.threads, state.allocations, state.body)
