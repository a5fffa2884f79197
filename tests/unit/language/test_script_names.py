"""Names of TVM's script, single instructions, and questions about dtypes."""

from __future__ import annotations

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.errors import TileTypeError, TileValueError, UnsupportedError
from tilelang_mlir.language import missing


@pytest.mark.parametrize(("own", "names"), missing.by_tiles().items())
def test_single_instructions_name_the_tile_operation(own: str, names: list[str]) -> None:
    assert hasattr(T, own.removeprefix("T."))
    for name in names:
        with pytest.raises(UnsupportedError, match=f"T.{name} is not part of the language\nhint: {own} uses"):
            getattr(T, name)


def test_names_of_scripts() -> None:
    """Constants, products in fixed point and stores as TVM's script writes them."""

    @T.prim_func
    def main(A: T.Tensor((64,), "int32"), B: T.Tensor((4, 64), "int32")):
        T.func_attr({"tir.noalias": True})
        with T.Kernel(1, threads=64) as _:
            t = T.get_thread_binding()
            factor = T.meta_var(T.IntImm("int32", 1518500250))
            T.buffer_store(B, T.q_multiply_shift(A[t], factor, 31, T.int32(-2)), [0, t])
            B[3, t] = T.q_multiply_shift(A[t] >> 4, factor, 31, 2)
            n = T.int32()
            assert not T.has_let_value(n) and T.get_let_value(n) is None
            T.let(n, A[t] * 2)
            B[1, t] = T.get_let_value(n)
            B[2, t] = T.cast(T.FloatImm("float32", 2.75) * 2, "int32")

    a, b = np.random.default_rng(0).integers(-(2**30), 2**30, 64).astype(np.int32), np.zeros((4, 64), np.int32)
    tilelang.compile(main, target="sim:sm_80")(a, b)
    exact = [(int(x) * 1518500250 + (1 << 32)) >> 33 for x in a]
    assert b[3].tolist() == [((int(x) >> 4 << 2) * 1518500250 + (1 << 30)) >> 31 for x in a]
    assert b[0].tolist() == exact and (b[1] == a * 2).all() and (b[2] == 5).all()
    with pytest.raises(TileTypeError, match="T.IntImm needs an integer dtype, got float32"):
        T.IntImm("float32", 1)


def test_questions_about_dtypes() -> None:
    assert T.is_f8f6f4_family("float8_e5m2") and T.is_f8f6f4_family("float4_e2m1fn") and not T.is_f8f6f4_family("int8")
    assert T.is_float4_e2m1fn("float4_e2m1fn") and not T.is_float4_e2m1_unpacked("float4_e2m1fn")
    T.validate_gemm_ab_dtypes("float8_e4m3fn", "float8_e5m2", allow_f8f6f4_mixed=True)
    with pytest.raises(TileValueError, match="a product of float16 and int8: operands must have one dtype"):
        T.validate_gemm_ab_dtypes("float16", "int8")
