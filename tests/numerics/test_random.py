"""Generators that go ahead in their streams: against their definitions, a step at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs

MASK = 0xFFFFFFFF
M1, M2 = 4294967087, 4294944443


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def power(step: Any, size: int, modulus: int, exponent: int) -> Any:
    """A linear step of so many numbers as a matrix, to a power."""
    columns = [step([int(i == k) for i in range(size)]) for k in range(size)]
    base, result = np.array(columns, object).T, np.eye(size, dtype=object)
    while exponent:
        result = result.dot(base) % modulus if exponent & 1 else result
        base, exponent = base.dot(base) % modulus, exponent >> 1
    return result


def xorshift(v: list[int]) -> list[int]:
    t = v[0] ^ v[0] >> 2
    return [*v[1:], (v[4] ^ v[4] << 4 ^ t ^ t << 1) & MASK]


class Xorwow:
    """Marsaglia, "Xorshift RNGs", section 3.1; streams 2^67 apart, through the matrix of 160 bits."""

    kind = "curandStateXORWOW_t"

    def __init__(self, seed: int, stream: int) -> None:
        t0, t1 = 1099087573 * ((seed & MASK) ^ 0xAAD26B49) & MASK, 2591861531 * ((seed >> 32) ^ 0xF7DCEFDD) & MASK
        self.d = 6615241 + t1 + t0 & MASK
        words = [123456789 + t0, 362436069 ^ t0, 521288629 + t1, 88675123 ^ t1, 5783321 + t0]
        state, steps = self.joined([w & MASK for w in words]), stream << 67
        columns = [self.joined(xorshift([(1 << k >> 32 * i) & MASK for i in range(5)])) for k in range(160)]
        while steps:
            state = self.sum_of(columns, state) if steps & 1 else state
            columns, steps = [self.sum_of(columns, column) for column in columns], steps >> 1
        self.v = [state >> 32 * i & MASK for i in range(5)]

    @staticmethod
    def joined(words: list[int]) -> int:
        return sum(word << 32 * i for i, word in enumerate(words))

    @staticmethod
    def sum_of(columns: list[int], chosen: int) -> int:
        total = 0
        for k, column in enumerate(columns):
            total ^= column if chosen >> k & 1 else 0
        return total

    def word(self) -> int:
        self.v, self.d = xorshift(self.v), self.d + 362437 & MASK
        return self.v[4] + self.d & MASK

    def double(self) -> float:
        low, high = self.word(), self.word()
        return (low ^ high << 21) * 2.0**-53 + 2.0**-54

    def angle(self) -> float:
        return 2 * np.pi * self.double()


class Mrg:
    """L'Ecuyer, MRG32k3a; streams 2^76 apart."""

    kind = "curandStateMRG32k3a_t"

    def __init__(self, seed: int, stream: int) -> None:
        x1, x2 = (seed & MASK) ^ 0x55555555, (seed >> 32) ^ 0xAAAAAAAA
        a, b = ([x1, x2, x1], [x2, x1, x2]) if seed else ([1, 1, 1], [1, 1, 1])
        steps = (lambda v: [v[1], v[2], (1403580 * v[1] - 810728 * v[0]) % M1],
                 lambda v: [v[1], v[2], (527612 * v[2] - 1370589 * v[0]) % M2])  # fmt: skip
        self.steps = steps
        self.states = [
            list(power(step, 3, m, stream << 76).dot(np.array([12345 * x % m for x in start], object)) % m)
            for step, m, start in zip(steps, (M1, M2), (a, b), strict=True)
        ]

    def number(self) -> int:
        self.states = [step(state) for step, state in zip(self.steps, self.states, strict=True)]
        p, q = (state[2] for state in self.states)
        return p - q if p > q else p - q + M1

    def word(self) -> int:
        return int(self.number() * 1.000000048662) & MASK

    def double(self) -> float:
        return self.number() * 2.3283065498378288e-10

    def angle(self) -> float:
        return 2 * np.pi * self.double()


@pytest.mark.parametrize("oracle", [Xorwow, Mrg])
def test_streams(oracle: Any) -> None:
    """Streams and offsets that threads compute, constant ones, and floats of 64 bits of both distributions."""

    @T.prim_func
    def main(A: T.Tensor((2, 2, 4), "uint32"), F: T.Tensor((2, 3), "float64"), n: T.int32):
        with T.Kernel(1, threads=2) as _:
            tx = T.get_thread_binding()
            T.rng_init(0x123456789ABCDEF0, tx, tx * 5 + n, generator=oracle.kind)
            for i in T.serial(4):
                A[0, tx, i] = T.rng_rand()
            F[tx, 0] = T.rng_rand_float(64)
            F[tx, 1], F[tx, 2] = T.rng_rand_float(64, "normal"), T.rng_rand_float(bit=64, dist="normal")
            T.rng_init(0, 3, 40, generator=oracle.kind)
            for i in T.serial(4):
                A[1, tx, i] = T.rng_rand()

    a, f = np.zeros((2, 2, 4), np.uint32), np.full((2, 3), np.nan)
    tilelang.compile(main, target="sim:sm_80")(a, f, 1)
    for thread in range(2):
        stream = oracle(0x123456789ABCDEF0, thread)
        words = [stream.word() for _ in range(5 * thread + 1 + 4)]
        assert a[0, thread].tolist() == words[-4:]
        uniform, radius, angle = stream.double(), np.sqrt(-2 * np.log(stream.double())), stream.angle()
        np.testing.assert_allclose(f[thread], [uniform, radius * np.sin(angle), radius * np.cos(angle)], rtol=1e-13)
    fixed = oracle(0, 3)
    assert a[1, 0].tolist() == a[1, 1].tolist() == [fixed.word() for _ in range(44)][-4:]


def test_functions_of_float64() -> None:
    """A few units in the last place, with the edges of exponents and logarithms."""

    @T.prim_func
    def main(A: T.Tensor((64,), "float64"), B: T.Tensor((10, 64), "float64")):
        with T.Kernel(1, threads=64) as _:
            i = T.get_thread_binding()
            B[0, i], B[1, i], B[2, i], B[3, i] = T.exp(A[i]), T.exp2(A[i]), T.log(A[i]), T.log2(A[i])
            B[4, i], B[5, i], B[6, i] = T.sin(A[i]), T.cos(A[i]), T.tan(A[i])
            B[7, i], B[8, i], B[9, i] = T.tanh(A[i]), T.sigmoid(A[i]), T.pow(T.abs(A[i]), 1.5)

    a = np.concatenate([[0, np.inf, -np.inf, np.nan, 1, 5e-324, 709.7, -745, 1024, -1074.5],
                        np.random.default_rng(2).uniform(-50, 50, 54)])  # fmt: skip
    b = np.full((10, 64), 7.0)
    tilelang.compile(main, target="sim:sm_80")(a, b)
    with np.errstate(all="ignore"):
        expected = [np.exp(a), np.exp2(a), np.log(a), np.log2(a), np.sin(a), np.cos(a), np.tan(a), np.tanh(a),
                    1 / (1 + np.exp(-a)), np.abs(a) ** 1.5]  # fmt: skip
    for row, want in zip(b, expected, strict=True):
        np.testing.assert_allclose(row, want, rtol=2e-14)


def test_long_iterations_are_a_loop_of_the_thread() -> None:
    """97 iterations in each of 8 threads, the last ones outside: copies of the body would compile for minutes."""
    size, threads = 97 * 8 - 5, 8

    @T.prim_func
    def main(A: T.Tensor((size,), "float32"), B: T.Tensor((size,), "float32")):
        with T.Kernel(1, threads=threads) as _:
            last = T.alloc_var("float32", 0.5)
            for i, j in T.Parallel(threads, 97):
                if i * 97 + j < size:
                    for _ in T.unroll(12):
                        last = T.sin(last) * 0.5 + A[i * 97 + j]
                    B[i * 97 + j] = last

    a, b = np.random.default_rng(1).standard_normal(size).astype(np.float32), np.full(size, np.nan, np.float32)
    kernel = tilelang.compile(main, target="sim:sm_90a")
    kernel(a, b)
    expected = np.empty(size)
    for start in range(0, size, 97):
        state = 0.5
        for place in range(start, min(start + 97, size)):
            for _ in range(12):
                state = np.sin(state) * 0.5 + float(a[place])
            expected[place] = state
    assert np.linalg.norm(b - expected) <= 1e-5 * np.linalg.norm(expected)
    assert kernel.ir("lowered").count("math.sin") < 20
