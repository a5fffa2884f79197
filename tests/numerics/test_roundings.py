"""Conversions to small floats with every rounding, against the definition: the codes of a format in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import TileTypeError, TileValueError

FORMATS: dict[str, Any] = {
    "float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float8_e4m3fn": ml_dtypes.float8_e4m3fn,
    "float8_e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "float6_e2m3fn": ml_dtypes.float6_e2m3fn, "float6_e3m2fn": ml_dtypes.float6_e3m2fn,
    "float4_e2m1fn": ml_dtypes.float4_e2m1fn,
}  # fmt: skip
MODES = ("rn", "rz", "rp", "rm", "rs")
COUNT = 128


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_DISABLE_CACHE": True}):
        yield


def program(dtype: str, saturate: bool = True) -> Any:
    @T.prim_func
    def main(X: T.Tensor((COUNT,), "float32"), R: T.Tensor((COUNT,), "uint32"), Y: T.Tensor((5, COUNT), "float32")):
        with T.Kernel(1, threads=128):
            for i in T.Parallel(COUNT):
                Y[0, i] = T.cast(T.cast(X[i], dtype, round="rn", sat=saturate), "float32")
                Y[1, i] = T.cast(T.cast(X[i], dtype, round="rz", sat=saturate), "float32")
                Y[2, i] = T.cast(T.cast(X[i], dtype, round="rp", sat=saturate), "float32")
                Y[3, i] = T.cast(T.cast(X[i], dtype, round="rm", sat=saturate), "float32")
                Y[4, i] = T.cast(T.cast(X[i], dtype, round="rs", rbits=R[i], sat=saturate), "float32")

    return main


def values(dtype: str) -> np.ndarray:
    """The finite values of a format, without a sign, in order."""
    kind = FORMATS[dtype]
    bits = int(ml_dtypes.finfo(kind).bits)
    word = np.uint16 if bits > 8 else np.uint8
    with np.errstate(invalid="ignore"):
        codes = np.arange(1 << (bits - 1), dtype=word).view(kind).astype(np.float32).astype(np.float64)
    return codes[np.isfinite(codes)]


def oracle(x: np.ndarray, random: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Neighbours in the table and which of them each rounding takes; the largest value is the end."""
    result = np.empty((5, len(x)))
    for i, (value, bits) in enumerate(zip(x, random, strict=True)):
        size = min(abs(float(value)), float(table[-1]))
        at = int(np.searchsorted(table, size, side="right")) - 1
        low, high = table[at], table[min(at + 1, len(table) - 1)]
        up = dict.fromkeys(MODES, False)
        if size > low:
            middle = (low + high) / 2
            unit = 2.0 ** (max(np.floor(np.log2(size)), -126) - 23)
            space = round((high - low) / unit)
            up["rn"] = size > middle or (size == middle and at % 2 == 1)
            up["rp"], up["rm"] = value > 0, value < 0
            up["rs"] = round((size - low) / unit) + (int(bits) & (space - 1)) >= space
        result[:, i] = [np.copysign(high if up[mode] else low, value) for mode in MODES]
    return result


@pytest.mark.parametrize(("dtype", "target"), [*((dtype, "sm_80") for dtype in FORMATS), ("bfloat16", "sm_100a"),
                                               ("bfloat16", "gfx950"), ("float8_e4m3fnuz", "gfx942")])  # fmt: skip
def test_every_rounding(dtype: str, target: str) -> None:
    rng = np.random.default_rng(3)
    table = values(dtype)
    scale = np.exp2(rng.uniform(-4, np.log2(table[-1]) if table[-1] < 1e5 else 15, COUNT))
    x = (rng.choice([-1, 1], COUNT) * scale).astype(np.float32)
    x[:6] = [0, table[1], table[1] / 2, table[-1], -table[2], (table[-1] + table[-2]) / 2]
    if dtype not in ("float16", "bfloat16"):
        x[6:8] = [table[-1] * 3, -table[-1] * 100]
    random = rng.integers(0, 1 << 32, COUNT, dtype=np.uint32)
    y = np.full((5, COUNT), np.nan, np.float32)
    kernel = tilelang.compile(program(dtype), target=f"sim:{target}")
    kernel(x, random, y)
    assert ("cvt.rs.bf16x2.f32" in kernel.get_kernel_source()) == (target == "sm_100a")
    np.testing.assert_array_equal(y, oracle(x, random, table))


def test_overflow_without_saturation() -> None:
    """Infinity, or the largest value where the rounding mode goes the other way; NaN stays NaN."""
    x, random = np.full(COUNT, 1e9, np.float32), np.zeros(COUNT, np.uint32)
    x[1], x[2], x[3] = -1e9, np.inf, np.nan
    y = np.zeros((5, COUNT), np.float32)
    tilelang.compile(program("float8_e5m2", saturate=False), target="sim:sm_90a")(x, random, y)
    largest, inf = 57344.0, np.inf
    np.testing.assert_array_equal(y[:, 0], [inf, largest, inf, largest, inf])
    np.testing.assert_array_equal(y[:, 1], [-inf, -largest, -largest, -inf, -inf])
    np.testing.assert_array_equal(y[:, 2], [inf] * 5)
    assert np.isnan(y[:, 3]).all()


@pytest.mark.parametrize("target", ["sm_80", "gfx950"])
def test_the_ends_of_bfloat16(target: str) -> None:
    """A carry of random bits reaches infinity, which stays infinite; NaN keeps its sign; subnormal numbers as all."""
    words = np.array([0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 0xFF800000, 0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001, 0x00000001,
                      0x00018001, 0x807FFFFF, 0x00000000, 0x80000000], np.uint32)  # fmt: skip
    for bits in (0, 1, 0x7FFF, 0x8000, 0xFFFF, 0xFFFFFFFF):
        x, random = np.zeros(COUNT, np.uint32), np.full(COUNT, bits, np.uint32)
        x[: len(words)] = words
        out = np.zeros((2, COUNT), np.uint16)

        @T.prim_func
        def main(X: T.Tensor((COUNT,), "float32"), R: T.Tensor((COUNT,), "uint32"), Y: T.Tensor((2, COUNT), "uint16")):
            with T.Kernel(1, threads=64):
                for i in T.Parallel(COUNT):
                    Y[0, i] = T.reinterpret(T.cast(X[i], "bfloat16", round="rs", rbits=R[i]), "uint16")
                    Y[1, i] = T.reinterpret(T.cast(X[i], "bfloat16", round="rz"), "uint16")

        tilelang.compile(main, target=f"sim:{target}")(x.view(np.float32), random, out)
        wide = x.astype(np.uint64)
        nan = (wide & 0x7FFFFFFF) > 0x7F800000
        carried = np.where(nan, wide >> 16 & 0x8000 | 0x7FC0, wide + (bits & 0xFFFF) >> 16)
        np.testing.assert_array_equal(out[0], carried)
        np.testing.assert_array_equal(out[1], np.where(nan, carried, wide >> 16))


@pytest.mark.parametrize(
    ("error", "text", "options"),
    [
        (TileValueError, "unknown rounding 'up'", {"round": "up"}),
        (TileValueError, "random bits .* come together", {"round": "rs"}),
        (TileValueError, "random bits .* come together", {"rbits": 3}),
        (TileTypeError, "T.cast to int32 has no rounding 'rz'", {"round": "rz", "dtype": "int32"}),
    ],
)
def test_wrong_roundings(error: type[Exception], text: str, options: dict[str, Any]) -> None:
    dtype = options.pop("dtype", "float16")
    with pytest.raises(error, match=text):

        @T.prim_func
        def main(X: T.Tensor((4,), "float32"), Y: T.Tensor((4,), dtype)):
            with T.Kernel(1, threads=32):
                Y[0] = T.cast(X[0], dtype, **options)
