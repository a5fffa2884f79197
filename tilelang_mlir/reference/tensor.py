"""Products into tensor memory: what they mean, without their asynchrony."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.reference.machine import Frame, integer
from tilelang_mlir.reference.memory import Tile, whole
from tilelang_mlir.reference.program import Instruction, Run
from tilelang_mlir.reference.threads import arrive_once
from tilelang_mlir.reference.tiles import expanded, matmul, matrix_of
from tilelang_mlir.reference.types import Array, is_float


def _mma(op: Instruction, frame: Frame) -> None:
    """C = op(A) op(B), with C added where `keep` holds; the operands of block-scaled ones are scaled, a sparse A is
    expanded first."""
    if not frame.active().any():
        return
    _alone(op)
    a_tile, b_tile, c_tile = (whole(frame.env[slot]) for slot in op.operands[:3])
    attributes, keep = op.attributes, frame.env[op.operands[3]]
    a = matrix_of(a_tile, bool(attributes["transpose_a"]), "a_unsigned" in attributes)
    b = matrix_of(b_tile, bool(attributes["transpose_b"]), "b_unsigned" in attributes)
    if len(op.operands) == 5:
        a = expanded(a, matrix_of(whole(frame.env[op.operands[4]]), False, True))
    elif len(op.operands) > 4:
        scales = [whole(frame.env[slot]) for slot in op.operands[4:]]
        firsts, blocks = (list(attributes[name]) for name in ("scale_bytes", "scale_blocks"))
        a = a.astype(np.float32) * _factors(scales[0], a.shape[0], a.shape[1], firsts[0], blocks[0])
        b = b.astype(np.float32) * _factors(scales[1], b.shape[1], b.shape[0], firsts[1], blocks[1]).T
    product = matmul(a, b)
    if integer(keep, "whether a product adds to its accumulator"):
        wide = np.float32 if is_float(c_tile.dtype) else np.int64
        product = product + c_tile.read().reshape(product.shape).astype(wide)
    c_tile.write(product.astype(c_tile.dtype).reshape(c_tile.sizes))


def _alone(op: Instruction) -> None:
    """CTAs are evaluated one after the other."""
    if "pair" in op.attributes:
        raise UnsupportedError("an operation of a pair of CTAs in the reference evaluator", hint="simulate it instead")


def _factors(tile: Tile, rows: int, k: int, first: int, block: int) -> Array:
    """The factor of each element (rows, k): row r has its bytes in lane r % 32, column r / 32 of every
    four for 128 rows; exponents of two, or e4m3 for blocks of 16."""
    words = tile.read().reshape(tile.sizes[-2:])[:32].astype(np.uint32)
    row, part = np.arange(rows)[:, None], first + np.arange(k // block)[None, :]
    column = part // 4 * (-(-rows // 128) * 4) + row // 32
    code = words[row % 32, column] >> (8 * (part % 4)).astype(np.uint32) & 0xFF
    return np.repeat(_decoded(code, block), block, axis=1)


def _copy_scales(op: Instruction, frame: Frame) -> None:
    """512 bytes, 32 rows of 16, become four columns of every 32 lanes; or the rows of a tile as they are."""
    if not frame.active().any():
        return
    _alone(op)
    source, target = (whole(frame.env[slot]) for slot in op.operands[:2])
    if "by_rows" in op.attributes:
        target.write(source.read().reshape(target.sizes))
        return
    words = np.ascontiguousarray(source.read()).reshape(-1).view(np.uint32).reshape(-1, 32, 4)
    quarter = np.concatenate(list(words), axis=1)
    rows = target.sizes[-2]
    values = np.tile(quarter, (rows // 32, 1)).reshape(target.sizes)
    target.write(values.view(target.dtype) if values.dtype != target.dtype else values)


def _mma_scaled(op: Instruction, frame: Frame) -> None:
    """C = (op(A) * SA) (op(B) * SB), plus C: row r has its factors in row r of the words, four each."""
    if not frame.active().any():
        return
    a_tile, b_tile, c_tile, *scales = (whole(frame.env[slot]) for slot in op.operands)
    attributes = op.attributes
    sides = [
        matrix_of(a_tile, bool(attributes["transpose_a"])),
        matrix_of(b_tile, bool(attributes["transpose_b"])).T,
    ]
    firsts, blocks = (list(attributes[name]) for name in ("scale_bytes", "scale_blocks"))
    for side, tile in enumerate(scales):
        words = np.ascontiguousarray(tile.read()).reshape(tile.sizes[-2:]).astype(np.uint32)
        part = firsts[side] + np.arange(sides[side].shape[1] // blocks[side])
        code = words[:, part // 4] >> (8 * (part % 4)).astype(np.uint32) & 0xFF
        sides[side] = sides[side].astype(np.float32) * np.repeat(_decoded(code, blocks[side]), blocks[side], axis=1)
    product = matmul(sides[0], sides[1].T)
    if not attributes.get("clear", False):
        product = product + c_tile.read().reshape(product.shape)
    c_tile.write(product.astype(c_tile.dtype).reshape(c_tile.sizes))


def _decoded(code: Array, block: int) -> Array:
    """Factors: e4m3 for blocks of 16, else exponents of two."""
    if block == 16:
        return code.astype(np.uint8).view(ml_dtypes.float8_e4m3fn).astype(np.float32)
    return np.exp2(code.astype(np.float32) - 127)


def _commit(op: Instruction, frame: Frame) -> None:
    if frame.active().any():
        arrive_once(op, frame)


def _try_cancel(op: Instruction, frame: Frame) -> None:
    """Every CTA is started, so there is never one to take over; the bytes of the answer need no count."""
    if frame.active().any():
        target = whole(frame.env[op.operands[0]])
        target.write(np.zeros(target.sizes, target.dtype))


def _query(op: Instruction, frame: Frame) -> None:
    whole(frame.env[op.operands[0]]).read()
    frame.env[op.results[0]] = np.int32(0)


TENSOR: dict[str, Run] = {
    "tl.tcgen05_mma": _mma,
    "tl.tcgen05_scaled_mma": _mma,
    "tl.tcgen05_sparse_mma": _mma,
    "tl.mma_scaled": _mma_scaled,
    "tl.tcgen05_cp": _copy_scales,
    "tl.tcgen05_commit": _commit,
    "tl.clc_try_cancel": _try_cancel,
    "tl.clc_query": _query,
}
