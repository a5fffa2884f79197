"""What kernels print: signs, narrow floats, and messages as they are."""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.errors import DeviceAssertError
from tilelang_mlir.reference import evaluate


@T.prim_func
def values(A: T.Tensor((2,), "uint8"), B: T.Tensor((2,), "uint32"), C: T.Tensor((2,), "uint64"),
           D: T.Tensor((2,), "int16"), E: T.Tensor((2,), "float8_e4m3"), F: T.Tensor((2,), "bool")):  # fmt: skip
    with T.Kernel(1, threads=1):
        T.print(A[0], "100% of %d:")
        T.print(B[0])
        T.print(C[0])
        T.print(D[0])
        T.print(E[0])
        T.print(F[0])
        tile, eighth = T.alloc_shared((2,), "uint8"), T.alloc_fragment((2,), "float8_e4m3")
        T.copy(A, tile)
        T.copy(E, eighth)
        T.print(tile, "tile")
        T.print(eighth, "50%")


def test_values(capfd: pytest.CaptureFixture[str]) -> None:
    inputs = [
        np.array([250, 1], np.uint8), np.array([3000000000, 1], np.uint32), np.array([2**63 + 1, 1], np.uint64),
        np.array([-7, 1], np.int16), np.array([-1.5, 0.0625], ml_dtypes.float8_e4m3fn), np.array([True, False]),
    ]  # fmt: skip
    tilelang.compile(values, target="sim")(*inputs)
    assert capfd.readouterr().out.splitlines() == [
        "100% of %d: 250", "3000000000", "9223372036854775809", "-7", "-1.500000", "1", "tile[0] = 250", "tile[1] = 1",
        "50%[0] = -1.500000", "50%[1] = 0.062500",
    ]  # fmt: skip
    printed = evaluate(values.module, "values", inputs)
    assert printed[:4] == ["100% of %d: 250", "3000000000", "9223372036854775809", "-7"]


def test_messages_of_assertions() -> None:
    @T.prim_func
    def main(A: T.Tensor((1,), "float32")):
        with T.Kernel(1, threads=1):
            T.device_assert(A[0] > 0, "less than 5% of %s")

    with pytest.raises(DeviceAssertError, match="less than 5% of %s"):
        tilelang.compile(main, target="sim")(np.zeros(1, np.float32))
