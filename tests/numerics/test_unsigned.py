"""Unsigned numbers wrap around: what holds of multiples and sums of integers does not hold of theirs."""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.reference import evaluate

N = 64
KNUTH = 2654435761

FORMULAS: dict[str, Callable[[Any, Callable[[int], Any]], Any]] = {
    "multiple": lambda x, c: (x * c(33)) % c(11),
    "product": lambda x, c: (x * c(7)) // c(7),
    "of a sum": lambda x, c: (x + c(2100000000)) % c(7),
    "below zero": lambda x, c: (x - c(7)) % c(7),
    "quotient below zero": lambda x, c: (x - c(7)) // c(7),
    "back": lambda x, c: ((x - c(14)) * c(3)) // c(3) - x,
    "hash": lambda x, c: (x * c(KNUTH)) % c(5),
    "congruential": lambda x, c: (x * c(1664525) + c(1013904223)) % c(10),
    "power of two": lambda x, c: (x * c(24)) % c(8) + (x - c(10)) % c(8),
}


def program(formula: Callable[..., Any], read: bool, threads: int) -> Any:
    @T.prim_func
    def main(X: T.Tensor((N,), "uint32"), B: T.Tensor((2, N), "uint32")):
        with T.Kernel(1, threads=threads):
            for i in T.Parallel(N):
                x = X[i] if read else T.cast(i, "uint32")
                B[0, i] = formula(x, T.uint32)
                B[1, i] = T.if_then_else(x + T.uint32(3) > x, T.uint32(1), T.uint32(0))

    return main


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize(("read", "threads"), [(True, 64), (False, 64), (False, 32)])
def test_wraps_around(formula: str, read: bool, threads: int) -> None:
    x = np.random.default_rng(2).integers(0, 2**32, N, dtype=np.uint32) if read else np.arange(N, dtype=np.uint32)
    x[:2] = (2**32 - 2, 2**31 + 5) if read else x[:2]
    main = program(FORMULAS[formula], read, threads)
    simulated, meant = np.zeros((2, N), np.uint32), np.zeros((2, N), np.uint32)
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        tilelang.compile(main, target="sim")(x, simulated)
    evaluate(main.module, "main", [x, meant])
    want = [FORMULAS[formula](x, np.uint32), x + np.uint32(3) > x]
    np.testing.assert_array_equal(simulated, want)
    np.testing.assert_array_equal(meant, want)
