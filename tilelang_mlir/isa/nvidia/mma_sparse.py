"""Tensor core products of a warp with a 2:4 sparse A. PTX ISA 8.7, section 9.7.14.6 (mma.sp).

A holds half of the elements and has the registers of a dense A half as deep, B those of two dense B one after the
other. A group of four (of two: 32-bit elements) is described by four bits, the places of its two elements, the lower
one first; a 32-bit element takes both places of its half, 0b0100 or 0b1110. Which lane's word describes what, with
g = lane / 4 and t = lane % 4 (9.7.14.6.2):
 16- and 32-bit elements: lanes with t / 2 = selector; lower half: row g, upper half: row g + 8; half (t % 2) of K
 8-bit elements: every lane; row g + 8 * (t % 2), half (t / 2) of K
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tilelang_mlir.errors import SimulationError
from tilelang_mlir.isa.instruction import WARP, Instruction, Machine, Run, bitcast, inline_ptx, integer
from tilelang_mlir.isa.nvidia.mma import bits_of, decode_registers
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

NAME = "mma.sp"


def depth(kind: str) -> int:
    """k of one instruction: 64 bytes of elements, half of which are stored."""
    return 512 // bits_of(kind)


def emit(
    a: Sequence[ir.Value],
    b: Sequence[ir.Value],
    c: Sequence[ir.Value],
    metadata: ir.Value,
    a_type: str = "f16",
    b_type: str = "f16",
    c_type: str = "f32",
    selector: int = 0,
    *,
    ordered: bool = True,
) -> list[ir.Value]:
    """`mma.sp{::ordered_metadata}.sync.aligned.m16n8k{k}.row.col`: D = A * B + C with k = `depth(a_type)`.

    Args:
        a, b: four registers i32 of the lane each.
        c: four sums f32 or i32; two i32 for c_type "f16".
        metadata: i32; see the module.
        a_type, b_type: f16, bf16, tf32, s8, u8, e4m3, e5m2; the fp8 kinds mix, and the integer kinds.
        c_type: f32, f16 or s32.
        selector: which lanes' words are read, 0 or 1 (0 for 8-bit elements).
        ordered: the form for metadata in ascending order, which is faster on sm_90 and newer (PTX 8.5).

    Returns:
        D in the types of `c`.
    """
    i32 = ir.IntegerType.get_signless(32)
    word = ir.F32Type.get() if c_type == "f32" else i32
    reads = [*(bitcast(v, i32) for v in (*a, *b)), *(bitcast(v, word) for v in c), metadata]
    slots = iter(range(len(reads)))

    def group(count: int, letter: str = "r") -> str:
        return "{" + ", ".join(f"{{${letter}{next(slots)}}}" for _ in range(count)) + "}"

    target = "{" + ", ".join(f"{{$w{i}}}" for i in range(len(c))) + "}"
    form = "mma.sp::ordered_metadata" if ordered else "mma.sp"
    text = (
        f"{form}.sync.aligned.m16n8k{depth(a_type)}.row.col.{c_type}.{a_type}.{b_type}.{c_type} "
        f"{target}, {group(4)}, {group(4)}, {group(len(c))}, {{$r{len(reads) - 1}}}, {selector};"
    )
    facts = {
        "tl.kinds": ir.ArrayAttr.get([ir.StringAttr.get(k) for k in (a_type, b_type, c_type)]),
        "tl.selector": ir.IntegerAttr.get(ir.IntegerType.get_signless(32), selector),
    }
    results = inline_ptx(NAME, text, reads, [word] * len(c), attributes=facts)
    return [bitcast(v, x.type) for v, x in zip(results, c, strict=True)]


def dense(stored: np.ndarray, words: np.ndarray, bits: int, selector: int) -> np.ndarray:
    """A (..., 16, k) from what is stored (..., 16, k / 2) and the lanes' words (..., 32).

    Raises:
        SimulationError: a group whose two places are not in ascending order, unless it holds zeros only, as what lies
            outside of a tensor does, whose metadata are zero too.
    """
    *lead, rows, kept = stored.shape
    half = kept  # elements of dense A per half of K
    lanes = words.reshape(*lead, 8, 4).astype(np.uint32)
    per = 16 if bits > 8 else 32  # bits of metadata per row and half of K
    nibbles = np.arange(per // 4) * 4
    out = np.zeros((*lead, rows, 2 * kept), stored.dtype)
    for row_half in range(2):
        for part in range(2):
            if bits > 8:
                word = lanes[..., 2 * selector + part] >> np.uint32(16 * row_half)
            else:
                word = lanes[..., 2 * part + row_half]
            codes = word[..., None] >> nibbles.astype(np.uint32) & 0xF
            first, second = codes & 3, codes >> 2
            block = slice(8 * row_half, 8 * row_half + 8), slice(part * kept // 2, (part + 1) * kept // 2)
            values = stored[(..., *block)]
            if ((first >= second) & values.reshape(*first.shape, -1).any(-1)).any():
                raise SimulationError("the metadata of a sparse product names places that are not in ascending order")
            target = out[(..., block[0], slice(part * half, (part + 1) * half))]
            _place(target, values, first, second, bits)
    return out


def _place(target: np.ndarray, values: np.ndarray, first: np.ndarray, second: np.ndarray, bits: int) -> None:
    """Put the kept elements (..., 8, n) at their places of (..., 8, 2 n)."""
    group = 2 if bits == 32 else 4
    view = target.reshape(*target.shape[:-1], -1, group)
    if bits == 32:  # one of two elements; each is two places wide
        np.put_along_axis(view, (first[..., None] // 2).astype(np.int64), values[..., None], -1)
    else:
        pairs = values.reshape(*values.shape[:-1], -1, 2)
        places = np.stack((first, second), -1).astype(np.int64)
        np.put_along_axis(view, places, pairs, -1)
    target[...] = view.reshape(target.shape)


def _semantics(op: ir.Operation) -> Run:
    a_kind, b_kind, c_kind = (ir.StringAttr(k).value for k in ir.ArrayAttr(op.attributes["tl.kinds"]))
    selector = integer(op, "tl.selector")

    def run(machine: Machine, *values: Any) -> tuple[Any, ...]:
        machine.require_whole_warps("mma.sp")
        words = machine.warps(values[-1])
        left = decode_registers(machine, values[:4], a_kind, rows=True)
        left = dense(left, np.ascontiguousarray(words).view(np.uint32), bits_of(a_kind), selector)
        right = decode_registers(machine, values[4:8], b_kind, rows=False)
        product = np.matmul(left, right)  # (C, W, 16, 8)
        ctas, warps = product.shape[:2]
        parts = product.reshape(ctas, warps, 2, 8, 4, 2).transpose(2, 5, 0, 1, 3, 4).reshape(4, ctas, warps * 32)
        start = values[8:-1]
        if c_kind == "f16":
            sums = [np.stack((parts[2 * q], parts[2 * q + 1]), -1) for q in range(2)]
            return tuple(_add_halves(s, x, machine) for s, x in zip(sums, start, strict=True))
        if c_kind == "s32":
            return tuple(part.astype(np.int32) + x for part, x in zip(parts, start, strict=True))
        return tuple((part + x).astype(np.float32) for part, x in zip(parts, start, strict=True))

    return run


def _add_halves(sums: np.ndarray, start: Any, machine: Machine) -> np.ndarray:
    """A pair of sums in one register."""
    wide = np.ascontiguousarray(np.broadcast_to(np.asarray(start), machine.shape))
    old = wide.view(np.float16).reshape(*machine.shape, 2).astype(np.float32)
    return np.ascontiguousarray((sums + old).astype(np.float16)).view(np.int32)[..., 0]


INSTRUCTIONS = (
    Instruction(
        NAME,
        "mma.sp::ordered_metadata.sync.aligned.m16n8kK.row.col.d.a.b.c d, a, b, c, e, f",
        "9.7.14.6 mma.sp",
        _semantics,
        emit=emit,
        feature=Feature.MMA_WIDE,
        together=WARP,
    ),
)
