"""Ops of single threads: identity, warps, votes, barriers, atomics, printing and assertions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from tilelang_mlir.errors import DeviceAssertError, UnsupportedError
from tilelang_mlir.reference.elements import in_bounds, load, store
from tilelang_mlir.reference.machine import Frame
from tilelang_mlir.reference.memory import Buffer, Tile
from tilelang_mlir.reference.program import Instruction, Run
from tilelang_mlir.reference.tiles import COMBINE, combiner
from tilelang_mlir.reference.types import Array, Value, is_float, signed, unsigned


def _thread_id(op: Instruction, frame: Frame) -> None:
    if frame.parallel:
        raise UnsupportedError(
            "the thread index inside a parallel loop: which thread runs an iteration is the layout's choice",
            hint="compute with the loop's own variables, or leave T.Parallel",
        )
    x, y, z = frame.threads().threads
    linear = np.arange(x * y * z, dtype=np.int32)
    dim = int(op.attributes["dim"])
    frame.env[op.results[0]] = (linear % x, linear // x % y, linear // (x * y))[dim]


def _lanes_of(value: Value, frame: Frame) -> Array:
    """A value spread over the threads."""
    if frame.parallel:
        raise UnsupportedError(
            "an op between threads inside a parallel loop: which thread runs what is the layout's choice"
        )
    return np.broadcast_to(value, frame.lanes)


def _warps(value: Value, frame: Frame, width: int, fill: object) -> Array:
    """Values by warp and lane; missing lanes of the last warp get `fill`."""
    flat = _lanes_of(value, frame)
    count = -(-flat.size // width)
    padded = np.full(count * width, fill, flat.dtype)
    padded[: flat.size] = flat
    return padded.reshape(count, width)


def _shuffle(op: Instruction, frame: Frame) -> None:
    """shfl.sync: a lane that would read outside of its group keeps its own value (PTX ISA, shfl.sync)."""
    width = int(op.attributes["width"])
    value = _lanes_of(frame.env[op.operands[0]], frame)
    delta = _lanes_of(frame.env[op.operands[1]], frame).astype(np.int64)
    thread = np.arange(value.size)
    lane = thread % width
    kind = op.attributes["kind"]
    if kind == "idx":
        source = delta % width
    else:
        source = {"xor": lane ^ delta, "up": lane - delta, "down": lane + delta}[str(kind)]
    source = np.where((source >= 0) & (source < width), source, lane)
    target = np.minimum(thread - lane + source, value.size - 1)
    frame.env[op.results[0]] = value[target]


def _vote(op: Instruction, frame: Frame) -> None:
    """Warp and CTA votes; lanes that are masked off do not take part."""
    kind, dtype = str(op.attributes["kind"]), op.dtypes[0]
    size = frame.threads().warp_size
    active = frame.active()
    if kind.startswith("match"):
        frame.env[op.results[0]] = _match(op, frame, size)[: active.size].astype(dtype)
        return
    votes = active if kind == "activemask" else (_lanes_of(frame.env[op.operands[0]], frame) != 0)
    if kind.startswith("block"):
        chosen = votes[active]
        result = {"block_count": np.sum, "block_and": np.all, "block_or": np.any}[kind](chosen)
        frame.env[op.results[0]] = np.asarray(result).astype(dtype)[()]
        return
    rows, present = _warps(votes, frame, size, False), _warps(active, frame, size, False)
    if len(op.operands) > 1:
        frame.env[op.results[0]] = _among(kind, rows & present, present, op, frame)[: active.size].astype(dtype)
        return
    if kind == "any":
        per_warp = (rows & present).any(axis=1)
    elif kind == "all":
        per_warp = (rows | ~present).all(axis=1)
    else:
        per_warp = _mask_of(rows & present)
    frame.env[op.results[0]] = np.repeat(per_warp, size)[: active.size].astype(dtype)


def _among(kind: str, votes: Array, present: Array, op: Instruction, frame: Frame) -> Array:
    """A vote by lane, of the lanes that the lane's own mask names."""
    size = votes.shape[1]
    masks = _warps(frame.env[op.operands[1]], frame, size, 0).astype(np.int64)[..., None]
    named = (masks >> np.arange(size) & 1).astype(bool) & present[:, None, :]
    if kind == "all":
        return (votes[:, None, :] | ~named).all(axis=2).reshape(-1)
    for_lane = votes[:, None, :] & named
    return for_lane.any(axis=2).reshape(-1) if kind == "any" else _mask_of(for_lane.reshape(-1, size))


def _mask_of(rows: Array) -> Array:
    """Lane masks of rows of booleans, lane 0 in bit 0."""
    bits = np.left_shift(np.uint64(1), np.arange(rows.shape[1], dtype=np.uint64))
    return np.where(rows, bits, np.uint64(0)).sum(axis=1, dtype=np.uint64).view(np.int64)


def _match(op: Instruction, frame: Frame, size: int) -> Array:
    """match.sync: masks of the lanes with the same value; match_all is zero unless all agree."""
    rows = _warps(frame.env[op.operands[0]], frame, size, 0)
    present = _warps(frame.active(), frame, size, False)
    same = (rows[:, :, None] == rows[:, None, :]) & present[:, None, :]
    masks = _mask_of(same.reshape(-1, size)).reshape(rows.shape)
    if op.attributes["kind"] == "match_all":
        agreed = (same | ~present[:, None, :]).all(axis=2)
        masks = np.where(agreed.all(axis=1, where=present)[:, None], masks, 0)
    return masks.reshape(-1)


def _warp_reduce(op: Instruction, frame: Frame) -> None:
    kind, size = str(op.attributes["kind"]), frame.threads().warp_size
    value = frame.env[op.operands[0]]
    value = unsigned(value) if kind in ("umax", "umin") else value
    flat = _lanes_of(value, frame)
    if flat.size % size:
        raise UnsupportedError(f"a warp reduction in a CTA of {flat.size} threads, which fill no whole warps")
    reduced = combiner(kind, flat.dtype)(flat.reshape(-1, size), 1)
    frame.env[op.results[0]] = signed(np.repeat(reduced, size)).astype(op.dtypes[0])


@dataclass(eq=False)
class Barrier:
    """An array of mbarriers: arrivals wanted, arrivals outstanding, and completed phases of each."""

    counts: tuple[int, ...]
    pending: list[int] = field(default_factory=list)
    phase: list[int] = field(default_factory=list)


def _alloc_barrier(op: Instruction, frame: Frame) -> None:
    counts = op.attributes["counts"]
    frame.env[op.results[0]] = Barrier(counts, list(counts), [0] * len(counts))


def _arrive(op: Instruction, frame: Frame) -> None:
    """Every active thread arrives once; asynchronous copies have landed already, so their bytes need no count."""
    barrier: Barrier = frame.env[op.operands[0]]
    remote = op.operands[2:]
    if remote and np.any(frame.env[remote[0]]):
        raise UnsupportedError("an arrival at the barrier of another CTA of the cluster")
    _arrive_at(barrier, np.broadcast_to(frame.env[op.operands[1]], frame.lanes)[frame.active()], frame)


def arrive_once(op: Instruction, frame: Frame) -> None:
    """One arrival for all threads: the completion of an asynchronous operation."""
    slots = np.broadcast_to(frame.env[op.operands[1]], frame.lanes)[frame.active()]
    _arrive_at(frame.env[op.operands[0]], slots[:1], frame)


def _arrive_at(barrier: Barrier, slots: Array, frame: Frame) -> None:
    for index in slots:
        barrier.pending[index] -= 1
        if barrier.pending[index] == 0:
            barrier.pending[index] = barrier.counts[index]
            barrier.phase[index] += 1
    frame.machine.events += 1


def _wait(op: Instruction, frame: Frame) -> Iterator[str]:
    """Wait until the phase with the parity is complete; before the first phase, parity 1 counts as complete."""
    barrier: Barrier = frame.env[op.operands[0]]
    active = frame.active()
    if not active.any():
        return
    pairs = np.stack([np.broadcast_to(frame.env[slot], frame.lanes)[active] for slot in op.operands[1:]], axis=1)
    for index, parity in np.unique(pairs, axis=0):
        while barrier.phase[index] % 2 == parity % 2:
            yield f"phase {barrier.phase[index]} of barrier {op.label() or ''}[{index}]"


def _state(op: Instruction, frame: Frame) -> None:
    """An arrival that says in which phase it was: how many were complete before."""
    barrier: Barrier = frame.env[op.operands[0]]
    index = np.broadcast_to(frame.env[op.operands[1]], frame.lanes)
    frame.env[op.results[0]] = np.asarray(barrier.phase, np.int64)[index]
    _arrive_at(barrier, index[frame.active()], frame)


def _test(op: Instruction, frame: Frame) -> None:
    """Whether the phase of a parity (i32), or that of an arrival (i64), is complete now."""
    barrier: Barrier = frame.env[op.operands[0]]
    index, phase = (np.broadcast_to(frame.env[slot], frame.lanes) for slot in op.operands[1:])
    complete = np.asarray(barrier.phase, np.int64)[index]
    by_state = phase.dtype.itemsize == 8
    frame.env[op.results[0]] = complete > phase if by_state else complete % 2 != phase % 2


def _nothing(op: Instruction, frame: Frame) -> None:
    """All threads run in step and copies are synchronous here, so there is nothing to wait for."""


def _intrinsic(op: Instruction, frame: Frame) -> None:
    """Most order what is synchronous here; two have a value."""
    name = str(op.attributes["name"])
    if name == "cluster_rank":
        cta = frame.threads()
        place = [i % size for i, size in zip((*cta.index, 0, 0)[:3], cta.cluster, strict=True)]
        frame.env[op.results[0]] = np.int32(place[0] + cta.cluster[0] * (place[1] + cta.cluster[1] * place[2]))
    elif name == "elect":
        active = _warps(frame.active(), frame, frame.threads().warp_size, False)
        first = active & (active.cumsum(axis=1) == 1)
        frame.env[op.results[0]] = first.reshape(-1)[: frame.lanes[0]].astype(op.dtypes[0])
    elif op.results:
        raise UnsupportedError(f"the reference evaluator has no value for {name}")


def _sync_grid(op: Instruction, frame: Frame) -> Iterator[str]:
    machine = frame.machine
    phase = machine.grid_phase
    machine.grid_arrived += 1
    if machine.grid_arrived == machine.grid_size:
        machine.grid_arrived, machine.grid_phase = 0, phase + 1
        machine.events += 1
    while machine.grid_phase == phase:
        yield "the grid barrier"


def _atomic(op: Instruction, frame: Frame) -> None:
    """Every active lane in turn, also when they name one element."""
    env, machine = frame.env, frame.machine
    buffer, index = _element(env[op.operands[0]], [env[slot] for slot in op.operands[2:]])
    value, kind = env[op.operands[1]], str(op.attributes["kind"])
    if kind == "load":
        env[op.results[0]] = load(buffer, index, frame)
        return
    if kind == "store":
        store(buffer, index, value, frame)
        machine.events += 1
        return
    inside = in_bounds(buffer, index, frame)
    active = frame.active() if inside is None else frame.active() & inside
    where = tuple(np.broadcast_to(i, frame.lanes)[active] for i in index)
    values = np.broadcast_to(value, frame.lanes)[active]
    buffer.require_written(where)
    machine.events += 1
    if not op.results:
        _combine_at(buffer.data, where, values, kind)
        return
    before = np.zeros(frame.lanes, buffer.data.dtype)
    before[active] = _one_by_one(buffer.data, where, values, kind)
    env[op.results[0]] = before


def _element(buffer: Buffer | Tile, index: list[Value]) -> tuple[Buffer, list[Value]]:
    if isinstance(buffer, Tile):
        return buffer.buffer, [a + b for a, b in zip(buffer.offsets, index, strict=True)]
    return buffer, index


_ATOMIC = {
    "add": "sum",
    "max": "max",
    "min": "min",
    "umax": "umax",
    "umin": "umin",
    "and": "and",
    "or": "or",
    "xor": "xor",
}


def _combine_at(data: Array, where: tuple[Array, ...], values: Array, kind: str) -> None:
    if kind == "exchange":
        data[where] = values
        return
    function = COMBINE[_ATOMIC[kind]]
    if not is_float(data.dtype) or data.dtype.kind == "f":
        no_sign = kind in ("umax", "umin")
        function.at(unsigned(data) if no_sign else data, where, unsigned(values) if no_sign else values)
        return
    _one_by_one(data, where, values, kind)


def _one_by_one(data: Array, where: tuple[Array, ...], values: Array, kind: str) -> Array:
    """Apply an atomic for each lane in order; returns what each found."""
    found = np.empty(len(values), data.dtype)
    for lane, place in enumerate(zip(*where, strict=True)):
        found[lane] = data[place]
        if kind == "exchange":
            data[place] = values[lane]
        elif kind in ("umax", "umin"):
            pair = (unsigned(data[place]), unsigned(values[lane]))
            data[place] = signed(COMBINE[kind](*pair))
        else:
            data[place] = COMBINE[_ATOMIC[kind]](data[place], values[lane])
    return found


def _print(op: Instruction, frame: Frame) -> None:
    """One line per op: what threads agree on once, the rest as an array over the active threads."""
    if not frame.active().any():
        return
    parts = [str(op.attributes["message"])] if op.attributes["message"] else []
    for slot in op.operands:
        value = frame.env[slot]
        if isinstance(value, Tile):
            value = value.read()
        elif isinstance(value, Buffer):
            value = value.data
        elif np.ndim(value):
            value = np.broadcast_to(value, frame.lanes)[frame.active()]
        parts.append(str(unsigned(np.asarray(value)) if "unsigned" in op.attributes else value))
    frame.machine.printed.append(" ".join(parts))


def _assert(op: Instruction, frame: Frame) -> None:
    good = np.broadcast_to(frame.env[op.operands[0]], frame.lanes)
    bad = ~good & frame.active()
    if bad.any():
        first = [int(i) for i in np.argwhere(bad)[0]] if bad.ndim else []
        what = "iteration" if frame.parallel else "thread"
        cta = f" of CTA {list(frame.cta.index)}" if frame.cta else ""
        place = f" in {what} {first if frame.parallel else first[0]}{cta}" if first else ""
        raise DeviceAssertError(f"assertion failed{place}: {op.attributes['message']}")


THREADS: dict[str, Run] = {
    "tl.thread_id": _thread_id, "tl.shuffle": _shuffle, "tl.vote": _vote, "tl.warp_reduce": _warp_reduce,
    "tl.alloc_barrier": _alloc_barrier, "tl.mbarrier_arrive": _arrive, "tl.mbarrier_wait": _wait,
    "tl.mbarrier_state": _state, "tl.mbarrier_test": _test,
    "tl.mbarrier_expect": _nothing, "tl.sync_threads": _nothing, "tl.sync_warp": _nothing, "tl.sync_grid": _sync_grid,
    "tl.commit_group": _nothing, "tl.wait_group": _nothing, "tl.atomic": _atomic, "tl.print": _print,
    "tl.assert": _assert, "tl.tcgen05_fence": _nothing, "tl.dealloc_tmem": _nothing,
    "tl.intrinsic": _intrinsic, "tl.wait_products": _nothing, "tl.fence_proxy": _nothing, "tl.tma_wait": _nothing,
}  # fmt: skip
