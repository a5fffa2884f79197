"""Statements of other kinds: stencils, loops with a condition, warp roles, 4-bit elements, counts in shared memory."""

from __future__ import annotations

from tests.fuzz.program import Node
from tests.fuzz.state import State, Tile, place

NIBBLES = ("int4", "float4_e2m1fn")


def stencil(state: State) -> None:
    """Every element from its neighbours along a dimension: at the edges the nearest, around the corner, or none."""
    sources = [t for t in state.tiles if len(t.shape) == 2 and t.is_float and max(t.shape) > 1]
    if not sources:
        return
    source = state.rng.choice(sources)
    dim = state.rng.randrange(2)
    n, variable = source.shape[dim], "ij"[dim]
    target = state.tile(source.shape, "float32", state.rng.choice(("shared", "fragment")))
    shift = state.rng.choice((1, 1, 2, 3))
    low, high = f"T.max({variable} - {shift}, 0)", f"T.min({variable} + {shift}, {n - 1})"
    if state.chance(0.3):
        low, high = f"({variable} + {n - 1}) % {n}", f"({variable} + 1) % {n}"
    left, middle, right = (
        f'T.cast({source.at([at if d == dim else "ij"[d] for d in (0, 1)])}, "float32")' for at in (low, variable, high)
    )
    if state.chance(0.3):
        left = f"T.if_then_else({variable} >= {shift}, {left}, 0.0)"
    line = f"{target.at(['i', 'j'])} = 0.25 * {left} + 0.5 * {middle} - 0.25 * {right}"
    state.emit(f"for i, j in T.Parallel({source.shape[0]}, {source.shape[1]}):", [Node(line)])
    target.size = source.size
    state.live(target)


def while_loop(state: State) -> None:
    """A loop with a condition, over a count or a value that shrinks, that changes a tile each round."""
    tiles = [t for t in state.tiles if t.dtype == "float32" and len(t.shape) <= 2]
    if not tiles or state.depth:
        return
    tile, count = state.rng.choice(tiles), state.name("w")
    variables = ["i", "j"][: len(tile.shape)]
    step = Node(f"{tile.at(variables)} = {tile.at(variables)} * 0.5 + T.cast({count}, 'float32')")
    loop = Node(f"for {', '.join(variables)} in T.Parallel({', '.join(map(str, tile.shape))}):", [step])
    if state.chance(0.4):
        state.emit(f'{count} = T.alloc_var("float32", init={state.rng.choice((8.0, 5.0, 0.5))})')
        state.emit(f"while {count} > 0.75:", [loop, Node(f"{count} = {count} * 0.5")])
    else:
        state.emit(f'{count} = T.alloc_var("int32", init=0)')
        rounds = state.rng.choice(("2", "3", "bx + 1", "by * 2"))
        body = [loop, Node(f"{count} += 1")]
        if state.chance(0.3):
            body.insert(1, Node(f"if {count} == 1:", [Node("break")]))
        state.emit(f"while {count} < {rounds}:", body)
    tile.size = tile.size + 16


def roles(state: State) -> None:
    """Two warpgroups on tiles of their own; one may hand a tile to the other behind a barrier."""
    if state.block.threads != 256 or state.depth or not state.features.mbarriers:
        return
    shape, dtype = state.shape(2), state.rng.choice(("float32", "float16"))
    sources = [state.inputs(shape, dtype) for _ in range(2)]
    outputs = [state.tensor(shape, dtype, "poison") for _ in range(2)]
    tiles = [state.tile(shape, dtype, "fragment") for _ in range(2)]
    bodies: list[list[Node]] = []
    for source, tile, output in zip(sources, tiles, outputs, strict=True):
        line = f"{tile.name}[i, j] = {tile.name}[i, j] * 2.0 + 1.0"
        bodies.append([
            Node(f"T.copy({place(source, shape)}, {tile.name})"),
            Node(f"for i, j in T.Parallel({shape[0]}, {shape[1]}):", [Node(line)]),
            Node(f"T.copy({tile.name}, {place(output, shape)})"),
        ])  # fmt: skip
    if state.chance(0.6):
        handed, barrier = state.tile(shape, dtype, "shared"), state.name("m")
        state.allocations[barrier] = "T.alloc_barrier(128)"
        bodies[0][2:2] = [Node(f"T.copy({tiles[0].name}, {handed.name})"), Node(f"T.mbarrier_arrive({barrier})")]
        line = f"{tiles[1].name}[i, j] = {tiles[1].name}[i, j] + {handed.name}[i, j]"
        add = Node(f"for i, j in T.Parallel({shape[0]}, {shape[1]}):", [Node(line)])
        bodies[1][2:2] = [Node(f"T.mbarrier_wait_parity({barrier}, 0)"), add]
    for group, body in enumerate(bodies):
        state.emit(f"with T.ws({group}):", body)


def nibbles(state: State) -> None:
    """Elements of 4 bits, two in a byte: read, computed with, and written in pairs."""
    shape = state.shape(2, multiple=2)
    dtype = state.rng.choice(NIBBLES)
    scope = state.rng.choice(("shared", "fragment"))
    packed = state.tile(shape, dtype, scope)
    state.emit(f"T.copy({place(_even(state, shape, dtype, 'random'), shape)}, {packed.name})")
    wide = state.tile(shape, "float32", state.rng.choice(("shared", "fragment")), packed.family)
    line = f'{wide.name}[i, j] = T.cast({packed.name}[i, j], "float32") * 0.5'
    state.emit(f"for i, j in T.Parallel({shape[0]}, {shape[1]}):", [Node(line)])
    wide.size = 4.0
    state.live(wide)
    if state.chance(0.5):
        back = state.tile(shape, dtype, state.rng.choice(("shared", "fragment")))
        state.emit(f"T.copy({packed.name}, {back.name})")
        state.emit(f"T.copy({back.name}, {place(_even(state, shape, dtype, 'poison'), shape)})")


def _even(state: State, shape: tuple[int, ...], dtype: str, fill: str) -> object:
    """A tensor whose rows are whole bytes."""
    tensor = state.tensor(shape, dtype, fill)
    sizes = (*tensor.sizes[:-1], state.block.grid[0] * shape[-1])
    state.params[-1] = tensor = type(tensor)(
        tensor.name, sizes, (*tensor.spelling[:-1], str(sizes[-1])), dtype, fill
    )
    return tensor


def histogram(state: State) -> None:
    """Counts of values in shared memory, which threads add to at once."""
    tiles = [t for t in state.tiles if t.dtype in ("int32", "uint8") and len(t.shape) <= 2]
    if not tiles or state.loops or state.depth:
        return
    tile: Tile = state.rng.choice(tiles)
    bins = state.rng.choice((4, 7, 16))
    counts = state.tile((bins,), "int32", "shared")
    variables = ["i", "j"][: len(tile.shape)]
    value = f'T.cast({tile.at(variables)}, "int32")'
    line = f"T.atomic_add({counts.name}[({value} % {bins} + {bins}) % {bins}], {state.rng.choice(('1', value))})"
    state.emit(f"T.clear({counts.name})")
    state.emit(f"for {', '.join(variables)} in T.Parallel({', '.join(map(str, tile.shape))}):", [Node(line)])
    state.live(counts)
