"""Operands and accumulators of warpgroup products, as values. PTX ISA 8.7, section 9.7.15.5.1 (wgmma register
fragments and matrix descriptors).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tilelang_mlir.errors import AccumulatorError, SimulationError
from tilelang_mlir.isa import numeric

BYTES = {"f16": 2, "bf16": 2, "tf32": 4, "e4m3": 1, "e5m2": 1, "s8": 1, "u8": 1}
INTEGERS = ("s8", "u8")
STEP_BYTES = 32  # of a row along K, for one instruction
_SPAN = {0: 16, 1: 128, 2: 64, 3: 32}


class Accumulator:
    """An accumulator in matrix form (C, warpgroups, 64, n); `matrix` is None until its product has run."""

    def __init__(self, n: int, site: int = 0) -> None:
        self.n = n
        self.site = site  # of the product
        self.matrix: np.ndarray | None = None

    def __getitem__(self, register: int) -> Any:
        return Register(self, register) if self.matrix is None else self.lanes(register)

    def lanes(self, register: int) -> np.ndarray:
        """One register of every lane (C, T)."""
        if self.matrix is None:
            raise AccumulatorError(
                "a wgmma accumulator is read before wgmma.wait_group",
                hint="wait for the group of the product first",
                site=self.site,
            )
        tiles = self.matrix.reshape(self.matrix.shape[0], -1, 4, 2, 8, self.n // 8, 4, 2)
        part = tiles[:, :, :, register >> 1 & 1, :, register >> 2, :, register & 1]
        return part.reshape(part.shape[0], -1)


class HalfAccumulator(Accumulator):
    """The same of float16 sums: a register holds two neighbours of a row (9.7.15.5.1.1), as its last axis."""

    def lanes(self, register: int) -> np.ndarray:
        pair = [super(HalfAccumulator, self).lanes(2 * register + side) for side in range(2)]
        return np.stack(pair, axis=-1).astype(np.float16)


class Register:
    """One register of an accumulator that has no value yet; only a wait may take it. Everything else raises."""

    __array_ufunc__ = None

    def __init__(self, accumulator: Accumulator, index: int) -> None:
        self._accumulator, self._index = accumulator, index

    @property
    def is_complete(self) -> bool:
        """Whether the product has run."""
        return self._accumulator.matrix is not None

    def get(self) -> np.ndarray:
        return self._accumulator.lanes(self._index)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.get(), name)

    def __add__(self, other: Any) -> Any:
        return self.get() + other

    def __radd__(self, other: Any) -> Any:
        return other + self.get()

    def __mul__(self, other: Any) -> Any:
        return self.get() * other

    def __rmul__(self, other: Any) -> Any:
        return other * self.get()

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.get()


def start_matrix(machine: Any, value: Any, n: int, kind: str) -> np.ndarray:
    """The matrix of an accumulator operand (C|1, warpgroups, 64, n) of products of `kind`."""
    if isinstance(value, Accumulator):
        value.lanes(0)
        assert value.matrix is not None
        return value.matrix
    ctas, threads = machine.shape
    registers = [x.get() if isinstance(x, Register) else x for x in value]
    element = sum_type(kind)
    rows = np.empty((n // 8, 2, 2, ctas, threads // 128, 4, 8, 4), element)
    for index, register in enumerate(registers):
        wide = np.broadcast_to(np.asarray(register, element), (ctas, threads))
        rows[index >> 2, index >> 1 & 1, index & 1] = wide.reshape(ctas, threads // 128, 4, 8, 4)
    return np.ascontiguousarray(rows.transpose(3, 4, 5, 1, 6, 0, 7, 2)).reshape(ctas, threads // 128, 64, n)


def of_warpgroups(machine: Any, flag: Any) -> np.ndarray:
    """Whether each warpgroup's flag is set, (C, warpgroups, 1, 1): a predicate that its lanes agree on.

    Raises:
        SimulationError: they do not.
    """
    ctas, threads = machine.shape
    lanes = np.broadcast_to(np.asarray(flag) != 0, (ctas, threads)).reshape(ctas, threads // 128, 128)
    first = lanes[..., :1]
    if (lanes != first).any():
        raise SimulationError("the scale of a warpgroup product differs between lanes")
    return first[..., None]


def sum_type(kind: str) -> type[np.generic]:
    """The element type of accumulators."""
    return np.int32 if kind in INTEGERS else np.float32


def multiply(a: np.ndarray, b: np.ndarray, kind: str) -> np.ndarray:
    """The product of one instruction, of a (C, warpgroups, 64, k) and b (C, warpgroups, n, k), both float32.

    Integers are exact in it: 32 products of 16 bits.
    """
    return np.matmul(a, b.swapaxes(2, 3)).astype(sum_type(kind), copy=False)


def addresses(
    machine: Any, descriptor: Any, rows: int, element: int, transposed: bool, deep: int = STEP_BYTES
) -> np.ndarray:
    """16-byte units of an operand, (C|1, warpgroups, outer, inner); `deep` bytes of elements along k.

    K-major: `rows` x `deep / 16` along k; MN-major (`transposed`): k rows x `rows * element / 16`.
    """
    raw = np.asarray(descriptor, np.int64)
    lanes = np.broadcast_to(
        raw.reshape(raw.shape or (1, 1)), (max(raw.shape[0] if raw.ndim else 1, 1), machine.shape[1])
    )
    groups = lanes.reshape(lanes.shape[0], -1, 128)
    if (groups != groups[:, :, :1]).any():
        raise SimulationError("a wgmma descriptor differs inside a warpgroup")
    word = groups[:, :, 0]
    start, leading, stride = ((word >> shift & 0x3FFF) << 4 for shift in (0, 16, 32))
    modes = np.unique(word >> 62 & 3)
    if len(modes) > 1:
        raise SimulationError("a wgmma descriptor's swizzle mode differs between warpgroups")
    span = _SPAN[int(modes[0])]
    start, leading, stride = (x[:, :, None, None] for x in (start, leading, stride))
    if transposed:
        k, chunk = np.arange(deep // element)[:, None], np.arange(rows * element // 16)[None, :]
        per = span // 16  # chunks of 16 bytes along MN in one atom
        if per == 1:  # no swizzle: the leading offset is the one along k (9.7.15.5.1.1)
            leading, stride = stride, leading
        address = start + chunk // per * leading + k // 8 * stride + k % 8 * span + chunk % per * 16
    else:
        if span != 16 and deep > span:
            raise SimulationError(f"a step of {deep} bytes along K leaves a swizzle span of {span} bytes")
        row, chunk = np.arange(rows)[:, None], np.arange(deep // 16)[None, :]
        along = chunk * (leading if span == 16 else 16)
        address = start + row // 8 * stride + row % 8 * span + along
    return address ^ ((address >> 7 & {16: 0, 32: 1, 64: 3, 128: 7}[span]) << 4)


def decode(units: np.ndarray, kind: str) -> np.ndarray:
    raw = np.ascontiguousarray(units)
    if kind == "f16":
        return numeric.HALF_TO_FLOAT.take(raw.view(np.uint16))
    if kind == "bf16":
        return numeric.bf16_bits_to_float(raw.view(np.uint16))
    if kind == "tf32":
        return numeric.truncate_tf32(raw.view(np.uint32))
    if kind in INTEGERS:
        return raw.view(np.int8 if kind == "s8" else np.uint8).astype(np.float32)
    return numeric.fp8_to_float(kind).take(raw.view(np.uint8))


def matrix(machine: Any, address: np.ndarray, kind: str, transposed: bool) -> np.ndarray:
    """An operand (C, warpgroups, rows, k) in float32, read now."""
    flat = address.reshape(address.shape[0], -1)
    units = machine.batch.shared.load(flat, 16).reshape(-1, *address.shape[1:])
    values = decode(units, kind)
    return values.swapaxes(2, 3) if transposed else values


def fragment_a(machine: Any, words: list[Any], kind: str) -> np.ndarray:
    """A of 64 rows and one k step from four 32-bit registers per lane (C, warpgroups, 64, k), float32.

    Register q, element i of lane l in warp w: row 16 w + l / 4 + 8 * (q % 2), k = (l % 4) * e + i + 4 e * (q / 2) with
    e elements per register (9.7.15.5.1.1).
    """
    ctas, threads = machine.shape
    rows = []
    for word in words:
        raw = np.broadcast_to(np.asarray(word).reshape(np.shape(word) or (1, 1)), (ctas, threads))
        values = decode(np.ascontiguousarray(raw), kind)
        rows.append(values.reshape(ctas, threads // 128, 4, 8, 4, -1))
    tiles = np.stack(rows, axis=3).reshape(ctas, threads // 128, 4, 2, 2, 8, 4, -1)  # warp, k half, row half, g, t, e
    return np.ascontiguousarray(tiles.transpose(0, 1, 2, 4, 5, 3, 6, 7)).reshape(ctas, threads // 128, 64, -1)
