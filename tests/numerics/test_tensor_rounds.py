"""Sums in tensor memory that are more than one pipelined loop's: they are not given to roles, whose versions they are
not; those that start afresh in every round are."""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hopper_programs import check, f64, poisoned, random
from tensor_programs import compiled

import tilelang_mlir.language as T
from tilelang_mlir import knobs

STEPS, ROUNDS, BK = 3, 2, 32
K = STEPS * ROUNDS * BK


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def rounds(fresh: bool, each: bool) -> Any:
    """Sums over the steps of a round, or over all steps so far; `each` stores them in every round."""

    @T.prim_func
    def main(A: T.Tensor((128, K), "float16"), B: T.Tensor((K, 48), "float16"),
             C: T.Tensor((ROUNDS, 128, 48), "float32")):  # fmt: skip
        with T.Kernel(1, threads=128):
            a, b = T.alloc_shared((128, BK), "float16"), T.alloc_shared((BK, 48), "float16")
            c = T.alloc_tmem((128, 48), "float32")
            for r in T.serial(ROUNDS):
                for k in T.Pipelined(STEPS, num_stages=2):
                    T.copy(A[0, (r * STEPS + k) * BK], a)
                    T.copy(B[(r * STEPS + k) * BK, 0], b)
                    T.gemm(a, b, c, clear_accum=k == 0 if fresh else (r == 0) & (k == 0))
                if each:
                    T.copy(c, C[r, :, :])
            if not each:
                T.copy(c, C[ROUNDS - 1, :, :])

    return main


@pytest.mark.parametrize(("fresh", "each"), [(True, True), (False, True), (False, False)])
def test_sums_over_rounds(fresh: bool, each: bool) -> None:
    a, b, c = random((128, K)), random((K, 48), seed=1), poisoned((ROUNDS, 128, 48), "float32")
    kernel = compiled(rounds(fresh, each))
    kernel(a, b, c)
    assert ('"tl.tensor_roles"' in kernel.ir("scheduled")) == fresh
    step = K // ROUNDS
    for r in range(ROUNDS) if each else [ROUNDS - 1]:
        steps = slice(r * step if fresh else 0, (r + 1) * step)
        check(c[r], f64(a)[:, steps] @ f64(b)[steps], "float32")


@pytest.mark.parametrize("start", ["tile", "clear", "copy"])
def test_operands_and_sums_from_elsewhere(start: str) -> None:
    """A first operand that is loaded once; a sum that the threads clear or bring along."""

    @T.prim_func
    def main(A: T.Tensor((128, 64), "float16"), B: T.Tensor((192, 64), "float16"), D: T.Tensor((128, 64), "float32"),
             C: T.Tensor((128, 64), "float32")):  # fmt: skip
        with T.Kernel(1, threads=128):
            a, b = T.alloc_shared((128, 64), "float16"), T.alloc_shared((64, 64), "float16")
            c, old = T.alloc_tmem((128, 64), "float32"), T.alloc_fragment((128, 64), "float32")
            if start == "tile":
                T.copy(A, a)
            elif start == "clear":
                T.clear(c)
            else:
                T.copy(D, old)
                T.copy(old, c)
            for k in T.Pipelined(3, num_stages=2):
                if start != "tile":
                    T.copy(A, a)
                T.copy(B[k * 64, 0], b)
                T.gemm(a, b, c, clear_accum=(k == 0 if start == "tile" else False))
            T.copy(c, C)

    a, b, d = random((128, 64)), random((192, 64), seed=1), random((128, 64), "float32")
    c = poisoned((128, 64), "float32")
    compiled(main)(a, b, d, c)
    check(c, f64(a) @ f64(b).reshape(3, 64, 64).sum(0) + (f64(d) if start == "copy" else 0), "float32")


@pytest.mark.parametrize("behind", [False, True])
def test_waits_for_other_kernels(behind: bool) -> None:
    """Tiles that an earlier kernel writes are loaded when it has ended; a wait behind the loop is for what follows."""

    @T.prim_func
    def main(A: T.Tensor((128, K), "float16"), B: T.Tensor((K, 48), "float16"), C: T.Tensor((128, 48), "float32")):
        with T.Kernel(1, threads=128):
            a, b = T.alloc_shared((128, BK), "float16"), T.alloc_shared((BK, 48), "float16")
            c = T.alloc_tmem((128, 48), "float32")
            if not behind:
                T.pdl_sync()
            for k in T.Pipelined(STEPS * ROUNDS, num_stages=2):
                T.copy(A[0, k * BK], a)
                T.copy(B[k * BK, 0], b)
                T.gemm(a, b, c, clear_accum=k == 0)
            if behind:
                T.pdl_sync()
            T.copy(c, C)

    a, b, c = random((128, K)), random((K, 48), seed=1), poisoned((128, 48), "float32")
    kernel = compiled(main)
    kernel(a, b, c)
    check(c, f64(a) @ f64(b), "float32")
    scheduled = kernel.ir("scheduled")
    roles, waits = scheduled.index('"tl.tensor_roles"'), scheduled.index('"wait_dependencies"')
    assert (waits > roles) == behind
