"""Constants are converted while tracing as the machine converts values while it runs."""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.frontend.conversions import rounded, wrapped

NUMBERS = (300, -7, 2147483646, 40001)
THROUGH = ("uint8", "int16", "float32", "bfloat16")


def test_conversions_of_constants_and_of_values_agree() -> None:
    @T.prim_func
    def main(A: T.Tensor((4,), "int32"), B: T.Tensor((4, 4), "int32"), C: T.Tensor((4, 4), "int32")):
        with T.Kernel(1, threads=1):
            B[0, 0], C[0, 0] = through(NUMBERS[0], 0), through(A[0], 0)
            B[0, 1], C[0, 1] = through(NUMBERS[0], 1), through(A[0], 1)
            B[1, 0], C[1, 0] = through(NUMBERS[1], 0), through(A[1], 0)
            B[2, 1], C[2, 1] = through(NUMBERS[2], 1), through(A[2], 1)
            B[2, 2], C[2, 2] = through(NUMBERS[2], 2), through(A[2], 2)
            B[3, 1], C[3, 1] = through(NUMBERS[3], 1), through(A[3], 1)
            B[3, 3], C[3, 3] = through(NUMBERS[3], 3), through(A[3], 3)

    b, c = np.zeros((4, 4), np.int32), np.zeros((4, 4), np.int32)
    tilelang.compile(main, target="sim:sm_80")(np.array(NUMBERS, np.int32), b, c)
    assert (b == c).all()
    assert b[0].tolist()[:2] == [44, 300] and b[1, 0] == 249 and b[3].tolist() == [0, -25535, 0, 39936]


def through(value: Any, index: int) -> Any:
    return T.cast(T.cast(value, THROUGH[index]), "int32")


@pytest.mark.parametrize(("dtype", "kind"), [("float32", np.float32), ("float16", np.float16)])
def test_rounding(dtype: str, kind: type) -> None:
    rng = np.random.default_rng(0)
    spread = rng.standard_normal(200) * 10.0 ** rng.integers(-12, 4, 200)
    values = np.concatenate([spread, [0, 1 + 2**-24, 65519, 65520]])
    with np.errstate(over="ignore"):
        assert [rounded(float(v), T.dtype(dtype)) for v in values] == [float(kind(v)) for v in values]
    assert rounded(1 + 2**-8, T.dtype("bfloat16")) == 1.0 and rounded(1e9, T.dtype("float8_e4m3")) is None
    assert [rounded(v, T.dtype("float4_e2m1fn")) for v in (6.0, 2.5, 0.26, -0.2)] == [6.0, 2.0, 0.5, 0.0]
    assert wrapped(-1, T.dtype("uint32")) == 2**32 - 1 and wrapped(200, T.dtype("int8")) == -56


def test_constants_are_numbers_of_python() -> None:
    """Outside of kernels too: programs compute bounds of quantization from the limits of dtypes."""
    assert float(T.max_value("float8_e4m3fn")) * 2**-9 == 0.875 and int(T.max_value("int8")) == 127
    assert float(T.max_value("float4_e2m1fn") * 2**-126) == 6 * 2**-126
    third = T.float32(1) / 3
    assert float(third) == np.float32(1) / np.float32(3) and (third - third).const == 0
