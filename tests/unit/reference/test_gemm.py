"""Matrix products against float64, for every operand type and orientation."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from level1 import expand, kernel, run, tensor

from tilelang_mlir.reference.casts import round_tf32


def _program(m: int, n: int, k: int, element: str, accumulator: str, ta: bool, tb: bool, extra: str = "") -> str:
    a_shape, b_shape = ((k, m) if ta else (m, k)), ((n, k) if tb else (k, n))
    a, b = (f"{x}x{y}x{element}" for x, y in (a_shape, b_shape))
    c = f"{m}x{n}x{accumulator}"
    host = "\n".join((
        tensor("%A", "%a", a_shape, element), tensor("%B", "%b", b_shape, element),
        tensor("%C", "%c", (m, n), accumulator),
    ))  # fmt: skip
    flags = f'clear = true, policy = "square", transpose_a = {str(ta).lower()}, transpose_b = {str(tb).lower()}{extra}'
    body = f"""
    %sa = "tl.alloc"() : () -> memref<{a}, @S>
    %sb = "tl.alloc"() : () -> memref<{b}, @S>
    %acc = "tl.alloc"() : () -> memref<{c}, @F>
    "tl.copy"(%A, %sa) : (memref<{a}, @G>, memref<{a}, @S>) -> ()
    "tl.copy"(%B, %sb) : (memref<{b}, @G>, memref<{b}, @S>) -> ()
    "tl.gemm"(%sa, %sb, %acc) {{{flags}}} : (memref<{a}, @S>, memref<{b}, @S>, memref<{c}, @F>) -> ()
    "tl.copy"(%acc, %C) : (memref<{c}, @F>, memref<{c}, @G>) -> ()"""
    return kernel(expand(body), "%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %c: !llvm.ptr<1>", host)


@pytest.mark.parametrize(("ta", "tb"), [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize(("element", "dtype", "tolerance"), [
    ("f16", np.float16, 1e-6), ("bf16", ml_dtypes.bfloat16, 1e-6), ("f8E4M3FN", ml_dtypes.float8_e4m3fn, 1e-6),
    ("f64", np.float64, 1e-13),
])  # fmt: skip
def test_float(element: str, dtype: type, tolerance: float, ta: bool, tb: bool) -> None:
    m, n, k = 17, 23, 9
    rng = np.random.default_rng(1)
    a = rng.standard_normal((k, m) if ta else (m, k)).astype(dtype)
    b = rng.standard_normal((n, k) if tb else (k, n)).astype(dtype)
    accumulator = "f64" if element == "f64" else "f32"
    c = np.full((m, n), np.nan, np.float64 if element == "f64" else np.float32)
    run(_program(m, n, k, element, accumulator, ta, tb), [a, b, c])
    left, right = a.astype(np.float64), b.astype(np.float64)
    want = (left.T if ta else left) @ (right.T if tb else right)
    assert np.linalg.norm(c - want) <= tolerance * np.linalg.norm(want)


@pytest.mark.parametrize("unsigned", [False, True])
def test_int8_is_exact(unsigned: bool) -> None:
    rng = np.random.default_rng(2)
    a, b = rng.integers(-128, 128, (5, 64), np.int8), rng.integers(-128, 128, (64, 7), np.int8)
    c = np.full((5, 7), -1, np.int32)
    extra = ", a_unsigned, b_unsigned" if unsigned else ""
    run(_program(5, 7, 64, "i8", "i32", False, False, extra), [a, b, c])
    left, right = (x.view(np.uint8) if unsigned else x for x in (a, b))
    np.testing.assert_array_equal(c, left.astype(np.int64) @ right.astype(np.int64))


def test_float32_operands_are_read_as_tf32() -> None:
    a = np.array([[1 + 2.0**-12]], np.float32)
    c = np.zeros((1, 1), np.float32)
    run(_program(1, 1, 1, "f32", "f32", False, False), [a, a, c])
    assert c[0, 0] == 1.0


def test_tf32_rounds_to_nearest_even() -> None:
    ulp = np.float32(2.0**-10)
    values = np.array([1 + ulp / 2, 1 + 3 * ulp / 2, 1 + ulp * 0.6, np.inf, -(1 + ulp * 0.6)], np.float32)
    want = np.array([1, 1 + 2 * ulp, 1 + ulp, np.inf, -(1 + ulp)], np.float32)
    np.testing.assert_array_equal(round_tf32(values), want)


def test_accumulates_unless_clear() -> None:
    text = _program(2, 2, 2, "f16", "f32", False, False).replace("clear = true", "clear = false")
    text = text.replace(
        '"tl.gemm"',
        '%v = arith.constant 5.0 : f32\n"tl.fill"(%acc, %v) : (memref<2x2xf32, '
        '#tl.scope<"fragment">>, f32) -> ()\n"tl.gemm"',
    )
    a, c = np.eye(2, dtype=np.float16), np.zeros((2, 2), np.float32)
    run(text, [a, a, c])
    np.testing.assert_array_equal(c, np.eye(2) + 5)
