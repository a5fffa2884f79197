"""Metadata of tcgen05.mma.sp in tensor memory. PTX ISA 8.7, section 9.7.16.10.8 (sparse matrices).

Of every four elements of a row of A along k two are stored (tf32: of two one). Four bits say which: the place of the
first in the lower two, of the second in the upper two (tf32: 0b0100 or 0b1110). An instruction of M = 128 takes, of
16-bit and 32-bit kinds, one column: lane 16 g + 8 h + r has in its lower 16 bits those of row 16 g + r, in the upper 16
those of row 16 g + 8 + r, of the first (h = 0) or second half of k. Of 8-bit kinds it takes two columns: lane r has the
64 bits of row r. The sparsity selector of the instruction descriptor names a column of an aligned group of four for the
former and is zero for the latter; here every instruction has a group of its own, and the selector is zero.
"""

from __future__ import annotations

import numpy as np

GROUP = 4
"""Columns from the metadata of one instruction to those of the next."""


def words(kind: str) -> int:
    """Columns of metadata that an instruction reads."""
    return 2 if kind in ("f8f6f4", "i8") else 1


def codes(columns: np.ndarray, kind: str) -> np.ndarray:
    """The codes of each row (n, 128, groups) from the columns (n, 128, `words`) of an instruction."""
    if words(kind) == 2:
        raw = columns.astype(np.uint64)
        row = raw[..., 0] | raw[..., 1] << np.uint64(32)
        return (row[..., None] >> (4 * np.arange(16)).astype(np.uint64) & np.uint64(15)).astype(np.int64)
    lane, upper = np.arange(128), np.arange(2)
    rows = 16 * (lane // 16)[:, None] + lane[:, None] % 8 + 8 * upper
    halves = columns[..., 0, None].astype(np.int64) >> 16 * upper & 0xFFFF
    out = np.empty((len(columns), 128, 2), np.int64)
    out[:, rows, (lane // 8 % 2)[:, None]] = halves
    return (out[..., None] >> 4 * np.arange(4) & 15).reshape(len(columns), 128, 8)


def dense(kept: np.ndarray, code: np.ndarray, kind: str) -> np.ndarray:
    """The dense rows (n, 128, 2 k) from the stored elements (n, 128, k) and their codes."""
    n, rows, k = kept.shape
    per, size = (1, 2) if kind == "tf32" else (2, 4)
    groups = k // per
    out = np.zeros((n, rows, groups, size), kept.dtype)
    pairs = kept.reshape(n, rows, groups, per)
    if kind == "tf32":
        places = ((code & 3) // 2)[..., None]
    else:
        places = np.stack([code & 3, code >> 2], axis=-1)
    np.put_along_axis(out, places, pairs, axis=-1)
    return out.reshape(n, rows, groups * size)
