"""Functions of numbers: exact to the last places, for all arguments, and quotients beside guards."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
from hopper_programs import f64, poisoned

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 2e-14), ("float32", 1e-6)])
def test_functions_at_their_edges(dtype: str, tolerance: float) -> None:
    """The origin, infinities, signed zeros and quotients with many bits, as the C library has them."""
    inf = np.inf
    y = np.array([0, -0.0, 0.0, -0.0, 1, -1, inf, -inf, inf, 3, np.nan, 1e-5, 7.25, 6e4, 1e30, -0.3], dtype)
    x = np.array([0, 0.0, -0.0, -1, 0, -0.0, inf, inf, -inf, -inf, 1, 1, -2.5, 0.3, 3.7e20, 0.1], dtype)

    @T.prim_func
    def main(Y: T.Tensor((16,), dtype), X: T.Tensor((16,), dtype), C: T.Tensor((5, 16), dtype)):
        with T.Kernel(1, threads=32) as _:
            for i in T.Parallel(16):
                C[0, i] = T.atan2(Y[i], X[i])
                C[1, i] = T.fmod(Y[i], X[i])
                C[2, i] = T.nextafter(Y[i], X[i])
                C[3, i] = T.ldexp(Y[i], -7)
                C[4, i] = T.hypot(Y[i], X[i])

    got = np.full((5, 16), 7, dtype)
    tilelang.compile(main, target="sim:sm_80")(y, x, got)
    with np.errstate(all="ignore"):
        wants = np.arctan2(y, x), np.fmod(y, x), np.nextafter(y, x), np.ldexp(y, -7), np.hypot(y, x)
        for values, want in zip(got, wants, strict=True):
            near = np.abs(values - want) <= tolerance * np.abs(want)
            assert (near | (values == want) | (np.isnan(values) & np.isnan(want))).all()
            assert ((np.signbit(values) == np.signbit(want)) | np.isnan(want)).all()


def _either_sign(low: float, high: float) -> np.ndarray:
    sizes = 10.0 ** np.random.default_rng(8).uniform(low, high, 256)
    return np.concatenate([sizes, -sizes])


_UNIFORM = np.random.default_rng(9).uniform(-1, 1, 512)
_POSITIVE = 10.0 ** (37 * _UNIFORM)


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("exp", 87 * _UNIFORM), ("exp10", 37.5 * _UNIFORM), ("log", _POSITIVE), ("log10", _POSITIVE),
        ("log1p", _either_sign(-7, -0.1)), ("sin", _either_sign(-6, 4)), ("tan", _either_sign(-6, 2)),
        ("arcsin", _either_sign(-7, 0)), ("arccos", _either_sign(-7, 0)), ("arccos", 1 - _either_sign(-6, -1) ** 2),
        ("arctan", _either_sign(-6, 6)), ("sinh", _either_sign(-6, 1.95)), ("cosh", _either_sign(-6, 1.95)),
        ("tanh", _either_sign(-6, 1.5)), ("arcsinh", _either_sign(-7, 38)), ("arccosh", 1 + abs(_either_sign(-6, 38))),
        ("arctanh", _either_sign(-7, -0.01)),
    ],
)  # fmt: skip
def test_few_units_in_the_last_place(name: str, inputs: np.ndarray) -> None:
    """Small arguments and large ones, where the result or a square of the argument ends."""
    function = getattr(T, name.replace("arc", "a"))

    @T.prim_func
    def main(A: T.Tensor((512,), "float32"), B: T.Tensor((512,), "float32")):
        with T.Kernel(1, threads=128) as _:
            for i in T.Parallel(512):
                B[i] = function(A[i])

    a, got = inputs.astype(np.float32), np.full(512, 7, np.float32)
    tilelang.compile(main, target="sim:sm_80")(a, got)
    want = 10.0 ** f64(a) if name == "exp10" else getattr(np, name)(f64(a))
    assert (np.abs(got - want) <= 6 * np.spacing(np.abs(want).astype(np.float32))).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_powers(dtype: str) -> None:
    """Close for large exponents too; whatever is no number or has no end, as the C library has it."""
    nan, inf, rng = np.nan, np.inf, np.random.default_rng(6)
    x = np.array([2, 1, 1, -1, -1, 0, 0, 2, -8, 0.5, inf, inf, -inf, -2, 1e30, 5], dtype)
    y = np.array([nan, nan, inf, inf, nan, 0, -2, -inf, 1 / 3, inf, -2, 0, 3, 3, 1.2, -0.0], dtype)
    x = np.concatenate([x, 10.0 ** rng.uniform(-3, 3, 240)]).astype(dtype)
    y = np.concatenate([y, rng.uniform(-12, 12, 240)]).astype(dtype)

    @T.prim_func
    def main(X: T.Tensor((256,), dtype), Y: T.Tensor((256,), dtype), C: T.Tensor((256,), dtype)):
        with T.Kernel(1, threads=128) as _:
            for i in T.Parallel(256):
                C[i] = T.pow(X[i], Y[i])

    got = np.full(256, 7, dtype)
    tilelang.compile(main, target="sim:sm_80")(x, y, got)
    with np.errstate(all="ignore"):
        want = np.power(f64(x), f64(y))
        near = np.abs(got - want) <= (1e-13 if dtype == "float64" else 6e-7) * np.abs(want)
    assert (near | (got == want) | (np.isnan(got) & np.isnan(want))).all()


def test_functions_of_float64() -> None:
    a = np.random.default_rng(3).uniform(0.001, 0.999, 96)

    @T.prim_func
    def main(A: T.Tensor((96,), "float64"), C: T.Tensor((12, 96), "float64")):
        with T.Kernel(1, threads=96) as _:
            for i in T.Parallel(96):
                x = A[i]
                C[0, i], C[1, i], C[2, i], C[3, i] = T.asin(x), T.acos(-x), T.atan(9 * x), T.atanh(x)
                C[4, i], C[5, i], C[6, i] = T.asinh(30 * x), T.acosh(1 + x), T.sinh(9 * x)
                C[7, i], C[8, i], C[9, i] = T.log1p(x / 1000), T.erf(4 * x), T.__dict__["__exp"](x)
                C[10, i], C[11, i] = T.tanh(x), T.exp10(300 * x)

    got = np.full((12, 96), np.nan)
    tilelang.compile(main, target="sim:sm_80")(a, got)
    from math import erf

    wants = (np.arcsin(a), np.arccos(-a), np.arctan(9 * a), np.arctanh(a), np.arcsinh(30 * a), np.arccosh(1 + a),
             np.sinh(9 * a), np.log1p(a / 1000), [erf(4 * x) for x in a], np.exp(a), np.tanh(a),
             np.power(np.longdouble(10), np.longdouble(300 * a)))  # fmt: skip
    for values, want in zip(got, wants, strict=True):
        assert np.allclose(values, want, rtol=5e-15, atol=0)


def test_logarithms_in_the_last_places() -> None:
    """Also next to one, where they are small, of subnormal numbers, and of what is no positive number."""
    rng = np.random.default_rng(1)
    a = np.exp(np.concatenate([rng.uniform(-0.01, 0.01, 120), rng.uniform(-87, 88, 128)])).astype("f4")
    a = np.concatenate([a, np.array([np.inf, np.nan, 0, -1, 1, 1e-42, 1e-45, 3], "f4")])

    @T.prim_func
    def main(A: T.Tensor((256,), "float32"), C: T.Tensor((4, 256), "float32")):
        with T.Kernel(1, threads=256) as _:
            tx = T.get_thread_binding()
            C[0, tx], C[1, tx], C[2, tx], C[3, tx] = T.log(A[tx]), T.log2(A[tx]), T.log10(A[tx]), T.log1p(A[tx])

    got = poisoned((4, 256), "float32")
    tilelang.compile(main, target="sim:sm_80")(a, got)
    with np.errstate(all="ignore"):
        for values, function in zip(got, (np.log, np.log2, np.log10, np.log1p), strict=True):
            want = function(f64(a))
            near = np.abs(values - want) <= 3 * np.spacing(np.abs(want).astype("f4"))
            assert (near | (values == want) | (np.isnan(values) & np.isnan(want))).all()


def test_sine_and_cosine_in_the_last_places() -> None:
    """Small results are as exact as large ones, which the hardware's approximations are not."""
    a = np.concatenate([np.arange(-40, 40) * np.pi / 2, np.random.default_rng(0).uniform(-90, 90, 176)]).astype("f4")

    @T.prim_func
    def main(A: T.Tensor((256,), "float32"), C: T.Tensor((3, 256), "float32")):
        with T.Kernel(1, threads=256) as _:
            tx = T.get_thread_binding()
            C[0, tx], C[1, tx], C[2, tx] = T.sin(A[tx]), T.cos(A[tx]), T.tan(A[tx])

    got, kernel = poisoned((3, 256), "float32"), tilelang.compile(main, target="sim:sm_80")
    large = np.random.default_rng(1).uniform(-1e8, 1e8, 256).astype("f4")
    kernel(large, got)
    for values, want in zip(got, (np.sin(f64(large)), np.cos(f64(large))), strict=False):
        assert np.abs(values - want).max() < 1e-6
    got[:] = np.nan
    kernel(a, got)
    for values, function in zip(got, (np.sin, np.cos, np.tan), strict=True):
        want = function(f64(a))
        assert (np.abs(values - want) <= 8 * np.spacing(np.abs(want).astype("f4"))).all()
    assert ".approx" not in tilelang.compile(main, target="sm_80").get_kernel_source()


@pytest.mark.parametrize("target", ["sm_80", "sm_90a"])
def test_guards_stay_around_quotients(target: str) -> None:
    """Threads 61 to 63 read zeros; a quotient by them must not tell LLVM that these threads are not there."""

    @T.prim_func
    def main(A: T.Tensor((61,), "int32"), B: T.Tensor((61,), "int32"), C: T.Tensor((2, 61), "int32")):
        with T.Kernel(1, threads=64) as _:
            for i in T.Parallel(61):
                C[0, i] = A[i] // B[i]
                C[1, i] = T.truncmod(A[i], B[i])

    ptx = tilelang.compile(main, target=target).get_kernel_source()
    branch = ptx.index("bra")
    assert re.search(r"setp\.\w+\.u32\s+%p\d+, %r\d+, 60;\s+@%p\d+ bra", ptx)
    end = ptx[branch:].split()[1].rstrip(";")
    assert re.search(re.escape(end) + r":\s+ret;", ptx) and branch < ptx.index("st.global")
