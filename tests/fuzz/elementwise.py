"""Parallel loops: random expressions over tiles that the loop may read."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass

from tests.fuzz.program import Node
from tests.fuzz.state import VARIABLES, State, Tile, place

Value = tuple[str, float]  # text and usual magnitude


@dataclass(frozen=True)
class Loop:
    """A parallel loop of `shape` over fragments of `family` that writes `target`."""

    shape: tuple[int, ...]
    family: Hashable
    target: Tile | None

    @property
    def variables(self) -> list[str]:
        return list(VARIABLES[: len(self.shape)])


def readable(state: State, loop: Loop) -> list[tuple[Tile, list[str]]]:
    """Tiles that a loop may read, with the indices. What it writes it reads in place only: iterations have no order."""
    found: list[tuple[Tile, list[str]]] = []
    for tile in state.tiles:
        if tile is loop.target or (
            tile.scope == "fragment" and tile.family == loop.family and tile.shape == loop.shape
        ):
            found.append((tile, loop.variables))
        elif tile.scope == "shared":
            found += [(tile, index) for index in _shared_indices(state, tile.shape, loop.shape, loop.variables)]
        elif isinstance(tile.family, tuple) and tile.family[0] == loop.family and loop.family is not None:
            found.append((tile, _reduced_index(tile, tile.family[1], loop.variables)))
    return found


def _reduced_index(tile: Tile, dim: int, variables: list[str]) -> list[str]:
    """The index of a reduction's result: without the dimension, or zero there."""
    if len(tile.shape) == len(variables) and len(variables) > 1:
        return [v if i != dim else "0" for i, v in enumerate(variables)]
    return [v for i, v in enumerate(variables) if i != dim] or ["0"]


def _shared_indices(
    state: State, have: tuple[int, ...], shape: tuple[int, ...], variables: list[str]
) -> list[list[str]]:
    out: list[list[str]] = []
    if have == shape:
        out.append(variables)
        last, n = variables[-1], shape[-1]
        out.append([*variables[:-1], state.rng.choice((f"{n - 1} - {last}", f"({last} + 1) % {n}", f"{last} // 2"))])
    if len(shape) == 2 and have == shape[::-1]:
        out.append(variables[::-1])
    if len(have) == 1:
        out += [[v] for v, n in zip(variables, shape, strict=True) if n == have[0]]
    if len(have) == 2 == len(shape):
        out += [[variables[0], "0"]] if have == (shape[0], 1) else []
        out += [["0", variables[1]]] if have == (1, shape[1]) else []
    return out


def operand(state: State, loop: Loop, kind: str) -> Value:
    """A number of the wanted kind at the loop's position."""
    choices = [c for c in readable(state, loop) if c[0].is_float == (kind == "float")]
    dtype = "float32" if kind == "float" else "int32"
    if choices and state.chance(0.75):
        tile, index = state.rng.choice(choices)
        return f'T.cast({tile.at(index)}, "{dtype}")', tile.size if tile.is_float else 1.0
    if kind == "float" and state.scalars and state.chance(0.3):
        return state.rng.choice(state.scalars), 4.0
    if state.chance(0.4):
        tensor = state.inputs(loop.shape, state.dtype(kind))
        return f'T.cast({place(tensor, loop.shape, loop.variables)}, "{dtype}")', 3.0
    if state.chance(0.5):
        names = [*loop.variables, "bx", "by", *state.loops]
        name = state.rng.choice(names)
        return (f'T.cast({name}, "float32") * 0.0625', 2.0) if kind == "float" else (name, 1.0)
    if kind == "float":
        value = state.rng.choice((0.5, -1.25, 2.0, 0.75))
        return f"T.float32({value})", abs(value)
    return str(state.rng.choice((1, 2, 3, 7, -5))), 1.0


def expression(state: State, loop: Loop, kind: str, depth: int) -> Value:
    """A random expression whose values stay small."""
    if depth == 0 or state.chance(0.15):
        return operand(state, loop, kind)
    a, b = (expression(state, loop, kind, depth - 1) for _ in range(2))
    return _float(state, a, b, loop) if kind == "float" else _integer(state, a, b)


def _float(state: State, a: Value, b: Value, loop: Loop) -> Value:
    (x, m), (y, n) = _tamed(a), _tamed(b)
    variable = state.rng.choice(loop.variables)
    limit = state.rng.randrange(1, 40)
    forms: list[Value] = [
        (f"({x} + {y})", m + n), (f"({x} - {y})", m + n), (f"({x} * {y})", m * n),
        (f"({x} / (T.abs({y}) + 1.0))", m), (f"T.max({x}, {y})", max(m, n)), (f"T.min({x}, {y})", max(m, n)),
        (f"T.exp({x} * 0.25)", math.exp(m * 0.25)), (f"T.exp2({x} * 0.25)", 2 ** (m * 0.25)),
        (f"T.sqrt(T.abs({x}))", m), (f"T.rsqrt(T.abs({x}) + 1.0)", 1.0), (f"T.log(T.abs({x}) + 1.0)", m),
        (f"T.tanh({x})", 1.0), (f"T.sigmoid({x})", 1.0), (f"(-{x})", m), (f"T.abs({x})", m),
        (f"T.floor({x} * 0.0)", 1.0),
        (f"T.if_then_else({variable} < {limit}, {x}, {y})", max(m, n)),
        (f"T.if_then_else({x} > 0.5, {x}, {y})", max(m, n)),
        (f"T.clamp({x}, -1.0, 2.0)", 2.0), (f"T.sin({x})", 1.0), (f"T.erf({x})", 1.0),
    ]  # fmt: skip
    return state.rng.choice(forms[:6] if state.chance(0.5) else forms)


def _tamed(value: Value) -> Value:
    """Scale by a power of two when values become large."""
    text, size = value
    if size <= 12:
        return value
    power = math.ceil(math.log2(size / 4))
    return f"({text} * {2.0**-power!r})", size * 2.0**-power


def _integer(state: State, a: Value, b: Value) -> Value:
    x, y = a[0], b[0]
    forms = [
        f"({x} + {y})", f"({x} - {y})", f"({x} * {y})", f"T.max({x}, {y})", f"T.min({x}, {y})", f"({x} // 3)",
        f"({x} % 5)", f"({x} & {y})", f"({x} | {y})", f"({x} ^ {y})", f"({x} >> 2)", f"({x} << 1)",
        f"T.if_then_else({x} > {y}, {x}, {y})", f"T.if_then_else({x} == {y}, 1, {y})", f"(-{x})", f"T.abs({x} % 100)",
    ]  # fmt: skip
    return state.rng.choice(forms), 1.0  # integers wrap around; they need no scaling


def parallel(state: State) -> None:
    """One parallel loop that writes a tile (new, or one that exists) or a tensor."""
    fragments = [t for t in state.tiles if t.scope == "fragment"]
    shared = [t for t in state.tiles if t.scope == "shared"]
    if fragments and state.chance(0.7):
        base = state.rng.choice(fragments)
        shape, family = base.shape, base.family
    else:
        shape, family = (state.rng.choice(shared).shape if shared and state.chance(0.7) else state.shape()), None
    loop = Loop(shape, family, _target(state, shape, family))
    kind = "float" if (loop.target.is_float if loop.target else state.chance(0.7)) else "int"
    text, size = _tamed(expression(state, loop, kind, state.rng.choice((1, 2, 2, 3))))
    state.emit(
        f"for {', '.join(loop.variables)} in T.Parallel({', '.join(map(str, shape))}):",
        [_store(state, loop, text, kind)],
    )
    if loop.target is not None:
        known = loop.target in state.tiles
        loop.target.size = max(size, loop.target.size) if known else size
        state.live(loop.target)


def _target(state: State, shape: tuple[int, ...], family: Hashable) -> Tile | None:
    """What the loop writes; None for a tensor. Only tiles of the enclosing block may be new inside a loop or branch."""
    old = [t for t in state.tiles if t.shape == shape and (t.scope == "shared" or t.family == family)]
    if old and state.chance(0.4):
        return state.rng.choice(old)
    if state.chance(0.15) and not state.loops:
        return None
    if state.chance(0.3):
        return state.tile(shape, state.dtype(), "shared")
    return state.tile(shape, state.dtype(), "fragment", family)


def _store(state: State, loop: Loop, text: str, kind: str) -> Node:
    if loop.target is None:
        dtype = state.dtype(kind)
        where = place(state.tensor(loop.shape, dtype, "poison"), loop.shape, loop.variables)
    else:
        dtype, where = loop.target.dtype, loop.target.at(loop.variables)
    line = f'{where} = T.cast({text}, "{dtype}")'
    if loop.target in state.tiles and state.chance(0.25):
        variable = state.rng.choice((*loop.variables, "bx", *state.loops))
        return Node(f"if {variable} % {state.rng.choice((2, 3))} == 0:", [Node(line)])
    return Node(line)
