"""Exchange inside a wave: DPP, swizzles, permutes, swaps, ballots.

CDNA3 ISA, chapter 12: "DPP" (DPP_CTRL values), DS_SWIZZLE_B32 (bit mask mode), DS_BPERMUTE_B32, V_READLANE_B32,
V_READFIRSTLANE_B32; CDNA4: V_PERMLANE16_SWAP_B32, V_PERMLANE32_SWAP_B32; RDNA3 / RDNA4: V_PERMLANEX16_B32, DPP16
ROW_XMASK. A ballot is a comparison into a mask.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tilelang_mlir.errors import SimulationError, UnsupportedError
from tilelang_mlir.isa.instruction import WARP, Instruction, Machine, Run, constant, create, integer
from tilelang_mlir.mlir import ir

QUAD_PERM, ROW_ROR, ROW_MIRROR, ROW_HALF_MIRROR, ROW_XMASK = 0x000, 0x120, 0x140, 0x141, 0x160
"""DPP_CTRL: quad_perm takes four 2-bit lane numbers, row_ror and row_xmask a number below 16."""


def dpp(value: ir.Value, control: int) -> ir.Value:
    """`v_mov_b32 dpp`: a fixed pattern of lanes within rows of 16. All lanes of the wave must be active."""
    return create(
        "rocdl.update.dpp", [value, value], [value.type], bankMask="15 : i32", boundCtrl="true",
        dppCtrl=f"{control} : i32", rowMask="15 : i32",
    )  # fmt: skip


def swizzle_xor(value: ir.Value, mask: int) -> ir.Value:
    """`ds_swizzle_b32` in bit mask mode: the i32 of lane xor `mask` within 32 lanes."""
    return create("rocdl.ds_swizzle", [value, constant(mask << 10 | 0x1F)], [value.type])


def bpermute(byte: ir.Value, value: ir.Value) -> ir.Value:
    """`ds_bpermute_b32`: the i32 of lane `byte / 4` modulo the wave."""
    return create("rocdl.ds_bpermute", [byte, value], [value.type])


def swap_rows(value: ir.Value) -> ir.Value:
    """`v_permlanex16_b32` with the identity: the i32 of lane xor 16."""
    low, high = constant(0x76543210), constant(0xFEDCBA98 - (1 << 32))
    return create("rocdl.permlanex16", [value, value, low, high], [value.type], fi="true", boundControl="false")


def swap_halves(a: ir.Value, b: ir.Value) -> tuple[ir.Value, ir.Value]:
    """`v_permlane32_swap_b32`: the upper half of a wave's `a` changes places with the lower half of `b`."""
    return _swap("rocdl.permlane32.swap", a, b)


def swap_odd_rows(a: ir.Value, b: ir.Value) -> tuple[ir.Value, ir.Value]:
    """`v_permlane16_swap_b32`: every odd row of 16 lanes of `a` changes places with the even row before it of `b`."""
    return _swap("rocdl.permlane16.swap", a, b)


def _swap(name: str, a: ir.Value, b: ir.Value) -> tuple[ir.Value, ir.Value]:
    pair = create(name, [a, b], [ir.Type.parse("!llvm.struct<(i32, i32)>")], fi="true", boundControl="false")
    first, second = (
        create("llvm.extractvalue", [pair], [a.type], position=ir.DenseI64ArrayAttr.get([i])) for i in (0, 1)
    )
    return first, second


def ballot(predicate: ir.Value, wave: int) -> ir.Value:
    """A mask (i32 or i64, as wide as the wave) with a bit for each active lane whose predicate holds."""
    return create("rocdl.ballot", [predicate], [ir.IntegerType.get_signless(wave)])


def first(value: ir.Value) -> ir.Value:
    """`v_readfirstlane_b32`: the i32 of the lowest active lane."""
    return create("rocdl.readfirstlane", [value], [value.type])


# -- semantics ---------------------------------------------------------------------------------------------------------
def _dpp_source(control: int, lanes: np.ndarray) -> np.ndarray:
    """The lane each lane reads, by DPP_CTRL."""
    row, place = lanes & ~15, lanes & 15
    if control <= 0xFF:
        return (lanes & ~3) | (control >> (2 * (lanes & 3)) & 3)
    if ROW_ROR < control <= ROW_ROR + 15:
        return row | ((place - (control & 15)) & 15)
    if control == ROW_MIRROR:
        return row | (15 - place)
    if control == ROW_HALF_MIRROR:
        return (lanes & ~7) | (7 - (lanes & 7))
    if ROW_XMASK <= control <= ROW_XMASK + 15:
        return row | (place ^ (control & 15))
    raise UnsupportedError(f"the simulator has no DPP control {control:#x}")


def _require_lanes(machine: Machine, source: np.ndarray, what: str) -> None:
    """Active lanes may read active lanes only; the last wave of a block may be a part of one."""
    active = machine.active()
    if active.all():
        return
    wide = np.broadcast_to(source, active.shape)
    if (active & ~np.take_along_axis(active, wide, 2)).any():
        raise SimulationError(f"{what} reads a lane that does not execute it")


def _words(machine: Machine, value: Any) -> np.ndarray:
    """An i32 as (C|1, waves, lanes); constants come as numbers without a width."""
    return machine.warps(value if isinstance(value, np.ndarray) else np.full((1, 1), value, np.int32))


def _gather(machine: Machine, value: Any, source: np.ndarray, what: str) -> np.ndarray:
    """Values of the lanes `source` names, (lanes) or (C|1, W, lanes); only active lanes may be read."""
    lanes = _words(machine, value)
    _require_lanes(machine, source, what)
    if source.ndim == 1:
        return machine.unwarp(lanes[..., source])
    shape = np.broadcast_shapes(lanes.shape, source.shape)
    return machine.unwarp(np.take_along_axis(np.broadcast_to(lanes, shape), np.broadcast_to(source, shape), 2))


def _wave(machine: Machine) -> np.ndarray:
    return np.arange(machine.active().shape[2])


def _dpp(op: ir.Operation) -> Run:
    control = integer(op, "dppCtrl")
    if integer(op, "rowMask") != 15 or integer(op, "bankMask") != 15:
        raise UnsupportedError("the simulator has DPP with full row and bank masks only")
    return lambda machine, old, value: _gather(machine, value, _dpp_source(control, _wave(machine)), "a DPP move")


def _swizzle(op: ir.Operation) -> Run:
    def run(machine: Machine, value: Any, offset: Any) -> np.ndarray:
        code = int(np.asarray(offset).flat[0])
        if code & 0x8000:
            raise UnsupportedError("the simulator has ds_swizzle in bit mask mode only")
        lanes = _wave(machine)
        inner = ((lanes & 31 & code) | (code >> 5 & 31)) ^ (code >> 10 & 31)
        return _gather(machine, value, (lanes & ~31) | inner, "ds_swizzle")

    return run


def _bpermute(op: ir.Operation) -> Run:
    def run(machine: Machine, byte: Any, value: Any) -> np.ndarray:
        lanes, active = _words(machine, value), machine.active()
        places = (_words(machine, byte) >> 2) % active.shape[2]
        shape = np.broadcast_shapes(lanes.shape, active.shape, places.shape)
        lanes, active, places = (np.broadcast_to(x, shape) for x in (lanes, active, places))
        values = np.take_along_axis(lanes, places, 2)
        if not active.all():  # EXEC applies to the source, too: zero of a disabled lane
            values = np.where(np.take_along_axis(active, places, 2), values, values.dtype.type(0))
        return machine.unwarp(values)

    return run


def _permlanex16(op: ir.Operation) -> Run:
    def run(machine: Machine, old: Any, value: Any, low: Any, high: Any) -> np.ndarray:
        lanes = _wave(machine)
        selects = [int(np.asarray(x).flat[0]) & 0xFFFFFFFF for x in (low, high)]
        chosen = np.array([selects[p >> 3] >> (4 * (p & 7)) & 15 for p in range(16)])
        return _gather(machine, value, ((lanes & ~15) ^ 16) | chosen[lanes & 15], "v_permlanex16")

    return run


def _swap_rows(op: ir.Operation) -> Run:
    rows = 2 if "permlane32" in op.name else 1  # that move together

    def run(machine: Machine, a: Any, b: Any) -> tuple[np.ndarray, np.ndarray]:
        _require_lanes(machine, _wave(machine) ^ 16 * rows, "v_permlane_swap")
        first, second = np.broadcast_arrays(_words(machine, a), _words(machine, b))
        odd = np.arange(first.shape[2]) // (16 * rows) % 2 == 1
        left, right = first.copy(), second.copy()
        left[..., odd], right[..., ~odd] = second[..., ~odd], first[..., odd]
        return machine.unwarp(left), machine.unwarp(right)

    return run


def _ballot(op: ir.Operation) -> Run:
    bits = op.results[0].type.width

    def run(machine: Machine, predicate: Any) -> np.ndarray:
        votes = machine.warps(np.asarray(predicate).reshape(np.shape(predicate) or (1, 1))) & machine.active()
        kind = np.uint64 if bits == 64 else np.uint32
        mask = (votes.astype(kind) << np.arange(votes.shape[2], dtype=kind)).sum(2, keepdims=True, dtype=kind)
        return machine.unwarp(np.repeat(mask.view(np.int64 if bits == 64 else np.int32), votes.shape[2], axis=2))

    return run


def _first(op: ir.Operation) -> Run:
    del op

    def run(machine: Machine, value: Any) -> np.ndarray:
        active = machine.active()
        lanes = np.broadcast_to(_words(machine, value), active.shape)
        lowest = active.argmax(2)[..., None]  # lane 0 where none is active
        return machine.unwarp(np.broadcast_to(np.take_along_axis(lanes, lowest, 2), active.shape).copy())

    return run


INSTRUCTIONS = (
    Instruction("rocdl.update.dpp", "v_mov_b32_dpp d, s", "12 DPP", _dpp, emit=dpp, together=WARP),
    Instruction("rocdl.ds_swizzle", "ds_swizzle_b32 d, s offset:n", "12 DS_SWIZZLE_B32", _swizzle, emit=swizzle_xor,
                together=WARP),
    Instruction("rocdl.ds_bpermute", "ds_bpermute_b32 d, a, s", "12 DS_BPERMUTE_B32", _bpermute, emit=bpermute,
                together=WARP),
    Instruction("rocdl.permlanex16", "v_permlanex16_b32 d, s, l, h", "RDNA3 16 V_PERMLANEX16_B32", _permlanex16,
                emit=swap_rows, together=WARP),
    Instruction("rocdl.permlane32.swap", "v_permlane32_swap_b32 a, b", "CDNA4 12 V_PERMLANE32_SWAP_B32", _swap_rows,
                emit=swap_halves, together=WARP),
    Instruction("rocdl.permlane16.swap", "v_permlane16_swap_b32 a, b", "CDNA4 12 V_PERMLANE16_SWAP_B32", _swap_rows,
                emit=swap_odd_rows, together=WARP),
    Instruction("rocdl.readfirstlane", "v_readfirstlane_b32 d, s", "12 V_READFIRSTLANE_B32", _first, emit=first,
                together=WARP),
    Instruction("rocdl.ballot", "v_cmp_ne_u32 mask", "12 VOPC", _ballot, emit=ballot, together=WARP),
)  # fmt: skip
