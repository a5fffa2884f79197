"""Buffers in instructions: tensors, allocations, views, and single elements of them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from tilelang_mlir.dialect.verify import shape_of
from tilelang_mlir.errors import OutOfBoundsError, UnsupportedError
from tilelang_mlir.mlir import ir
from tilelang_mlir.reference.machine import Frame, integer
from tilelang_mlir.reference.memory import PRIVATE, Buffer, Pointer, Tile, allocate, reshape
from tilelang_mlir.reference.program import Instruction, Run
from tilelang_mlir.reference.types import Array, Value


def _fill_dynamic(sizes: Sequence[int], dynamic: list[int]) -> tuple[int, ...]:
    """Sizes with each -1 replaced by the next dynamic one."""
    return tuple(dynamic.pop(0) if size == -1 else size for size in sizes)


def _tensor(op: Instruction, frame: Frame) -> None:
    """tl.tensor: the memory behind the pointer, never a copy of it."""
    pointer = frame.env[op.operands[0]]
    dynamic = [integer(frame.env[slot], "a size") for slot in op.operands[1:]]
    shape = _fill_dynamic(op.attributes["shape"], dynamic)
    strides = _fill_dynamic(op.attributes["strides"], dynamic)
    dtype = op.dtypes[0]
    span = 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True)) if 0 not in shape else 0
    name = op.label()
    if pointer.owner is not None:
        _check_span(
            pointer.owner, span * dtype.itemsize, f"{name or 'tensor'} {list(shape)} with strides {list(strides)}"
        )
    if span <= 0:
        frame.env[op.results[0]] = Buffer(np.empty(shape, dtype), "global", name)
        return
    memory: Any = (ctypes.c_char * (span * dtype.itemsize)).from_address(pointer.address)
    steps = tuple(stride * dtype.itemsize for stride in strides)
    # Not `as_strided`, which loses dtypes that numpy itself does not know.
    frame.env[op.results[0]] = _safe(op, Buffer(np.ndarray(shape, dtype, memory, 0, steps), "global", name))


def _safe(op: Instruction, buffer: Buffer) -> Buffer:
    """A new buffer, with the value that the program says lies outside of it."""
    if "safe_value" in op.attributes:
        buffer.safe = np.asarray(op.attributes["safe_value"]).astype(op.dtypes[0])[()]
    return buffer


def _view(op: Instruction, frame: Frame) -> None:
    """tl.view: the memory of the tensor from the element on."""
    tensor: Buffer = frame.env[op.operands[0]]
    rank, base = tensor.data.ndim, tensor.data
    numbers = [integer(frame.env[slot], "a size") for slot in op.operands[1:]]
    dynamic = numbers[rank:]
    shape = _fill_dynamic(op.attributes["shape"], dynamic)
    strides = _fill_dynamic(op.attributes["strides"], dynamic)
    start = sum(i * s for i, s in zip(numbers[:rank], base.strides, strict=True))
    if 0 in shape:
        frame.env[op.results[0]] = Buffer(np.empty(shape, base.dtype), "global", op.label())
        return
    span = 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    address = int(base.__array_interface__["data"][0]) + start
    memory: Any = (ctypes.c_char * (span * base.dtype.itemsize)).from_address(address)
    steps = tuple(stride * base.dtype.itemsize for stride in strides)
    frame.env[op.results[0]] = Buffer(np.ndarray(shape, base.dtype, memory, 0, steps), "global", op.label())


def _check_span(owner: Array, needed: int, what: str) -> None:
    """The array reaches as far as the tensor does."""
    reach = sum((size - 1) * stride for size, stride in zip(owner.shape, owner.strides, strict=True)) + owner.itemsize
    have = 0 if 0 in owner.shape else reach
    if needed > have:
        raise OutOfBoundsError(f"{what} needs {needed} bytes, the argument's memory has {have}")


def _alloc(op: Instruction, frame: Frame) -> None:
    kind = ir.MemRefType(op.types[0])
    scope = _scope(op)
    dynamic = [integer(frame.env[slot], "a size") for slot in op.operands]
    lead: tuple[int, ...] = ()
    if scope in PRIVATE:
        lead = frame.lanes if frame.parallel else (1,)
    buffer = _safe(op, allocate(_fill_dynamic(shape_of(kind), dynamic), op.dtypes[0], scope, op.label(), lead))
    if "init" in op.attributes:
        buffer.data[...] = np.asarray(op.attributes["init"]).astype(op.dtypes[0])
        buffer.mark((...,))
    frame.env[op.results[0]] = buffer


def _scope(op: Instruction) -> str:
    """The scope in the result type, read once per instruction."""
    if "scope" not in op.attributes:
        space = ir.MemRefType(op.types[0]).memory_space
        op.attributes["scope"] = space.maybe_downcast().value.maybe_downcast().value if space is not None else "global"
    return str(op.attributes["scope"])


def _slice(op: Instruction, frame: Frame) -> None:
    source = frame.env[op.operands[0]]
    rank = len(op.attributes["sizes"])
    offsets = [frame.env[slot] for slot in op.operands[1 : 1 + rank]]
    dynamic = [integer(frame.env[slot], "a size") for slot in op.operands[1 + rank :]]
    sizes = _fill_dynamic(op.attributes["sizes"], dynamic)
    if isinstance(source, Tile):
        offsets = [a + b for a, b in zip(source.offsets, offsets, strict=True)]
        source = source.buffer
    varying = any(np.ndim(offset) for offset in offsets)
    fixed = tuple(offsets) if varying else tuple(int(offset) for offset in offsets)
    frame.env[op.results[0]] = Tile(source, fixed, sizes)


def _reshape(op: Instruction, frame: Frame) -> None:
    source = frame.env[op.operands[0]]
    if isinstance(source, Tile):
        raise UnsupportedError("the reference evaluator reshapes whole buffers, not slices of them")
    dynamic = [integer(frame.env[slot], "a size") for slot in op.operands[1:]]
    shape = _fill_dynamic(shape_of(ir.MemRefType(op.types[0])), dynamic)
    frame.env[op.results[0]] = reshape(source, shape, op.dtypes[0])


def _inttoptr(op: Instruction, frame: Frame) -> None:
    frame.env[op.results[0]] = Pointer(integer(frame.env[op.operands[0]], "an address"))


def _ptrtoint(op: Instruction, frame: Frame) -> None:
    frame.env[op.results[0]] = np.int64(frame.env[op.operands[0]].address)


def in_bounds(buffer: Buffer, index: Sequence[Value], frame: Frame) -> Array | None:
    """Which lanes access an element that exists; None when all do.

    Raises:
        OutOfBoundsError: an active lane leaves an on-chip buffer.
    """
    inside: Array | None = None
    for value, size in zip(index, buffer.shape, strict=True):
        if np.ndim(value) == 0:
            fits = 0 <= value < size
        else:
            fits = value.size == 0 or bool(value.min() >= 0 and value.max() < size)
        if not fits:
            good = np.asarray((value >= 0) & (value < size))
            inside = good if inside is None else inside & good
    if inside is not None and buffer.scope != "global":
        bad = ~inside if frame.mask is None else ~inside & frame.mask
        if bad.any():
            raise OutOfBoundsError(_out_of_bounds(buffer, index, bad))
    return inside


def _out_of_bounds(buffer: Buffer, index: Sequence[Value], bad: Array) -> str:
    """The message for the first bad lane."""
    spread = np.broadcast_arrays(bad, *index)
    first = tuple(np.argwhere(spread[0])[0]) if spread[0].ndim else ()
    where = [int(part[first]) for part in spread[1:]]
    return f"accesses element {where} of {buffer.describe()}"


def load(buffer: Buffer, index: Sequence[Value], frame: Frame) -> Value:
    """Elements of a buffer, one per lane. Outside a global buffer, and in inactive lanes, the value is the safe one."""
    inside = in_bounds(buffer, index, frame)
    mask = frame.mask if inside is None else inside if frame.mask is None else inside & frame.mask
    if mask is not None and buffer.data.size:
        index = [np.clip(value, 0, size - 1) for value, size in zip(index, buffer.shape, strict=True)]
    source, lanes = _private_for_read(buffer, frame)
    where = (*lanes, *index)
    if mask is not None and not (mask.any() and buffer.data.size):
        return np.broadcast_to(buffer.outside(), np.broadcast_shapes(mask.shape, *(np.shape(i) for i in index)))
    source.require_written(where, mask)
    values = source.data[where]
    return values if mask is None else np.where(mask, values, buffer.outside())


def store(buffer: Buffer, index: Sequence[Value], value: Value, frame: Frame) -> None:
    """Write one element per active lane; outside of a global buffer nothing is written. Of two lanes the later wins."""
    inside = in_bounds(buffer, index, frame)
    mask = frame.mask if inside is None else inside if frame.mask is None else inside & frame.mask
    target, lanes = _private_for_write(buffer, [*index, value], mask, frame)
    where = (*lanes, *index)
    if buffer.scope == "global":
        frame.machine.events += 1
    if mask is None:
        if np.ndim(value) > max((np.ndim(part) for part in where), default=0):  # lanes that share an element
            where = tuple(np.broadcast_to(part, np.shape(value)) for part in where)
        target.data[where] = value
        target.mark(where)
        return
    shape = np.broadcast_shapes(np.shape(mask), np.shape(value), *(np.shape(part) for part in where))
    chosen = np.broadcast_to(mask, shape)
    picked = tuple(np.broadcast_to(part, shape)[chosen] for part in where)
    target.data[picked] = np.broadcast_to(value, shape)[chosen]
    target.mark(picked)


def _lane_index(lanes: tuple[int, ...]) -> tuple[Array, ...]:
    return tuple(np.ogrid[tuple(slice(size) for size in lanes)]) if lanes else ()


def _private_for_read(buffer: Buffer, frame: Frame) -> tuple[Buffer, tuple[Any, ...]]:
    """Where a lane's own contents are: the array, and the lane part of the index."""
    if not buffer.lead:
        return buffer, ()
    buffer = frame.private.get(buffer, buffer)
    if all(size == 1 for size in buffer.lead):
        return buffer, (0,) * len(buffer.lead)
    if buffer.lead != frame.lanes:
        raise UnsupportedError(
            f"{buffer.describe()} differs between threads, and which thread runs an iteration of a parallel loop is "
            "the layout's choice",
            hint="compute the value inside the loop, or keep it in a fragment or in shared memory",
        )
    return buffer, _lane_index(buffer.lead)


def _private_for_write(
    buffer: Buffer, values: Sequence[Value], mask: Array | None, frame: Frame
) -> tuple[Buffer, tuple[Any, ...]]:
    """Where a lane writes: all lanes at once while they agree, each its own after that."""
    if not buffer.lead:
        return buffer, ()
    if frame.parallel and buffer.lead != frame.lanes:
        # A scratch variable of the iterations: each has its own until the loop ends.
        if buffer not in frame.private:
            assert buffer.written is not None
            copy = Buffer(buffer.data, buffer.scope, buffer.name, buffer.written, buffer.lead)
            if any(size != 1 for size in buffer.lead):
                copy.data, copy.written, copy.lead = buffer.data[:1], np.zeros_like(buffer.written[:1]), (1,)
            copy.data = copy.data.reshape((1,) * len(frame.lanes) + buffer.shape)
            assert copy.written is not None
            copy.written = copy.written.reshape(*copy.data.shape, -1)
            copy.lead = (1,) * len(frame.lanes)
            copy.spread(frame.lanes)
            frame.private[buffer] = copy
        buffer = frame.private[buffer]
    elif mask is None and not frame.parallel and all(np.ndim(value) == 0 for value in values) and buffer.lead == (1,):
        return buffer, (0,)
    else:
        buffer.spread(frame.lanes)
    return buffer, _lane_index(buffer.lead)


def _load(op: Instruction, frame: Frame) -> None:
    env = frame.env
    buffer = env[op.operands[0]]
    index = [env[slot] for slot in op.operands[1:]]
    if isinstance(buffer, Tile):
        index = [a + b for a, b in zip(buffer.offsets, index, strict=True)]
        buffer = buffer.buffer
    env[op.results[0]] = load(buffer, index, frame)


def _store(op: Instruction, frame: Frame) -> None:
    env = frame.env
    value, buffer = env[op.operands[0]], env[op.operands[1]]
    index = [env[slot] for slot in op.operands[2:]]
    if isinstance(buffer, Tile):
        index = [a + b for a, b in zip(buffer.offsets, index, strict=True)]
        buffer = buffer.buffer
    store(buffer, index, value, frame)


ELEMENTS: dict[str, Run] = {
    "tl.tensor": _tensor, "tl.view": _view, "tl.alloc": _alloc, "tl.slice": _slice, "tl.reshape": _reshape,
    "memref.load": _load, "memref.store": _store, "llvm.inttoptr": _inttoptr, "llvm.ptrtoint": _ptrtoint,
}  # fmt: skip
