"""Ops on tiles: copy, fill, transpose, matrix product, reductions and scans."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tilelang_mlir.dtypes import from_mlir
from tilelang_mlir.errors import UninitializedReadError, UnsupportedError
from tilelang_mlir.mlir import ir
from tilelang_mlir.reference.casts import cast, round_tf32
from tilelang_mlir.reference.elements import in_bounds
from tilelang_mlir.reference.machine import Frame, integer
from tilelang_mlir.reference.memory import Buffer, Tile, allocate, whole
from tilelang_mlir.reference.program import Instruction, Run
from tilelang_mlir.reference.types import Array, Value, compute_dtype, is_float, mlir_name, signed, unsigned


def _skipped(frame: Frame) -> bool:
    """Whether no thread reaches the op."""
    return frame.mask is not None and not frame.mask.any()


def _per_lane(tiles: list[Tile]) -> bool:
    """Whether the threads work on different tiles, or on contents of their own."""
    return any(
        any(np.ndim(offset) for offset in tile.offsets) or any(size != 1 for size in tile.buffer.lead) for tile in tiles
    )


def _lanes(tiles: list[Tile], frame: Frame) -> Iterator[tuple[list[Tile], int | None, int]]:
    """The tiles of each group of threads: once for all (lane None: write every lane), or per active thread."""
    private = any(tile.buffer.lead for tile in tiles)
    if not _per_lane(tiles) and not (private and frame.mask is not None):
        yield tiles, None, 0
        return
    if frame.parallel:
        raise UnsupportedError("a tile op inside a parallel loop")
    if tiles[-1].buffer.lead:
        tiles[-1].buffer.spread(frame.lanes)
    for lane in np.flatnonzero(frame.active()):
        yield [_of_lane(tile, int(lane)) for tile in tiles], int(lane), int(lane)


def _of_lane(tile: Tile, lane: int) -> Tile:
    offsets = tuple(int(o[lane] if np.ndim(o) else o) for o in tile.offsets)
    return Tile(tile.buffer, offsets, tile.sizes)


def _read(tile: Tile, lane: int) -> Array:
    return tile.read(lane if len(tile.buffer.lead) == 1 and tile.buffer.lead[0] != 1 else 0)


def _operands(op: Instruction, frame: Frame, count: int) -> list[Tile]:
    return [whole(frame.env[slot]) for slot in op.operands[:count]]


def _copy(op: Instruction, frame: Frame) -> None:
    if _skipped(frame):
        return
    when: Any = frame.env[op.operands[2]] if len(op.operands) > 2 else True
    for (source, target), write, lane in _lanes(_operands(op, frame, 2), frame):
        values = _read(source, lane).reshape(target.sizes)
        if not (when[lane] if np.ndim(when) else when):
            values = np.zeros_like(values)
        if source.dtype != target.dtype:
            values = convert(values, source.dtype, target.dtype, op)
        target.write(values, write)


def _im2col(op: Instruction, frame: Frame) -> None:
    """A row is an output position, a column a tap and a channel."""
    if _skipped(frame):
        return
    image, tile = _operands(op, frame, 2)
    row, column, height, width, channels = (integer(frame.env[v], "a number of tl.im2col") for v in op.operands[2:])
    kernel, stride, dilation, pad = (int(op.attributes[x]) for x in ("kernel", "stride", "dilation", "pad"))
    pixels = image.read()
    rows, columns = tile.sizes[-2:]
    at = row * rows + np.arange(rows)[:, None]
    tap, channel = np.divmod(column * columns + np.arange(columns)[None, :], channels)
    y = at // width % height * stride + tap // kernel * dilation - pad
    x = at % width * stride + tap % kernel * dilation - pad
    places = np.broadcast_arrays(at // (width * height), y, x, channel)
    inside = np.logical_and.reduce([(p >= 0) & (p < size) for p, size in zip(places, pixels.shape, strict=True)])
    inside &= tap < kernel * kernel
    values = np.where(inside, pixels[tuple(np.where(inside, p, 0) for p in places)], np.zeros((), pixels.dtype))
    tile.write(values.reshape(tile.sizes))


def convert(values: Array, source: np.dtype, target: np.dtype, op: Instruction) -> Array:
    """Element conversion of a tile op, as tl.cast does it; attribute `unsigned` gives integers their meaning."""
    no_sign = "unsigned" in op.attributes
    names = [from_mlir(mlir_name(dtype), unsigned=no_sign) for dtype in (source, target)]
    return np.asarray(cast(values, names[0], names[1], target))


def _fill(op: Instruction, frame: Frame) -> None:
    if _skipped(frame):
        return
    value = frame.env[op.operands[1]]
    target = whole(frame.env[op.operands[0]])
    if np.ndim(value) and target.buffer.lead:
        target.buffer.spread(frame.lanes)
    elif np.ndim(value):
        value = _agreed(value, frame)
    for (tile,), write, lane in _lanes([target], frame):
        tile.write(value[lane] if np.ndim(value) else value, write)


def _agreed(value: Value, frame: Frame) -> Value:
    """A value per thread that has to be one for the tile."""
    active = np.broadcast_to(value, frame.lanes)[frame.active()]
    if not (active == active[0]).all():
        raise UnsupportedError("fills a tile with a value that differs between threads")
    return active[0]


def _transpose(op: Instruction, frame: Frame) -> None:
    if _skipped(frame):
        return
    source, target = _operands(op, frame, 2)
    rows = [size for size in source.sizes if size != 1]
    values = source.read()
    flat = values.reshape(rows) if len(rows) == 2 else values.reshape(-1, 1)
    target.write(flat.T.reshape(target.sizes))


def matrix_of(tile: Tile, transposed: bool, no_sign: bool = False) -> Array:
    """The last two dimensions of a tile as op(A) or op(B), unconverted."""
    values = tile.read()
    values = values.reshape(values.shape[-2:])
    values = unsigned(values) if no_sign else values
    return values.T if transposed else values


def _gemm(op: Instruction, frame: Frame) -> None:
    """Products are exact in float32 (float64 for f64, integers for integers); the sum has the accumulator's type."""
    if _skipped(frame):
        return
    a_tile, b_tile, c_tile = _operands(op, frame, 3)
    attributes = op.attributes
    a = matrix_of(a_tile, bool(attributes["transpose_a"]), "a_unsigned" in attributes)
    b = matrix_of(b_tile, bool(attributes["transpose_b"]), "b_unsigned" in attributes)
    clear = bool(attributes.get("clear", False))
    if len(op.operands) > 3:
        clear = clear or bool(integer(frame.env[op.operands[3]], "the run-time clear"))
    product = matmul(a, b)
    old = None if clear else c_tile.read().reshape(product.shape)
    dtype = c_tile.dtype
    if old is not None:
        wide = np.float64 if dtype == np.float64 else np.float32 if is_float(dtype) else np.int64
        product = product + old.astype(wide)
    c_tile.write(product.astype(dtype).reshape(c_tile.sizes))


def _gemm_sp(op: Instruction, frame: Frame) -> None:
    """The dense A, element by element from what is kept and the four bits of each group, times B."""
    if _skipped(frame):
        return
    a_tile, e_tile, b_tile, c_tile = _operands(op, frame, 4)
    attributes = op.attributes
    kept = matrix_of(a_tile, bool(attributes["transpose_a"]), "a_unsigned" in attributes)
    metadata = matrix_of(e_tile, bool(attributes["transpose_e"]), True)
    b = matrix_of(b_tile, bool(attributes["transpose_b"]), "b_unsigned" in attributes)
    dense = expanded(kept, metadata)
    product = matmul(dense, b)
    clear = bool(attributes.get("clear", False))
    if len(op.operands) > 4:
        clear = clear or bool(integer(frame.env[op.operands[4]], "the run-time clear"))
    if not clear:
        wide = np.float32 if is_float(c_tile.dtype) else np.int64
        product = product + c_tile.read().reshape(product.shape).astype(wide)
    c_tile.write(product.astype(c_tile.dtype).reshape(c_tile.sizes))


def expanded(kept: Array, metadata: Array) -> Array:
    """The dense rows from what is kept of them and the four bits of each group."""
    width = metadata.dtype.itemsize * 8
    shifts = np.arange(0, width, 4, dtype=metadata.dtype)
    codes = (metadata[:, :, None] >> shifts & metadata.dtype.type(0xF)).reshape(len(metadata), -1)
    dense = np.zeros((kept.shape[0], 2 * kept.shape[1]), kept.dtype)
    rows = np.arange(len(kept))
    for group in range(codes.shape[1]):
        first, second = codes[:, group] & 3, codes[:, group] >> 2
        if kept.dtype.itemsize == 4:
            dense[rows, 2 * group + first // 2] = kept[:, group]
        else:
            dense[rows, 4 * group + first] = kept[:, 2 * group]
            dense[rows, 4 * group + second] = kept[:, 2 * group + 1]
    return dense


def matmul(a: Array, b: Array) -> Array:
    """A matrix product: f32 operands are rounded to tf32 as tensor cores read them, narrower floats are exact.

    Returns float32, float64 for f64 operands, or int64 for integers.
    """
    if not is_float(a.dtype):
        # Exact as long as sums stay below 2**53, which products of 8 and 16 bits do.
        if a.dtype.itemsize <= 2:
            return np.rint(a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)
        return a.astype(np.int64) @ b.astype(np.int64)
    if a.dtype == np.float64:
        return a @ b
    if a.dtype == np.float32:
        return round_tf32(a) @ round_tf32(b)
    return a.astype(np.float32) @ b.astype(np.float32)


# Reductions: the ufunc that combines, and what is done to elements first.
COMBINE: dict[str, np.ufunc] = {
    "sum": np.add, "abssum": np.add, "max": np.fmax, "min": np.fmin, "umax": np.maximum, "umin": np.minimum,
    "absmax": np.fmax, "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
}  # fmt: skip
_PROPAGATE = {"max": np.maximum, "min": np.minimum, "absmax": np.maximum}


def combiner(kind: str, dtype: np.dtype, propagate: bool = False) -> Callable[[Array, int | None], Array]:
    """The function that reduces an array along an axis."""
    function = _PROPAGATE[kind] if propagate and kind in _PROPAGATE else COMBINE[kind]
    if not is_float(dtype) and function in (np.fmax, np.fmin):
        function = np.maximum if function is np.fmax else np.minimum
    return lambda values, axis: function.reduce(values, axis=axis)


def prepared(values: Array, kind: str) -> Array:
    """Elements as a reduction combines them: wide enough, absolute, unsigned."""
    values = values.astype(compute_dtype(values.dtype), copy=False)
    if kind in ("abssum", "absmax"):
        return np.abs(values)
    return unsigned(values) if kind in ("umax", "umin") else values


def _reduce(op: Instruction, frame: Frame) -> None:
    if _skipped(frame):
        return
    kind, axis = str(op.attributes["kind"]), int(op.attributes["dim"])
    for (source, target), write, lane in _lanes(_operands(op, frame, 2), frame):
        values = _read(source, lane)
        if source.dtype.itemsize < target.dtype.itemsize:
            values = convert(values, source.dtype, target.dtype, op)
        values = prepared(values, kind)
        reduce = combiner(kind, source.dtype, "nan_propagate" in op.attributes)
        result = reduce(values, axis).reshape(target.sizes)
        if not op.attributes["clear"]:
            # The old value is combined as it is: it may hold an earlier absmax, never a negative one.
            old = prepared(_read(target, lane), "umax" if kind in ("umax", "umin") else "sum")
            result = reduce(np.stack([old.astype(result.dtype), result]), 0)
        target.write(signed(result).astype(target.dtype), write)


def _scan(op: Instruction, frame: Frame) -> None:
    if _skipped(frame):
        return
    source, target = _operands(op, frame, 2)
    axis = int(op.attributes["dim"])
    kind = str(op.attributes["kind"])
    values = prepared(source.read(), kind)
    if op.attributes["reverse"]:
        values = np.flip(values, axis)
    if kind == "sum":
        result = np.cumsum(values, axis=axis, dtype=values.dtype)
    else:
        result = (np.fmax if is_float(source.dtype) else np.maximum).accumulate(values, axis=axis)
    if op.attributes["reverse"]:
        result = np.flip(result, axis)
    target.write(signed(result).astype(target.dtype))


def _neutral(kind: str, dtype: np.dtype) -> object:
    """The value that a reduction starts from."""
    if kind in ("sum", "or", "xor", "umax"):
        return 0
    if kind in ("and", "umin"):
        return -1
    largest = np.inf if is_float(dtype) else np.iinfo(dtype).max
    return largest if kind == "min" else -np.inf if is_float(dtype) else np.iinfo(dtype).min


def _alloc_reducer(op: Instruction, frame: Frame) -> None:
    buffer = allocate(ir.MemRefType(op.types[0]).shape, op.dtypes[0], "fragment", op.label())
    buffer.kind = str(op.attributes["kind"])
    frame.env[op.results[0]] = buffer


def _reducer_init(op: Instruction, frame: Frame) -> None:
    reducer: Buffer = frame.env[op.operands[0]]
    wide = compute_dtype(reducer.data.dtype)
    value = frame.env[op.operands[1]] if len(op.operands) > 1 else _neutral(reducer.kind, wide)
    reducer.partial = np.full(reducer.data.shape, value, wide)


def _partial(reducer: Buffer) -> Array:
    if reducer.partial is None:
        raise UninitializedReadError(f"uses {reducer.describe()} before tl.reducer_init")
    return reducer.partial


def _reducer_update(op: Instruction, frame: Frame) -> None:
    """Combine in, also where several lanes name one element."""
    env = frame.env
    reducer: Buffer = env[op.operands[0]]
    index = [env[slot] for slot in op.operands[2:]]
    in_bounds(reducer, index, frame)
    data = _partial(reducer)
    lanes = frame.lanes if frame.parallel else np.broadcast_shapes(*(np.shape(i) for i in index))
    value = np.broadcast_to(env[op.operands[1]], lanes).astype(data.dtype)
    active = np.broadcast_to(True if frame.mask is None else frame.mask, lanes)
    where = tuple(np.broadcast_to(i, lanes)[active] for i in index)
    no_sign = reducer.kind in ("umax", "umin")
    picked = unsigned(value[active]) if no_sign else value[active]
    COMBINE[reducer.kind].at(unsigned(data) if no_sign else data, where, picked)


def _finalize_reducer(op: Instruction, frame: Frame) -> None:
    """Round to the target's type; the reducer's own contents become readable when it is the target."""
    reducer, target = frame.env[op.operands[0]], whole(frame.env[op.operands[1]])
    target.write(_partial(reducer).astype(target.dtype).reshape(target.sizes))
    reducer.partial = None


TILES: dict[str, Run] = {
    "tl.copy": _copy, "tl.im2col": _im2col,
    "tl.fill": _fill, "tl.transpose": _transpose, "tl.gemm": _gemm, "tl.gemm_sp": _gemm_sp,
    "tl.reduce": _reduce,
    "tl.scan": _scan, "tl.alloc_reducer": _alloc_reducer, "tl.reducer_init": _reducer_init,
    "tl.load_operand": _copy, "tl.reducer_update": _reducer_update, "tl.finalize_reducer": _finalize_reducer,
}  # fmt: skip
