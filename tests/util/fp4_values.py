"""Random 4-bit and 6-bit floats and scale factors, as tensors hold them and as numbers."""

from __future__ import annotations

import ml_dtypes
import numpy as np


def halves(shape: tuple[int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random bytes of two elements each, and their values."""
    raw = np.random.default_rng([seed, *shape]).integers(0, 256, (shape[0], shape[1] // 2)).astype(np.uint8)
    codes = np.stack([raw & 15, raw >> 4], axis=-1).reshape(shape)
    table = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    return raw, np.where(codes & 8, -1, 1) * table[codes & 7]


def factors(rows: int, count: int, block: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random factors, as words by four blocks of a row, and their values."""
    rng = np.random.default_rng([seed, rows])
    if block == 16:
        codes = rng.uniform(0.25, 4, (rows, count)).astype(ml_dtypes.float8_e4m3fn)
        raw, values = codes.view(np.uint8), codes.astype(np.float64)
    else:
        raw = rng.integers(122, 132, (rows, count)).astype(np.uint8)
        values = np.exp2(raw.astype(np.float64) - 127)
    return np.ascontiguousarray(raw).view(np.uint32).T.copy(), np.repeat(values, block, axis=1)


def packed(codes: np.ndarray) -> np.ndarray:
    """Codes of 6 bits, the first one in the lowest bits."""
    bits = np.unpackbits(codes.astype(np.uint8)[..., None], axis=-1, bitorder="little")[..., :6]
    return np.packbits(bits.reshape(*codes.shape[:-1], -1), axis=-1, bitorder="little")


def sixes(shape: tuple[int, ...], kind: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A tensor as it is stored, and its values."""
    codes = np.random.default_rng(seed).integers(0, 64, shape).astype(np.uint8)
    return packed(codes), codes.view(getattr(ml_dtypes, kind)).astype(np.float64)
