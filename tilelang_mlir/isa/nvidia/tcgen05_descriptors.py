"""Descriptors of tcgen05 products, as numbers: what an instruction multiplies and where a shared operand lies.

PTX ISA 8.7, sections 9.7.16.4.1 (shared memory descriptor), 9.7.16.4.2 (instruction descriptor), 9.7.16.10.7 (block
scaling).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STEP_BYTES = 32  # of an operand that one product takes along k

TYPES = {
    "f16": {"f16": 0, "bf16": 1},
    "tf32": {"tf32": 2},
    "f8f6f4": {"e4m3": 0, "e5m2": 1, "e2m3": 3, "e3m2": 4, "e2m1": 5},
    "i8": {"u8": 0, "s8": 1},
    "mxf8f6f4": {"e4m3": 0, "e5m2": 1, "e2m3": 3, "e3m2": 4, "e2m1": 5},
    "mxf4": {"e2m1": 1},
    "mxf4nvf4": {"e2m1": 1},
}
"""Codes of the operand types by the kind of a product."""
RESULTS = {"f16": 0, "f32": 1, "s32": 2}
SWIZZLES = {16: 0, 128: 2, 64: 4, 32: 6}
"""Swizzle modes by the bytes of a swizzled row (16: none)."""
SCALES = {"ue4m3": 0, "ue8m0": 1}


@dataclass(frozen=True)
class Shape:
    """An instruction: rows and columns of D, operand types, whether an operand is MN-major, whether A is sparse."""

    m: int
    n: int
    kind: str
    a: str
    b: str
    d: str = "f32"
    transpose_a: bool = False
    transpose_b: bool = False
    sparse: bool = False

    @property
    def is_scaled(self) -> bool:
        return self.kind.startswith("mx")


def instruction(shape: Shape, *, scale: str = "ue8m0", a_id: int = 0, b_id: int = 0) -> int:
    """The 32-bit instruction descriptor; `scale`, `a_id`, `b_id` are the block scales' type and byte in a column."""
    codes = TYPES[shape.kind]
    word = codes[shape.a] << 7 | codes[shape.b] << 10 | shape.n >> 3 << 17
    word |= int(shape.sparse) << 2 | int(shape.transpose_a) << 15 | int(shape.transpose_b) << 16
    if shape.is_scaled:
        return word | b_id << 4 | SCALES[scale] << 23 | shape.m >> 7 << 27 | a_id << 29
    return word | RESULTS[shape.d] << 4 | shape.m >> 4 << 24


def high_word(stride: int, span: int) -> int:
    """The upper half of a shared memory descriptor: bytes between groups of eight rows, and the swizzle span."""
    return stride >> 4 | 1 << 14 | SWIZZLES[span] << 29


def low_word(leading: int) -> int:
    """What the lower half has besides the start address: bytes between panels."""
    return leading >> 4 << 16


def depth(kind: str) -> int:
    """k of one dense instruction: 32 bytes of elements, sub-byte ones padded to a byte except for the fp4 kinds."""
    return {"f16": 16, "tf32": 8, "f8f6f4": 32, "i8": 32, "mxf8f6f4": 32, "mxf4": 64, "mxf4nvf4": 64}[kind]


def addresses(
    start: np.ndarray, leading: np.ndarray, stride: np.ndarray, span: int, rows: int, steps: int, transposed: bool,
    step_bytes: int = STEP_BYTES,
) -> np.ndarray:  # fmt: skip
    """Shared addresses of the 16-byte units of an operand (n, outer, inner).

    9.7.16.5, canonical layouts. K-major: `rows` by the units of one k step; eight rows of `span` bytes are an atom.
    MN-major: `steps` rows along k by the units along MN; an atom is eight of them, `span` bytes wide. `step_bytes` are
    those of `steps` elements.
    """
    start, leading, stride = (x[:, None, None] for x in (start, leading, stride))
    if not transposed:
        row, unit = np.arange(rows)[:, None], np.arange(step_bytes // 16)[None, :]
        along = unit * (leading if span == 16 else 16)
        place = start + row // 8 * stride + row % 8 * span + along
    else:
        k, unit = np.arange(steps)[:, None], np.arange(rows // (16 * steps // step_bytes))[None, :]
        per = span // 16
        if per == 1:  # no swizzle: the leading offset is the one along k (9.7.16.4.1)
            leading, stride = stride, leading
        place = start + unit // per * leading + k // 8 * stride + k % 8 * span + unit % per * 16
    return place ^ ((place >> 7 & {16: 0, 32: 1, 64: 3, 128: 7}[span]) << 4)
