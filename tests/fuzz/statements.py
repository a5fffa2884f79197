"""Statements on whole tiles: copies, reductions, scans, matrix products, loops around them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz.elementwise import parallel
from tests.fuzz.further import bits, functions, gathered, masked, tickets, turned, window
from tests.fuzz.program import Node, Tensor
from tests.fuzz.state import State, Tile, place
from tests.fuzz.structure import (
    annotation,
    late_copy,
    part,
    private,
    reducer,
    row_loop,
    scalar,
    stages,
    tile_atomic,
    variable,
    view,
)
from tests.fuzz.wider import histogram, nibbles, roles, stencil, while_loop

_NARROW = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz")


def load(state: State, shape: tuple[int, ...] | None = None) -> None:
    """A new tile filled from a tensor."""
    tile = state.tile(shape or state.shape(), state.dtype(), state.rng.choice(("shared", "fragment")))
    load_into(state, tile)
    state.live(tile)


def load_into(state: State, tile: Tile, dtype: str = "") -> None:
    source = state.source(
        tile.shape, dtype or (tile.dtype if state.chance(0.7) else state.dtype("float" if tile.is_float else "int"))
    )
    tile.size = 3.0 if tile.is_float else 100.0
    state.emit(f"T.copy({place(source, tile.shape)}, {tile.name})")


def copy(state: State) -> None:
    """From a tile to another: new or existing, in any scope."""
    if not state.tiles:
        return load(state)
    source = state.rng.choice(state.tiles)
    family = source.family if source.scope == "fragment" else None
    fits = [t for t in state.tiles if t is not source and t.shape == source.shape and t.is_float == source.is_float
            and (t.scope != "fragment" or family is None or t.family == family)]  # fmt: skip
    if fits and state.chance(0.4):
        target = state.rng.choice(fits)
    else:
        dtype = source.dtype if state.chance(0.6) else state.dtype("float" if source.is_float else "int")
        target = state.tile(source.shape, dtype, state.rng.choice(("shared", "fragment")), family)
    state.emit(f"T.copy({source.name}, {target.name})")
    target.size = source.size
    state.live(target)
    return None


def store(state: State, tile: Tile | None = None) -> None:
    """A tile to a new output."""
    if tile is None and not state.tiles:
        return
    tile = tile or state.rng.choice(state.tiles)
    dtype = tile.dtype if state.chance(0.7) else state.dtype("float" if tile.is_float else "int")
    target = state.tensor(tile.shape, dtype, "poison")
    state.emit(f"T.copy({tile.name}, {place(target, tile.shape)})")


def fill(state: State) -> None:
    """A constant into a new or existing tile."""
    tile = state.rng.choice(state.tiles) if state.tiles and state.chance(0.3) else None
    tile = tile or state.tile(state.shape(), state.dtype(), state.rng.choice(("shared", "fragment")))
    value = state.rng.choice((0, 1, 3, -2.5 if tile.is_float else 5))
    state.emit(f"T.fill({tile.name}, {value})" if value else f"T.clear({tile.name})")
    state.live(tile)


_FLOAT_KINDS = ("sum", "max", "min", "abssum", "absmax")
_INT_KINDS = (*_FLOAT_KINDS, "bitand", "bitor", "bitxor")


def reduce(state: State) -> None:
    """Reduce a dimension of a tile, into a new or existing result."""
    sources = [t for t in state.tiles if t.dtype not in ("int8", "uint8", "int16") or state.chance(0.3)]
    if not sources:
        return
    source = state.rng.choice(sources)
    dim = state.rng.randrange(len(source.shape))
    keep = state.chance(0.25)
    kept = tuple(1 if d == dim else n for d, n in enumerate(source.shape) if d != dim or keep) or (1,)
    family = (source.family, dim) if source.scope == "fragment" else None
    kind = state.rng.choice(_FLOAT_KINDS if source.is_float else _INT_KINDS)
    old = [t for t in state.tiles if t.shape == kept and t.dtype == source.dtype and t is not source
           and (t.scope == "shared" or t.family == family)]  # fmt: skip
    clear = True
    if old and state.chance(0.5):
        target, clear = state.rng.choice(old), state.chance(0.5)
    else:
        target = state.tile(kept, source.dtype, state.rng.choice(("fragment", "fragment", "shared")), family)
    options = f", dim={dim if state.chance(0.7) else dim - len(source.shape)}" + (", clear=False" if not clear else "")
    state.emit(f"T.reduce_{kind}({source.name}, {target.name}{options})")
    growth = {"sum": math.sqrt(source.shape[dim]), "abssum": source.shape[dim]}.get(kind, 1.0)
    target.size = source.size * growth + (0 if clear else target.size) * (1 + len(state.loops))
    if clear and state.chance(0.25):  # again, on top of what is there
        again = state.rng.choice(("sum", "max", kind))
        state.emit(f"T.reduce_{again}({source.name}, {target.name}, dim={dim}, clear=False)")
        target.size += source.size * source.shape[dim]
    state.live(target)


def scan(state: State) -> None:
    """A running sum or maximum, in place or into a new tile."""
    sources = [t for t in state.tiles if len(t.shape) <= 2 and t.dtype not in ("float16", "bfloat16")]
    if not sources:
        return
    source = state.rng.choice(sources)
    dim, kind = state.rng.randrange(len(source.shape)), state.rng.choice(("sum", "sum", "max"))
    options = f"dim={dim}" + (", reverse=True" if state.chance(0.3) else "")
    if state.chance(0.5):
        target = source
        state.emit(f"T.cum{kind}({source.name}, {options})")
    else:
        scope = state.rng.choice(("shared", "fragment"))
        target = state.tile(source.shape, source.dtype, scope, source.family if scope == source.scope else None)
        state.emit(f"T.cum{kind}({source.name}, {target.name}, {options})")
    target.size = source.size * math.sqrt(source.shape[dim])
    state.live(target)


@dataclass(frozen=True)
class Product:
    """Shapes and types of a matrix product."""

    m: int
    n: int
    k: int
    dtype: str
    sums: str
    transpose: tuple[bool, bool]
    policy: str

    def shapes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        a, b = (self.m, self.k), (self.k, self.n)
        return (a[::-1] if self.transpose[0] else a), (b[::-1] if self.transpose[1] else b)

    def options(self) -> str:
        flags = [f"transpose_{x}=True" for x, on in zip("AB", self.transpose, strict=True) if on]
        return "".join(f", {f}" for f in (*flags, f"policy=T.GemmWarpPolicy.{self.policy}"))


def product(state: State) -> Product | None:
    """A product that the warps can share; None without whole warps, or without instructions for it."""
    if state.block.threads % state.features.wave or not state.features.gemm:
        return None
    warps = state.block.threads // state.features.wave
    dtype, sums = state.rng.choice(state.features.gemm)
    bits = {"float64": 64, "float32": 32, "float16": 16, "bfloat16": 16}.get(dtype, 8)
    rows, step = (8, 4) if bits == 64 else (16, 256 // bits)
    columns = state.features.columns
    rows = max(rows, columns)
    for _ in range(50):
        m, n = rows * state.rng.choice((1, 1, 2, 3, 4)), columns * state.rng.choice((1, 1, 2, 3, 4, 6, 8, 10, 22))
        fits = any(
            warps % a == 0 and m % (a * rows) == 0 and n % (warps // a * columns) == 0 for a in range(1, warps + 1)
        )
        if fits and m * n <= 4096:
            k = step * state.rng.choice((1, 1, 2, 3, 4))
            policy = state.rng.choice(("Square", "Square", "FullRow", "FullCol"))
            return Product(m, n, k, dtype, sums, (state.chance(0.4), state.chance(0.4)), policy)
    return None


def gemm(state: State) -> None:
    """A matrix product of loaded tiles; sometimes pipelined along K, sometimes followed by another product."""
    what = product(state)
    if what is None:
        return
    total = state.tile((what.m, what.n), what.sums, "fragment")
    a, b = (state.tile(s, what.dtype, "shared") for s in what.shapes())
    trips = state.rng.choice((1, 2, 3, 5)) if state.chance(0.6) else 0
    clear = state.chance(0.3)
    if not clear or trips:
        state.emit(f"T.clear({total.name})")
    inner: list[Node] = []
    outer, state.body = state.body, inner
    if trips:
        _pipelined_operands(state, what, a, b)
    else:
        for tile in (a, b):
            load_into(state, tile, what.dtype if what.dtype in _NARROW else "")
    flag = ", clear_accum=True" if clear and not trips else ", clear_accum=(k == 0)" if clear else ""
    state.emit(f"T.gemm({a.name}, {b.name}, {total.name}{what.options()}{flag})")
    state.body = outer
    if trips:
        stages = state.rng.choice((0, 1, 2, 2, 3, 4))
        state.emit(f"for k in T.Pipelined({trips}, num_stages={stages}):", inner)
    else:
        outer.extend(inner)
        if what.dtype not in _NARROW:
            for tile in (a, b):
                state.live(tile)
    total.size = 3 * math.sqrt(what.k * (trips or 1)) if what.dtype != "int8" else 1e5
    state.live(total)
    if state.chance(0.25) and what.dtype in ("float16", "bfloat16"):
        _second_product(state, what, total)


def _pipelined_operands(state: State, what: Product, a: Tile, b: Tile) -> None:
    """Load both operands of step k; A moves along its K, B along its K."""
    gx, gy = state.block.grid
    for tile, k_dim, other in ((a, 0 if what.transpose[0] else 1, "by"), (b, 1 if what.transpose[1] else 0, "bx")):
        steps, count = 5, gy if other == "by" else gx
        sizes = [0, 0]
        sizes[k_dim], sizes[1 - k_dim] = what.k * steps - state.rng.choice((0, 0, 1, 3)), tile.shape[1 - k_dim] * count
        at = [f"k * {what.k}" if d == k_dim else f"{other} * {tile.shape[d]}" for d in (0, 1)]
        dtype = (
            what.dtype
            if what.dtype in _NARROW or state.chance(0.9)
            else state.dtype("float" if tile.is_float else "int")
        )
        tensor = state.inputs(tile.shape, dtype)
        state.params[-1] = tensor = type(tensor)(tensor.name, tuple(sizes), tuple(map(str, sizes)), dtype, "random")
        state.emit(f"T.copy({tensor.name}[{at[0]}, {at[1]}], {tile.name})")


def _second_product(state: State, first: Product, total: Tile) -> None:
    """The first product's result, rounded, as the left operand of another."""
    step = 16
    if first.n % step:
        return
    warps = state.block.threads // state.features.wave
    n = state.features.columns * state.rng.choice((1, 2, 4))
    if first.m % (16 * warps):
        return
    left = state.tile((first.m, first.n), first.dtype, "fragment")
    right = state.tile((first.n, n), first.dtype, "shared")
    result = state.tile((first.m, n), "float32", "fragment")
    load_into(state, right)
    state.emit(
        f"for i, j in T.Parallel({first.m}, {first.n}):", [Node(f"{total.name}[i, j] = {total.name}[i, j] * 0.125")]
    )
    state.emit(f"T.copy({total.name}, {left.name})")
    state.emit(f"T.gemm({left.name}, {right.name}, {result.name}, policy=T.GemmWarpPolicy.FullRow, clear_accum=True)")
    result.size = total.size
    state.live(result)


def atomics(state: State) -> None:
    """Add a tile into a zeroed tensor: all blocks of a row into the same place."""
    tiles = [t for t in state.tiles if t.dtype in ("float32", "int32", "uint32")]
    if not tiles or state.loops:
        return
    tile = state.rng.choice(tiles)
    kind = "add" if tile.is_float else state.rng.choice(("add", "max", "min"))
    name = state.name("O")
    sizes = (max(1, state.block.grid[1] * tile.shape[0] - state.rng.choice((0, 0, 1))), *tile.shape[1:])
    state.params.append(Tensor(name, sizes, tuple(map(str, sizes)), tile.dtype, "zero"))
    variables = ["i", "j", "l"][: len(sizes)]
    target = f"{name}[{', '.join([f'by * {tile.shape[0]} + i', *variables[1:]])}]"
    body = [Node(f"T.atomic_{kind}({target}, {tile.at(variables)})")]
    if sizes[0] % tile.shape[0]:
        body = [Node(f"if by * {tile.shape[0]} + i < {sizes[0]}:", body)]
    state.emit(f"for {', '.join(variables)} in T.Parallel({', '.join(map(str, tile.shape))}):", body)


def transpose(state: State) -> None:
    """A transposed copy through shared memory."""
    sources = [t for t in state.tiles if t.scope == "shared" and len(t.shape) == 2]
    if not sources:
        return
    source = state.rng.choice(sources)
    target = state.tile(source.shape[::-1], source.dtype, state.rng.choice(("shared", "fragment")), size=source.size)
    state.emit(f"T.transpose({source.name}, {target.name})")
    state.live(target)


def nested(state: State) -> None:
    """A loop or branch around other statements. What is new inside stays inside."""
    if state.depth >= 2:
        return
    outer, tiles = state.body, list(state.tiles)
    state.body, state.depth = [], state.depth + 1
    variable = state.rng.choice(("serial", "serial", "pipelined", "unroll", "branch"))
    head = _head(state, variable)
    for _ in range(state.rng.choice((1, 2, 2, 3))):
        statement(state)
    inner, state.body, state.depth = state.body, outer, state.depth - 1
    if variable != "branch":
        state.loops.pop()
    state.tiles = [t for t in state.tiles if t in tiles]
    if inner:
        state.emit(head, inner)


def _head(state: State, kind: str) -> str:
    if kind == "branch":
        name = state.rng.choice(["bx", "by", *state.loops])
        return f"if {name} {state.rng.choice(('== 0', '% 2 == 1', '> 0'))}:"
    name = state.name("k")
    trips = state.rng.choice((1, 2, 3))
    state.loops.append(name)
    if kind == "pipelined":
        return f"for {name} in T.Pipelined({trips}, num_stages={state.rng.choice((1, 2, 3))}):"
    return f"for {name} in T.{kind}({trips}):"


_CHOICES: tuple[tuple[int, Callable[[State], None]], ...] = (
    (12, parallel), (6, load), (10, copy), (4, store), (2, fill), (8, reduce), (2, scan), (6, gemm), (4, nested),
    (2, atomics), (2, transpose), (2, part), (1, view), (1, stages), (2, row_loop), (1, private), (2, variable),
    (1, scalar), (2, reducer), (1, late_copy), (2, annotation), (1, tile_atomic), (2, stencil), (1, while_loop),
    (2, roles), (1, nibbles), (1, histogram), (2, turned), (1, gathered), (1, tickets), (2, window), (2, masked),
    (1, bits), (3, functions),
)  # fmt: skip


def statement(state: State) -> None:
    """One random statement."""
    if state.depth and state.loops and state.chance(0.5):
        parallel(state)
        return
    weights, makers = zip(*_CHOICES, strict=True)
    state.rng.choices(makers, weights)[0](state)
