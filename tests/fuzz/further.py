"""Statements on what the others leave out: old values of atomics, indices that turn a tile around or come from data,
parts of tensors that no tile starts at, stores under a condition, the bits of a tile, rarer functions."""

from __future__ import annotations

from tests.fuzz.program import Node, Tensor
from tests.fuzz.state import State, Tile, place


def turned(state: State) -> None:
    """A loop that stores a tile's transpose, its rows in another order, or its columns backwards."""
    sources = [t for t in state.tiles if len(t.shape) == 2]
    if not sources:
        return
    source = state.rng.choice(sources)
    rows, columns = source.shape
    target = state.tile(source.shape, source.dtype, "shared", size=source.size)
    where = state.rng.choice((["i", f"{columns - 1} - j"], [f"(i + 1) % {rows}", "j"], [f"{rows - 1} - i", "j"]))
    if state.chance(0.5):
        target = state.tile((columns, rows), source.dtype, state.rng.choice(("shared", "fragment")), size=source.size)
        where = ["j", "i"]
    line = f"{target.at(where)} = {source.at(['i', 'j'])}"
    state.emit(f"for i, j in T.Parallel({rows}, {columns}):", [Node(line)])
    state.live(target)


def gathered(state: State) -> None:
    """Rows of a shared tile at places that another tile names."""
    tables = [t for t in state.tiles if t.dtype in ("int32", "uint8", "int64", "int16") and len(t.shape) == 1]
    sources = [t for t in state.tiles if t.scope == "shared" and len(t.shape) == 2]
    if not sources or not tables:
        return
    source, table = state.rng.choice(sources), state.rng.choice(tables)
    rows, columns = source.shape
    target = state.tile((table.shape[0], columns), source.dtype, state.rng.choice(("shared", "fragment")))
    row = f'(T.cast({table.name}[i], "int32") % {rows} + {rows}) % {rows}'
    shared = state.tile(table.shape, table.dtype, "shared")  # a fragment's layout would be the loop's
    state.emit(f"T.copy({table.name}, {shared.name})")
    row = row.replace(f"{table.name}[", f"{shared.name}[")
    line = f"{target.at(['i', 'j'])} = {source.name}[{row}, j]"
    state.emit(f"for i, j in T.Parallel({table.shape[0]}, {columns}):", [Node(line)])
    target.size = source.size
    state.live(target)


def tickets(state: State) -> None:
    """Old values of additions to one element: their sum does not depend on who came first."""
    if state.loops or state.depth:
        return
    count = state.rng.choice((5, 32, 77, 160))
    step = state.rng.choice((1, 3))
    names = [state.name("O"), state.name("O")]
    for name in names:
        state.params.append(Tensor(name, (4, 8), ("4", "8"), "int32", "zero"))
    counter, total = (f"{name}[by, bx]" for name in names)
    body = [Node(f"T.atomic_add({total}, T.atomic_add({counter}, {step}, return_prev=True))")]
    if state.chance(0.4):
        body = [Node(f"if i % {state.rng.choice((2, 3))} == 0:", body)]
    state.emit(f"for i in T.Parallel({count}):", body)


def window(state: State) -> None:
    """A tile from a part of a tensor that starts anywhere, in front of it or past its end, too; or into one."""
    shape = state.shape(2)
    tile = state.tile(shape, state.dtype(), state.rng.choice(("shared", "fragment")))
    source = state.inputs(shape, tile.dtype)
    starts = [state.rng.choice((1, 2, 3, n // 2, n - 1)) for n in shape]
    at = [f"{where} * {n} + {first}" for where, n, first in zip(("by", "bx"), shape, starts, strict=True)]
    state.emit(f"T.copy({source.name}[{at[0]}, {at[1]}], {tile.name})")
    tile.size = 3.0 if tile.is_float else 100.0
    state.live(tile)


def masked(state: State) -> None:
    """Some elements of a tile to an output, whose others stay."""
    tiles = [t for t in state.tiles if len(t.shape) == 2]
    if not tiles or state.loops:
        return
    tile = state.rng.choice(tiles)
    output = state.tensor(tile.shape, tile.dtype, "poison")
    conditions = [
        f"(i + j) % {state.rng.choice((2, 3))} == 0", f"i * {tile.shape[1]} + j < {state.rng.choice((1, 7, 40))}",
        "i >= j", f"T.cast({tile.at(['i', 'j'])}, 'float32') > 0.5", f"j < {max(tile.shape[1] - 3, 1)}",
    ]  # fmt: skip
    store = Node(f"{place(output, tile.shape, ['i', 'j'])} = {tile.at(['i', 'j'])}")
    body = [Node(f"if {state.rng.choice(conditions)}:", [store])]
    state.emit(f"for i, j in T.Parallel({tile.shape[0]}, {tile.shape[1]}):", body)


_SAME_BITS = {"float32": "int32", "int32": "uint32", "float16": "int16", "int16": "uint16", "uint8": "int8"}
_HALF = {"int32": "int16", "uint32": "uint8", "int16": "uint8"}


def bits(state: State) -> None:
    """The bits of a shared tile as integers, of its own width or of a part of it; the tile itself is not used again.

    Of floats only those that were just loaded: sums may differ in their last bits.
    """
    tiles = [t for t in state.tiles if t.scope == "shared" and t.dtype in _SAME_BITS and len(t.shape) == 2]
    tiles = [t for t in tiles if not t.is_float]
    if state.depth:
        return
    if not tiles or state.chance(0.5):
        tile = state.live(state.tile(state.shape(2), state.rng.choice(("float32", "float16")), "shared"))
        state.emit(f"T.copy({place(state.inputs(tile.shape, tile.dtype), tile.shape)}, {tile.name})")
    else:
        tile = state.rng.choice(tiles)
    kinds = [_SAME_BITS.get(tile.dtype), _HALF.get(tile.dtype)]
    dtype = state.rng.choice([kind for kind in kinds if kind])
    parts = {("int32", "int16"): 2, ("uint32", "uint8"): 4, ("int16", "uint8"): 2}.get((tile.dtype, dtype), 1)
    shape = (tile.shape[0], tile.shape[1] * parts)
    new = Tile(state.name("s"), shape, dtype, "shared", None, 100.0)
    state.emit(f'{new.name} = T.view({tile.name}, ({shape[0]}, {shape[1]}), "{dtype}")')
    state.tiles.remove(tile)
    if shape[0] * shape[1] <= 2560:
        state.live(new)


def functions(state: State) -> None:
    """A rarer function of every element."""
    tiles = [t for t in state.tiles if len(t.shape) <= 2 and t.dtype in ("float32", "int32")]
    if not tiles:
        return
    tile = state.rng.choice(tiles)
    variables = ["i", "j"][: len(tile.shape)]
    x = tile.at(variables)
    floats = [
        f"T.floor({x} * 0.5)", f"T.ceil({x} * 0.5)", f"T.trunc({x} * 0.7)", f"T.nearbyint({x} * 0.5)",
        f"T.fma({x}, 0.5, 1.25)", f"T.pow(T.abs({x}) + 0.5, 1.5) * 0.125", f"T.log2(T.abs({x}) + 1.0)",
        f"T.cos({x})", f"T.atan2({x}, T.abs({x}) + 0.5)", f"T.copysign(1.5, {x})",
        f'T.cast(T.isfinite({x}), "float32")', f"T.fmod({x}, 1.75)",
        f'T.reinterpret(T.bitwise_and(T.reinterpret({x}, "int32"), -65536), "float32")',
    ]  # fmt: skip
    ints = [
        f"T.floordiv({x}, 7)", f"T.floormod({x}, 7)", f"T.truncdiv({x}, -7)", f"T.truncmod({x}, 7)", f"T.popcount({x})",
        f"T.clz({x})", f"T.bitwise_not({x})", f"T.shift_right({x}, 3)", f"T.shift_left({x}, 2)", f"({x} // -4)",
        f"({x} % 8)", f"T.bitwise_xor({x}, {x} * 5)",
    ]  # fmt: skip
    line = f"{x} = {state.rng.choice(floats if tile.is_float else ints)}"
    state.emit(f"for {', '.join(variables)} in T.Parallel({', '.join(map(str, tile.shape))}):", [Node(line)])
    tile.size = max(tile.size, 4.0)
