"""Exchange inside a warp: shuffles, votes, match, reductions, election, warp barrier.

PTX ISA 8.7, sections 9.7.9.6 (shfl.sync), 9.7.13.2 (bar.warp.sync), 9.7.13.9 to 9.7.13.14 (vote, match, redux, elect).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tilelang_mlir.errors import SimulationError, UnsupportedError
from tilelang_mlir.isa.instruction import (
    WARP,
    Access,
    Effect,
    Instruction,
    Machine,
    Run,
    constant,
    create,
    flags,
    inline_ptx,
)
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

_ALL = -1
_LANE = np.arange(32)


def _i32() -> ir.Type:
    return ir.IntegerType.get_signless(32)


def shuffle(
    kind: str, value: ir.Value, lane: ir.Value | int, width: int = 32, members: ir.Value | int = _ALL
) -> ir.Value:
    """`shfl.sync`: the value of another lane of the same group of `width` lanes.

    Args:
        kind: "bfly" (lane xor `lane`), "up" (lane - `lane`), "down" (lane + `lane`) or "idx" (`lane`).
        value: i32 or f32.
        lane: offset, mask or index, i32.
        width: lanes of a group, a power of two up to 32.
        members: the mask of the lanes that execute it together, i32.

    Returns:
        The other lane's value; the own value where the source lies outside the group.
    """
    # Operand c: bits 0-4 clamp, bits 8-12 the mask of lane bits that a group shares.
    control = (32 - width) << 8 | (0 if kind == "up" else 31)
    offset = lane if isinstance(lane, ir.Value) else constant(lane)
    return create(
        "nvvm.shfl.sync",
        [_mask(members), value, offset, constant(control)],
        [value.type],
        kind=f"#nvvm<shfl_kind {kind}>",
    )


def _mask(members: ir.Value | int) -> ir.Value:
    """The member mask: which lanes execute the instruction together."""
    return members if isinstance(members, ir.Value) else constant(members)


def vote(kind: str, predicate: ir.Value, members: ir.Value | int = _ALL) -> ir.Value:
    """`vote.sync`: "any", "all", "uni" give i1; "ballot" gives i32 with one bit per lane of the member mask (i32)."""
    result = _i32() if kind == "ballot" else ir.IntegerType.get_signless(1)
    return create("nvvm.vote.sync", [_mask(members), predicate], [result], kind=f"#nvvm<vote_sync_kind {kind}>")


def reduce(kind: str, value: ir.Value, members: ir.Value | int = _ALL) -> ir.Value:
    """`redux.sync` over the members: "add", "min", "max", "umin", "umax", "and", "or", "xor" of an i32."""
    return create("nvvm.redux.sync", [value, _mask(members)], [value.type], kind=f"#nvvm<reduction_kind {kind}>")


def match(kind: str, value: ir.Value, members: ir.Value | int = _ALL) -> Any:
    """`match.sync` of i32 or i64: "any" gives the i32 mask of members with an equal value; "all" gives (mask, i1)."""
    if kind == "any":
        return create("nvvm.match.sync", [_mask(members), value], [_i32()], kind="#nvvm<match_sync_kind any>")
    pair = ir.Type.parse("!llvm.struct<(i32, i1)>")
    struct = create("nvvm.match.sync", [_mask(members), value], [pair], kind="#nvvm<match_sync_kind all>")
    return tuple(
        create("llvm.extractvalue", [struct], [t], position=ir.DenseI64ArrayAttr.get([k]))
        for k, t in enumerate((_i32(), ir.IntegerType.get_signless(1)))
    )


def active() -> ir.Value:
    """`activemask`: i32, one bit for each lane that executes this together with the lane."""
    return inline_ptx("activemask", "activemask.b32 {$w0};", [], [_i32()])


def elect() -> ir.Value:
    """`elect.sync`: i1, true in exactly one lane of the warp (the lowest)."""
    return create("nvvm.elect.sync", [], [ir.IntegerType.get_signless(1)])


def sync(members: ir.Value | int = _ALL) -> None:
    """`bar.warp.sync`: orders memory accesses of the warp's lanes."""
    create("nvvm.bar.warp.sync", [members if isinstance(members, ir.Value) else constant(members)])


def _members(machine: Machine, members: Any, what: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Active lanes (C|1, W, 32), and which lanes each lane's mask names (C|1, W, 32, 32); None: all active ones.

    A lane must name itself, and every named lane must execute the instruction with the same mask: anything else is
    undefined (9.7.13.2, `membermask`). Lanes that do not exist, in a last partial warp, may be named.
    """
    active = machine.active()
    if isinstance(members, int) and members == _ALL and active.all():
        return active, None
    bits = machine.warps(members if isinstance(members, np.ndarray) else np.full((1, 1), members, np.int32))
    named = (bits.view(np.uint32)[..., None] >> _LANE.astype(np.uint32) & 1).astype(bool)
    if not machine.whole:
        named = named & machine.existing()[:, None, :]
    if ((named == active[:, :, None, :]) | ~active[..., None]).all():
        return active, None
    agree = active[:, :, None, :] & (bits[..., :, None] == bits[..., None, :])
    wrong = active & ((named & ~agree).any(3) | ~named[..., _LANE, _LANE])
    if wrong.any():
        lane = int(np.argwhere(wrong)[0][2])
        raise SimulationError(
            f"{what}: the member mask of lane {lane} names lanes that do not execute it with the others",
            hint="use it where all lanes of the warp are active, or give the mask of the active lanes",
        )
    return active, named & active[:, :, None, :]


def _among(active: np.ndarray, named: np.ndarray | None) -> np.ndarray:
    """The group of each lane (C|1, W, 32 or 1, 32)."""
    return active[:, :, None, :] if named is None else named


def _shuffle(op: ir.Operation) -> Run:
    kind = next(k for k in ("bfly", "down", "up", "idx") if k in flags(op, "kind"))
    predicate = "return_value_and_is_valid" in op.attributes

    def run(machine: Machine, members: Any, value: Any, offset: Any, control: Any) -> Any:
        active, named = _members(machine, members, "shfl.sync")
        lanes, b, c = machine.warps(value), machine.warps(offset), machine.warps(control)
        source, valid = _source_lane(kind, b, c)
        shape = np.broadcast_shapes(lanes.shape[:2], source.shape[:2])
        if named is not None or not active.all():
            among = _among(active, named)
            shape = np.broadcast_shapes(shape, among.shape[:2])
            wide = np.broadcast_to(source, (*shape, 32))[..., None]
            reads = np.take_along_axis(np.broadcast_to(among, (*shape, 32, 32)), wide, 3)[..., 0]
            if (np.broadcast_to(active, (*shape, 32)) & ~reads).any():
                raise SimulationError("shfl.sync reads a lane that does not execute it")
        if source.shape[:2] == (1, 1):
            result = lanes[..., source[0, 0]]
        else:
            result = np.take_along_axis(np.broadcast_to(lanes, (*shape, 32)), np.broadcast_to(source, (*shape, 32)), 2)
        out = machine.unwarp(result)
        return (out, machine.unwarp(np.broadcast_to(valid, result.shape))) if predicate else out

    return run


def _source_lane(kind: str, b: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Source lane and validity by lane, from operands b and c: the pseudocode of 9.7.9.6."""
    if (b == b.flat[0]).all() and (c == c.flat[0]).all():
        b, c = b[:1, :1], c[:1, :1]
    bval, cval, segmask = b & 31, c & 31, c >> 8 & 31
    max_lane = (_LANE & segmask) | (cval & ~segmask)
    min_lane = _LANE & segmask
    if kind == "up":
        j = _LANE - bval
        valid = j >= max_lane
    elif kind == "down":
        j = _LANE + bval
        valid = j <= max_lane
    elif kind == "bfly":
        j = _LANE ^ bval
        valid = j <= max_lane
    else:
        j = min_lane | (bval & ~segmask)
        valid = j <= max_lane
    return np.where(valid, j, _LANE), valid


def _vote(op: ir.Operation) -> Run:
    kind = next(k for k in ("ballot", "any", "all", "uni") if k in flags(op, "kind"))

    def run(machine: Machine, members: Any, predicate: Any) -> np.ndarray:
        active, named = _members(machine, members, "vote.sync")
        votes, among = machine.warps(predicate)[:, :, None, :], _among(active, named)
        true, false = votes & among, ~votes & among
        if kind == "ballot":
            bits = (true.astype(np.uint32) << _LANE.astype(np.uint32)).sum(3, dtype=np.uint32).view(np.int32)
        elif kind == "any":
            bits = np.asarray(true.any(3))
        elif kind == "all":
            bits = np.asarray(~false.any(3))
        else:
            bits = np.asarray(~(true.any(3) & false.any(3)))
        return _to_lanes(machine, bits)

    return run


def _to_lanes(machine: Machine, values: np.ndarray) -> np.ndarray:
    """Results by group (C|1, W, 32), or one per warp (C|1, W, 1), for every lane."""
    return machine.unwarp(np.repeat(values, 32, axis=2) if values.shape[2] == 1 else values)


_REDUCE: dict[str, tuple[np.ufunc, bool, int]] = {
    # function, unsigned, neutral element (as stored in 32 bits)
    "add": (np.add, False, 0),
    "umin": (np.minimum, True, -1),
    "umax": (np.maximum, True, 0),
    "min": (np.minimum, False, 2**31 - 1),
    "max": (np.maximum, False, -(2**31)),
    "and": (np.bitwise_and, False, -1),
    "xor": (np.bitwise_xor, False, 0),
    "or": (np.bitwise_or, False, 0),
}


def _redux(op: ir.Operation) -> Run:
    text = flags(op, "kind")
    kind = text.replace("<", " ").replace(">", " ").split()[-1]
    if kind not in _REDUCE:
        raise UnsupportedError(f"the simulator has no redux.sync.{kind}")
    function, unsigned, neutral = _REDUCE[kind]

    def run(machine: Machine, value: Any, members: Any) -> np.ndarray:
        active, named = _members(machine, members, "redux.sync")
        lanes = machine.warps(value).astype(np.int32, copy=False)[:, :, None, :]
        if named is not None or not active.all():
            lanes = np.where(_among(active, named), lanes, np.int32(neutral))
        lanes = lanes.view(np.uint32) if unsigned else lanes
        return _to_lanes(machine, function.reduce(lanes, axis=3, dtype=lanes.dtype).view(np.int32))

    return run


def _match(op: ir.Operation) -> Run:
    everyone = "all" in flags(op, "kind")

    def run(machine: Machine, members: Any, value: Any) -> Any:
        among = _among(*_members(machine, members, "match.sync"))
        lanes = machine.warps(value)
        equal = (lanes[..., :, None] == lanes[..., None, :]) & among
        bits = (equal.astype(np.uint32) << _LANE.astype(np.uint32)).sum(3, dtype=np.uint32).view(np.int32)
        if not everyone:
            return machine.unwarp(bits)
        full = (equal == among).all(3)
        return machine.unwarp(np.where(full, bits, 0)), machine.unwarp(full)

    return run


def _elect(op: ir.Operation) -> Run:
    def run(machine: Machine, members: Any = _ALL) -> np.ndarray:
        active, named = _members(machine, members, "elect.sync")
        first = _among(active, named).argmax(3)  # the lowest lane of each group
        return machine.unwarp(active & (first == _LANE))

    return run


def _active(op: ir.Operation) -> Run:
    def run(machine: Machine) -> np.ndarray:
        bits = (machine.active().astype(np.uint32) << _LANE.astype(np.uint32)).sum(2, keepdims=True, dtype=np.uint32)
        return _to_lanes(machine, bits.view(np.int32))

    return run


def _warp_sync(op: ir.Operation) -> Run:
    def run(machine: Machine, members: Any) -> None:
        _members(machine, members, "bar.warp.sync")
        machine.sync_warp(members)

    return run


INSTRUCTIONS = (
    Instruction(
        "nvvm.shfl.sync",
        "shfl.sync.mode.b32 d, a, b, c, membermask",
        "9.7.9.6 shfl.sync",
        _shuffle,
        emit=shuffle,
        together=WARP,
    ),
    Instruction(
        "nvvm.vote.sync", "vote.sync.mode d, a, membermask", "9.7.13.9 vote.sync", _vote, emit=vote, together=WARP
    ),
    Instruction(
        "nvvm.match.sync", "match.sync.mode d, a, membermask", "9.7.13.10 match.sync", _match, emit=match, together=WARP
    ),
    Instruction(
        "nvvm.redux.sync",
        "redux.sync.op.type d, a, membermask",
        "9.7.13.12 redux.sync",
        _redux,
        emit=reduce,
        together=WARP,
        feature=Feature.REDUX,
    ),
    Instruction("activemask", "activemask.b32 d", "9.7.13.11 activemask", _active, emit=active),
    Instruction(
        "nvvm.elect.sync",
        "elect.sync _|p, membermask",
        "9.7.13.14 elect.sync",
        _elect,
        emit=elect,
        together=WARP,
        feature=Feature.ELECT,
    ),
    Instruction(
        "nvvm.bar.warp.sync",
        "bar.warp.sync membermask",
        "9.7.13.2 bar.warp.sync",
        _warp_sync,
        emit=sync,
        together=WARP,
        effects=(Effect(Access.BARRIER),),
    ),
)
