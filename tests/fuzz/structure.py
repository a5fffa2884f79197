"""Statements below and beside whole tiles: parts of tiles, views, stages, per-thread arrays, variables, reducers."""

from __future__ import annotations

from tests.fuzz.program import Node, Scalar, Tensor
from tests.fuzz.state import State, Tile, place, shape_text


def part(state: State) -> None:
    """Some rows of a shared tile into a new tile, or rows of it from a tensor."""
    tiles = [t for t in state.tiles if t.scope == "shared" and len(t.shape) == 2 and t.shape[0] > 1]
    if not tiles:
        return
    tile = state.rng.choice(tiles)
    rows = state.rng.randrange(1, tile.shape[0])
    start = state.rng.randrange(0, tile.shape[0] - rows + 1)
    region = f"{tile.name}[{start}:{start + rows}, {state.rng.choice((':', f'0:{tile.shape[1]}'))}]"
    if state.chance(0.4):
        source = state.inputs((rows, tile.shape[1]), tile.dtype)
        state.emit(f"T.copy({place(source, (rows, tile.shape[1]))}, {region})")
        return
    scope = state.rng.choice(("shared", "fragment"))
    new = state.tile((rows, tile.shape[1]), tile.dtype, scope, size=tile.size)
    state.emit(f"T.copy({region}, {new.name})")
    state.live(new)


def view(state: State) -> None:
    """A tile under another shape; from then on only the view is used."""
    tiles = [t for t in state.tiles if t.scope == "shared" and len(t.shape) <= 2]
    if not tiles or state.depth:
        return
    tile = state.rng.choice(tiles)
    total = tile.shape[0] * (tile.shape[1] if len(tile.shape) > 1 else 1)
    rows = state.rng.choice([n for n in (1, 2, 3, 4, 5, 8, 16) if total % n == 0])
    shape = (rows, total // rows) if state.chance(0.7) else (total,)
    new = Tile(state.name("s"), shape, tile.dtype, "shared", None, tile.size)
    state.emit(f"{new.name} = T.reshape({tile.name}, {shape_text(shape)})")
    state.tiles.remove(tile)
    state.live(new)


def stages(state: State) -> None:
    """A shared tile with a leading dimension, filled stage by stage in a loop, then summed in another."""
    count, shape = state.rng.choice((2, 3)), state.shape(2)
    while shape[0] * shape[1] * count > 2048:
        shape = state.shape(2)
    dtype = state.dtype("float")
    tile = state.tile((count, *shape), dtype, "shared")
    total = state.tile(shape, "float32", state.rng.choice(("shared", "fragment")))
    source = state.inputs(shape, dtype)
    loop = state.name("k")
    state.emit(
        f"for {loop} in T.{state.rng.choice(('serial', 'unroll'))}({count}):",
        [Node(f"T.copy({place(source, shape)}, {tile.name}[{loop}, :, :])")],
    )
    state.emit(f"T.clear({total.name})")
    line = f'{total.name}[i, j] = {total.name}[i, j] + T.cast({tile.name}[{loop}, i, j], "float32") * 0.5'
    inner = Node(f"for i, j in T.Parallel({shape[0]}, {shape[1]}):", [Node(line)])
    state.emit(f"for {loop} in T.serial({count}):", [inner])
    state.live(total)


def row_loop(state: State) -> None:
    """A parallel loop whose iterations walk a row of a shared tile one element after the other."""
    tiles = [t for t in state.tiles if t.scope == "shared" and len(t.shape) == 2 and t.is_float and t.shape[1] <= 32]
    if not tiles:
        return
    tile = state.rng.choice(tiles)
    target = state.tile((tile.shape[0],), "float32", state.rng.choice(("shared", "fragment")))
    step = f'{target.name}[i] = {target.name}[i] * 0.5 + T.cast({tile.name}[i, l], "float32")'
    walk = Node(f"for l in T.{state.rng.choice(('serial', 'unroll'))}({tile.shape[1]}):", [Node(step)])
    state.emit(f"for i in T.Parallel({tile.shape[0]}):", [Node(f"{target.name}[i] = 0.0"), walk])
    target.size = 2 * tile.size
    state.live(target)


def private(state: State) -> None:
    """Every thread moves a few elements through an array of its own."""
    if state.loops:
        return
    dtype, width, rounds = state.dtype(), state.rng.choice((1, 2, 3, 4, 8)), state.rng.choice((1, 2, 3))
    size = state.block.threads * width * rounds
    source, target = (state.tensor((size,), dtype, fill) for fill in ("random", "poison"))
    name, thread, loop = state.name("p"), state.name("t"), state.name("k")
    state.allocations[name] = f'T.alloc_local(({width},), "{dtype}")'
    state.emit(f"{thread} = T.get_thread_binding(0)")
    at = f"({loop} * {state.block.threads} + {thread}) * {width} + v"
    kind = state.rng.choice(("vectorized", "serial", "unroll"))
    shift = state.rng.choice((name + "[v]", f"{name}[{width - 1} - v]", f"{name}[v] + {name}[0]"))
    body = [
        Node(f"for v in T.{kind}({width}):", [Node(f"{name}[v] = {place(source, (size,), [at])}")]),
        Node(f"for v in T.serial({width}):", [Node(f"{place(target, (size,), [at])} = {shift}")]),
    ]
    state.emit(f"for {loop} in T.serial({rounds}):", body)


def variable(state: State) -> None:
    """A scalar variable, changed in a loop or branch, that later expressions may use."""
    if state.depth:
        return
    name, loop = state.name("v"), state.name("k")
    state.emit(f'{name} = T.alloc_var("float32", init={state.rng.choice((0.0, 1.5, -2.0))})')
    step = Node(f"{name} = {name} * 0.5 + T.cast({loop} + bx, 'float32')")
    if state.chance(0.5):
        step = Node(f"if {loop} % 2 == {state.rng.choice((0, 1))}:", [step])
    body = [step]
    if state.chance(0.3):
        body.insert(0, Node(f"if {loop} == 2:", [Node(state.rng.choice(("break", "continue")))]))
    state.emit(f"for {loop} in T.serial({state.rng.choice((1, 3, 4))}):", body)
    state.scalars.append(name)


def scalar(state: State) -> None:
    """A number passed by value, which later expressions may use."""
    name = state.name("c")
    state.params.append(Scalar(name, "float32", state.rng.choice((0.5, -1.25, 2.0))))
    state.scalars.append(name)


def reducer(state: State) -> None:
    """An accumulator that all threads add to, over a dimension of a tile."""
    tiles = [t for t in state.tiles if len(t.shape) == 2 and t.dtype in ("float32", "int32")]
    if not tiles or state.loops:
        return
    tile = state.rng.choice(tiles)
    dim = state.rng.randrange(2)
    kind = state.rng.choice(("sum", "max", "min"))
    name, index = state.name("r"), "ij"[1 - dim]
    state.allocations[name] = f'T.alloc_reducer(({tile.shape[1 - dim]},), "{tile.dtype}", "{kind}")'
    neutral = {"sum": "0", "max": f'T.min_value("{tile.dtype}")', "min": f'T.max_value("{tile.dtype}")'}[kind]
    value = f"{tile.name}[i, j]"
    step = f"{name}[{index}] += {value}" if kind == "sum" else f"{name}[{index}] = T.{kind}({name}[{index}], {value})"
    state.emit(f"T.fill({name}, {neutral})")
    state.emit(f"for i, j in T.Parallel({tile.shape[0]}, {tile.shape[1]}):", [Node(step)])
    state.emit(f"T.finalize_reducer({name})")
    target = state.tensor((tile.shape[1 - dim],), tile.dtype, "poison")
    state.emit(f"T.copy({name}, {place(target, (tile.shape[1 - dim],))})")


def late_copy(state: State) -> None:
    """A copy that the program itself waits for."""
    if not state.features.async_copies:
        return
    dtype = state.dtype()
    tile = state.tile(state.shape(), dtype, "shared")
    source = state.inputs(tile.shape, dtype)
    state.emit(f"T.async_copy({place(source, tile.shape)}, {tile.name})")
    if state.tiles and state.chance(0.5):
        other = state.rng.choice(state.tiles)
        state.emit(f"T.copy({other.name}, {place(state.tensor(other.shape, other.dtype, 'poison'), other.shape)})")
    state.emit("T.ptx_wait_group(0)")
    state.emit("T.sync_threads()")
    tile.size = 3.0 if tile.is_float else 100.0
    state.live(tile)


def annotation(state: State) -> None:
    """A layout of the user for a shared tile."""
    named = "\n".join(node.line for node in state.body)
    tiles = [t for t in state.tiles if t.scope == "shared" and len(t.shape) == 2 and t.name in state.allocations]
    tiles = [t for t in tiles if f"annotate_layout({{{t.name}:" not in named]
    if not tiles or state.depth:
        return
    tile = state.rng.choice(tiles)
    rows, columns = tile.shape
    layout = state.rng.choice((
        f"tilelang.layout.make_swizzled_layout({tile.name})", f"tilelang.layout.make_linear_layout({tile.name})",
        f"T.Layout(({rows}, {columns}), lambda i, j: i * {columns + 3} + j)",
        f"T.Layout(({rows}, {columns}), lambda i, j: j * {rows} + i)",
    ))  # fmt: skip
    state.body.insert(0, Node(f"T.annotate_layout({{{tile.name}: {layout}}})"))


def tile_atomic(state: State) -> None:
    """A whole tile added to a zeroed tensor."""
    tiles = [t for t in state.tiles if t.dtype in ("float32", "int32") and len(t.shape) == 2]
    if not tiles or state.loops:
        return
    tile = state.rng.choice(tiles)
    target = state.tensor(tile.shape, tile.dtype, "zero")
    assert isinstance(target, Tensor)
    state.emit(f"T.atomic_add({place(target, tile.shape)}, {tile.name})")
