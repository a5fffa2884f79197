"""Accesses of 32-bit words, copies of bytes, and matrix instructions of a warp on words.

The fragments of matrix instructions are written out here from the PTX ISA, 9.7.14.5, register by register; what the
compiler and the simulator use is in `isa/nvidia`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.reference.elements import load, store
from tilelang_mlir.reference.machine import Frame
from tilelang_mlir.reference.memory import Buffer, Tile
from tilelang_mlir.reference.program import Instruction, Run
from tilelang_mlir.reference.types import Array, Value, is_sub_byte

_DTYPES: dict[str, Any] = {
    "f16": np.float16, "bf16": ml_dtypes.bfloat16, "tf32": np.float32, "s8": np.int8, "u8": np.uint8,
    "e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2, "f64": np.float64, "f32": np.float32,
    "s32": np.int32,
}  # fmt: skip


def _place(value: Buffer | Tile, index: Sequence[Value]) -> tuple[Buffer, list[Value]]:
    if isinstance(value, Tile):
        return value.buffer, [a + b for a, b in zip(value.offsets, index, strict=True)]
    return value, list(index)


def _ahead(buffer: Buffer, index: Sequence[Value], count: int) -> list[Value]:
    """The element `count` elements further in row-major order."""
    linear: Value = np.int64(0)
    for part, size in zip(index, buffer.shape, strict=True):
        linear = linear * size + np.asarray(part).astype(np.int64)
    linear = linear + count
    parts: list[Value] = []
    for size in reversed(buffer.shape[1:]):
        parts.insert(0, linear % size)
        linear = linear // size
    return [linear, *parts]


def _bytes_of(value: Value, frame: Frame) -> Array:
    """A value per lane as bytes (lanes, size)."""
    flat = np.ascontiguousarray(np.broadcast_to(value, frame.lanes))
    return flat.view(np.uint8).reshape(*frame.lanes, -1)


def read_bytes(buffer: Buffer, index: Sequence[Value], size: int, frame: Frame) -> Array:
    """`size` bytes from an element on, per lane."""
    width = buffer.data.dtype.itemsize
    if is_sub_byte(buffer.data.dtype):
        raise UnsupportedError(f"words of {buffer.describe()}: elements below a byte are not packed here")
    parts = [_bytes_of(load(buffer, _ahead(buffer, index, i), frame), frame) for i in range(-(-size // width))]
    return np.concatenate(parts, axis=-1)[..., :size]


def write_bytes(buffer: Buffer, index: Sequence[Value], data: Array, frame: Frame) -> None:
    """The inverse of `read_bytes`."""
    dtype = buffer.data.dtype
    items = np.ascontiguousarray(data).view(dtype)
    for i in range(items.shape[-1]):
        store(buffer, _ahead(buffer, index, i), items[..., i], frame)


def _load_words(op: Instruction, frame: Frame) -> None:
    env = frame.env
    buffer, index = _place(env[op.operands[0]], [env[s] for s in op.operands[2:]])
    inner = frame if np.ndim(env[op.operands[1]]) == 0 and env[op.operands[1]] else frame.under(
        np.broadcast_to(env[op.operands[1]], frame.lanes)
    )
    data = read_bytes(buffer, index, 4 * len(op.results), inner)
    words = np.where(inner.active()[..., None], data.view(np.int32), 0)
    for position, slot in enumerate(op.results):
        env[slot] = words[..., position]


def _store_words(op: Instruction, frame: Frame) -> None:
    env = frame.env
    rank = len(env[op.operands[0]].shape if isinstance(env[op.operands[0]], Buffer) else env[op.operands[0]].offsets)
    buffer, index = _place(env[op.operands[0]], [env[s] for s in op.operands[2 : 2 + rank]])
    words = [np.broadcast_to(env[s], frame.lanes).astype(np.int32) for s in op.operands[2 + rank :]]
    predicate = env[op.operands[1]]
    inner = frame if np.ndim(predicate) == 0 and predicate else frame.under(np.broadcast_to(predicate, frame.lanes))
    write_bytes(buffer, index, np.stack(words, axis=-1).view(np.uint8), inner)


def _copy_words(op: Instruction, frame: Frame) -> None:
    """cp.async: bytes that the predicate leaves out become zero. Complete at once here."""
    env, size = frame.env, int(op.attributes["bytes"])
    source = env[op.operands[0]]
    rank = len(source.shape if isinstance(source, Buffer) else source.offsets)
    start, index = _place(source, [env[s] for s in op.operands[3 : 3 + rank]])
    target, where = _place(env[op.operands[1]], [env[s] for s in op.operands[3 + rank :]])
    taken = np.broadcast_to(env[op.operands[2]], frame.lanes)
    data = read_bytes(start, index, size, frame.under(taken))
    write_bytes(target, where, np.where(taken[..., None], data, np.uint8(0)), frame)


# ---- matrices ------------------------------------------------------------------------------------------------------
def _rows(op: Instruction, frame: Frame, count: int, rank: int) -> tuple[Buffer, list[list[Value]], int]:
    """Where the rows of `count` matrices are, per warp: the index each lane of the first 8 * count gives."""
    env = frame.env
    buffer, index = _place(env[op.operands[0]], [env[s] for s in op.operands[1 : 1 + rank]])
    lanes = frame.lanes[0]
    if lanes % 32 or not frame.active().reshape(-1, 32).all(axis=1).any():
        raise UnsupportedError("a matrix access by threads that are no whole warps")
    spread = [np.broadcast_to(np.asarray(part), (lanes,)) for part in index]
    return buffer, [[part[lane : lane + 1] for part in spread] for lane in range(lanes)], lanes


def _load_matrix(op: Instruction, frame: Frame) -> None:
    """Register q of lane t: row t / 4 of matrix q, elements 2 (t % 4) and the next; transposed the other way round."""
    count, transpose = len(op.results), bool(op.attributes["transpose"])
    buffer, places, lanes = _rows(op, frame, count, len(op.operands) - 1)
    one = Frame(frame.env, frame.machine, frame.cta, (1,))
    words = np.zeros((count, lanes), np.int32)
    for warp in range(0, lanes, 32):
        if not frame.active()[warp]:
            continue
        for q in range(count):
            rows = [read_bytes(buffer, places[warp + 8 * q + r], 16, one)[0].view(np.uint16) for r in range(8)]
            matrix = np.stack(rows).T if transpose else np.stack(rows)
            for lane in range(32):
                pair = np.ascontiguousarray(matrix[lane // 4, 2 * (lane % 4) : 2 * (lane % 4) + 2])
                words[q, warp + lane] = pair.view(np.int32)[0]
    for slot, value in zip(op.results, words, strict=True):
        frame.env[slot] = value


def _store_matrix(op: Instruction, frame: Frame) -> None:
    count, transpose = int(op.attributes["count"]), bool(op.attributes["transpose"])
    buffer, places, lanes = _rows(op, frame, count, len(op.operands) - 1 - count)
    values = [np.broadcast_to(frame.env[s], (lanes,)).astype(np.int32) for s in op.operands[-count:]]
    one = Frame(frame.env, frame.machine, frame.cta, (1,))
    for warp in range(0, lanes, 32):
        if not frame.active()[warp]:
            continue
        for q in range(count):
            matrix = np.zeros((8, 8), np.uint16)
            for lane in range(32):
                matrix[lane // 4, 2 * (lane % 4) : 2 * (lane % 4) + 2] = values[q][warp + lane : warp + lane + 1].view(
                    np.uint16
                )
            matrix = matrix.T if transpose else matrix
            for r in range(8):
                write_bytes(buffer, places[warp + 8 * q + r], np.ascontiguousarray(matrix[r])[None].view(np.uint8), one)


def _mma(op: Instruction, frame: Frame) -> None:
    m, n, k = op.attributes["shape"]
    counts = op.attributes["segments"]
    kinds = [str(op.attributes[name]) for name in "abc"]
    registers = [np.broadcast_to(frame.env[s], frame.lanes) for s in op.operands[: sum(counts)]]
    lanes = frame.lanes[0]
    if lanes % 32:
        raise UnsupportedError("a matrix product by threads that are no whole warps")
    if "layouts" in op.attributes:
        _quad_mma(op, frame, registers)
        return
    stored = k // 2 if "selector" in op.attributes else k
    results = [np.zeros(lanes, r.dtype) for r in registers[sum(counts[:2]) :]]
    for warp in range(0, lanes, 32):
        own = [np.ascontiguousarray(r[warp : warp + 32]) for r in registers]
        a = gather(own[: counts[0]], kinds[0], (m, stored), _row_of_a)
        b = gather(own[counts[0] : sum(counts[:2])], kinds[1], (n, k), _row_of_b)
        if "selector" in op.attributes:
            words = np.broadcast_to(frame.env[op.operands[-1]], frame.lanes)[warp : warp + 32]
            a = expand(a, np.ascontiguousarray(words).view(np.uint32), kinds[0], int(op.attributes["selector"]))
        wide = np.float64 if kinds[0] == "f64" else np.int64 if kinds[0] in ("s8", "u8") else np.float32
        start = own[sum(counts[:2]) :]
        for i, register in enumerate(start):
            items = register.view(_DTYPES[kinds[2]]).reshape(32, -1)
            out = np.zeros_like(items)
            for lane in range(32):
                for part in range(items.shape[1]):
                    element = i * items.shape[1] + part
                    row, column = lane // 4 + 8 * (element // 2), lane % 4 * 2 + element % 2
                    total = a[row].astype(wide) @ b[column].astype(wide) + items[lane, part].astype(wide)
                    out[lane, part] = total.astype(items.dtype)
            results[i][warp : warp + 32] = out.view(register.dtype).reshape(32)
    for slot, value in zip(op.results, results, strict=True):
        frame.env[slot] = value


def _quad_mma(op: Instruction, frame: Frame, registers: Sequence[Array]) -> None:
    """mma.m8n8k4, PTX ISA 9.7.14.5.1: product q of lanes 4 q + l and 16 + 4 q + l, element by element."""
    layouts, half = str(op.attributes["layouts"]).split("."), op.attributes["c"] == "f16"
    results = [np.array(r) for r in registers[4:]]
    for warp in range(0, len(registers[0]), 32):
        own = [np.ascontiguousarray(r[warp : warp + 32]) for r in registers]
        halves = [r.view(np.float16).reshape(32, 2).astype(np.float32) for r in own[:4]]
        for q in range(4):
            a, b = np.zeros((8, 4), np.float32), np.zeros((4, 8), np.float32)
            lanes = [16 * h + 4 * q + low for h in range(2) for low in range(4)]
            for lane in lanes:
                low, high = lane % 4, 4 * (lane // 16)
                for i in range(4):
                    x, y = halves[i // 2][lane, i % 2], halves[2 + i // 2][lane, i % 2]
                    a[(low + high, i) if layouts[0] == "row" else (i + high, low)] = x
                    b[(i, low + high) if layouts[1] == "col" else (low, i + high)] = y
            product = a @ b
            for lane in lanes:
                low, high = lane % 4, 4 * (lane // 16)
                for i in range(8):
                    if half:
                        pair = results[i // 2][warp + lane : warp + lane + 1].view(np.float16)
                        pair[i % 2] = np.float16(np.float32(pair[i % 2]) + product[low + high, i])
                    else:
                        row, column = low % 2 + (i & 2) + high, (i & 4) + (low & 2) + (i & 1)
                        word = results[i][warp + lane : warp + lane + 1].view(np.float32)
                        word[0] += product[row, column]
    for slot, value in zip(op.results, results, strict=True):
        frame.env[slot] = value


def _row_of_a(lane: int, register: int, part: int, per: int) -> tuple[int, int]:
    return lane // 4 + 8 * (register % 2), lane % 4 * per + part + 4 * per * (register // 2)


def _row_of_b(lane: int, register: int, part: int, per: int) -> tuple[int, int]:
    return lane // 4, lane % 4 * per + part + 4 * per * register


def gather(registers: Sequence[Array], kind: str, shape: tuple[int, int], place: Any) -> Array:
    """The matrix that the registers of a warp hold; `place` gives row and k of an element."""
    matrix = np.zeros(shape, _DTYPES[kind])
    if kind == "f64":  # one element each, m8n8k4
        for lane in range(32):
            matrix[lane // 4, lane % 4] = registers[0][lane]
        return matrix
    for q, register in enumerate(registers):
        items = register.view(_DTYPES[kind]).reshape(32, -1)
        for lane in range(32):
            for part in range(items.shape[1]):
                matrix[place(lane, q, part, items.shape[1])] = items[lane, part]
    return matrix


def expand(stored: Array, words: Array, kind: str, selector: int) -> Array:
    """The dense A of a sparse product (PTX ISA 9.7.14.6.2), one group after the other."""
    bits = 8 * _DTYPES[kind]().itemsize
    group, depth = (2 if bits == 32 else 4), 2 * stored.shape[1]
    dense = np.zeros((16, depth), stored.dtype)
    for row in range(16):
        for column in range(0, depth, group):
            half = column // (depth // 2)
            number = column % (depth // 2) // group  # of the group in its half of K
            if bits == 8:
                code = int(words[row % 8 * 4 + 2 * half + row // 8]) >> 4 * number & 0xF
            else:
                code = int(words[row % 8 * 4 + 2 * selector + half]) >> 16 * (row // 8) + 4 * number & 0xF
            if bits == 32:
                dense[row, column + code % 4 // 2] = stored[row, column // 2]
                continue
            dense[row, column + code % 4] = stored[row, column // 2]
            dense[row, column + code // 4] = stored[row, column // 2 + 1]
    return dense


WORDS: dict[str, Run] = {
    "tl.load_words": _load_words, "tl.store_words": _store_words, "tl.copy_words": _copy_words,
    "tl.load_matrix": _load_matrix, "tl.store_matrix": _store_matrix, "tl.warp_mma": _mma,
}  # fmt: skip
