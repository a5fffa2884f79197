"""`T.thread_return`, and intrinsics called by name, in the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import TileTypeError, UnsupportedError


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_DISABLE_CACHE": True}):
        yield


def test_threads_return_from_branches_and_loops() -> None:
    """A block returns as one before a barrier; threads leave nested branches of a for loop, and a while loop."""

    @T.prim_func
    def main(A: T.Tensor((128,), "int32"), B: T.Tensor((128,), "int32"), n: T.int32):
        with T.Kernel(2, threads=64) as block:
            tx = T.get_thread_binding()
            if block * 64 >= n:
                T.thread_return()
            s = T.alloc_shared((64,), "int32")
            s[tx] = A[block * 64 + tx]
            T.sync_threads()
            total = T.alloc_var("int32", init=0)
            for j in T.serial(10):
                total += s[(tx + j) % 64]
                if total > 20:
                    if j > 2:
                        B[block * 64 + tx] = total
                        T.thread_return()
                    B[block * 64 + tx] = -1
            left = T.alloc_var("int32", init=100)
            while left > 0:
                left -= total
                if left < 50:
                    T.thread_return()
            B[block * 64 + tx] = total

    a = (np.arange(128) * 5 % 7).astype(np.int32)
    b = np.full(128, 9, np.int32)
    tilelang.compile(main, target="sim:sm_90a")(a, b, 64)
    assert b.tolist() == [_expected(a[:64], i) for i in range(64)] + [9] * 64


def _expected(s: np.ndarray, i: int) -> int:
    total, result = 0, 9
    for j in range(10):
        total += int(s[(i + j) % 64])
        if total > 20:
            if j > 2:
                return total
            result = -1
    return result if 0 < total else total


def _tile_operation_follows(A: Any) -> None:
    if T.get_thread_binding() >= 100:
        T.thread_return()
    f = T.alloc_fragment((128,), "float32")
    T.copy(A, f)


def _parallel(A: Any) -> None:
    for i in T.Parallel(128):
        if A[i] < 0:
            T.thread_return()


@pytest.mark.parametrize(
    ("body", "text"),
    [(_tile_operation_follows, "what follows needs all threads"), (_parallel, "in a T.Parallel loop")],
)
def test_wrong_returns(body: Any, text: str) -> None:
    with pytest.raises(UnsupportedError, match=text) as caught:

        @T.prim_func
        def main(A: T.Tensor((128,), "float32")):
            with T.Kernel(1, threads=128):
                T.macro(body)(A)

    assert caught.value.location is not None and caught.value.hint


@T.prim_func
def named(X: T.Tensor((64,), "float32"), Y: T.Tensor((64,), "float32"), N: T.Tensor((64,), "int32")):
    with T.Kernel(1, threads=64):
        tx = T.get_thread_binding()
        Y[tx] = T.call_llvm_intrin("float32", "llvm.nvvm.ex2.approx.f", X[tx])
        thread = T.call_llvm_intrin("int32", "llvm.nvvm.read.ptx.sreg.tid.x")
        N[tx] = thread + T.call_intrin("int32", "tir.popcount", tx)


@T.prim_func
def unknown(N: T.Tensor((64,), "int32")):
    with T.Kernel(1, threads=64):
        N[0] = T.call_llvm_intrin("int32", "llvm.bitreverse.i32", N[1])


def test_intrinsics_by_name() -> None:
    x = np.linspace(-3, 3, 64).astype(np.float32)
    y, n = np.zeros(64, np.float32), np.zeros(64, np.int32)
    tilelang.compile(named, target="sim:sm_90a")(x, y, n)
    np.testing.assert_allclose(y, np.exp2(x), rtol=1e-5)
    assert n.tolist() == [i + i.bit_count() for i in range(64)]
    assert "brev.b32" in tilelang.compile(unknown, target="cuda:sm_90a").get_kernel_source()


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: T.call_llvm_intrin("int32", "ex2"), TileTypeError, "needs a name of LLVM"),
        (lambda: T.call_intrin("int32", "tir.nothing"), UnsupportedError, "no function of T does what"),
    ],
)
def test_wrong_names(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):

        @T.prim_func
        def main(N: T.Tensor((64,), "int32")):
            with T.Kernel(1, threads=64):
                N[0] = call()
