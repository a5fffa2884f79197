"""Views of tensors whose sizes the kernel reads (`T.make_tensor_descriptor`), in the simulator and as machine code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hopper_programs import compiled, poisoned, random

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import SimulationError, TileTypeError, TileValueError, UnsupportedError


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def moved(dtype: str, bulk: bool = True) -> Any:
    """Columns 32 i and on of rows from `off[block]` on go to the same columns of rows one further, for i = 0 and 1: as
    many rows as `off[block + 2]` says, one less the second time."""

    @T.prim_func
    def main(A: T.Tensor((100, 96), dtype), off: T.Tensor((4,), "int32"), D: T.Tensor((100, 96), dtype)):
        with T.Kernel(2, threads=128) as bx:
            s = T.alloc_shared((64, 32), dtype)
            if bulk:
                bar = T.alloc_barrier(128)
            for i in T.serial(2):
                v = T.make_tensor_descriptor(A[off[bx], 0], (off[bx + 2], 96))
                w = T.make_tensor_descriptor(D[off[bx] + i, 32 * i], (off[bx + 2] - i, 64))
                if bulk:
                    T.tma_copy(v[0, 32 * i], s, barrier=bar)
                    T.mbarrier_arrive(bar)
                    T.mbarrier_wait_parity(bar, i)
                    T.tma_copy(s, w[0, 0])
                    T.tma_store_arrive()
                    T.tma_store_wait(0)
                    T.sync_threads()
                else:
                    T.copy(v[0, 32 * i], s)
                    T.copy(s, w[0, 0])

    return main


def _moved(a: np.ndarray, off: np.ndarray, d: np.ndarray) -> np.ndarray:
    want = d.copy()
    for start, rows in zip(off[:2], off[2:], strict=True):
        for i in range(2):
            part = np.zeros((64, 32), a.dtype)
            part[:rows] = a[start : start + rows, 32 * i : 32 * i + 32]
            want[start + i : start + rows, 32 * i : 32 * i + 32] = part[: rows - i]
    return want


@pytest.mark.parametrize(("dtype", "target"), [("float32", "sim:sm_90a"), ("uint8", "sim:sm_90a"),
                                               ("float16", "sim:sm_80"), ("float16", "sim:gfx942")])  # fmt: skip
def test_views_end_where_the_tensor_says(dtype: str, target: str) -> None:
    off = np.array([3, 37, 20, 29], np.int32)
    a = np.arange(9600).reshape(100, 96).astype(dtype) if dtype == "uint8" else random((100, 96), dtype)
    d = np.full((100, 96), 77, np.uint8) if dtype == "uint8" else poisoned((100, 96), dtype)
    kernel = tilelang.compile(moved(dtype, bulk=target == "sim:sm_90a"), target=target)
    want = _moved(a, off, d)
    kernel(a, off, d)
    assert np.array_equal(d, want, equal_nan=dtype != "uint8")
    assert ("tensormap.cp_fenceproxy" in kernel.get_kernel_source()) == (target == "sim:sm_90a")


def product(stages: int) -> Any:
    """C = A B^T for rows of A and C that `off` names: first row and number of rows."""

    @T.prim_func
    def main(
        A: T.Tensor((200, 128), "float16"), B: T.Tensor((64, 128), "float16"), off: T.Tensor((2,), "int32"),
        C: T.Tensor((200, 64), "float16"),
    ):  # fmt: skip
        with T.Kernel(2, threads=128) as by:
            a, b = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 64), "float16")
            acc = T.alloc_fragment((64, 64), "float32")
            v = T.make_tensor_descriptor(A[off[0], 0], (off[1], 128))
            w = T.make_tensor_descriptor(C[off[0], 0], (off[1], 64))
            T.clear(acc)
            for k in T.Pipelined(2, num_stages=stages):
                T.copy(v[by * 64, k * 64], a)
                T.copy(B[0, k * 64], b)
                T.gemm(a, b, acc, transpose_B=True)
            T.copy(acc, w[by * 64, 0])

    return main


def test_pipelines_load_from_views() -> None:
    """All warps make the maps before they part into roles, also the one that loads."""
    a, b, c = random((200, 128), "float16"), random((64, 128), "float16"), poisoned((200, 64), "float16")
    off = np.array([57, 91], np.int32)
    kernel = compiled(product(2))
    assert "tensormap.replace" in kernel.get_kernel_source() and "tl.specialize" in kernel.ir("scheduled")
    before = c.copy()
    kernel(a, b, off, c)
    want = a[57:148].astype(np.float64) @ b.T.astype(np.float64)
    assert np.linalg.norm(c[57:148] - want) / np.linalg.norm(want) < 2e-3
    assert np.array_equal(c[:57], before[:57], equal_nan=True)
    assert np.array_equal(c[148:], before[148:], equal_nan=True)
    with pytest.raises(SimulationError, match=r"a tensor with sizes \[128, 0\], expected 1 or more"):
        kernel(a, b, np.array([57, 0], np.int32), c)


def refused(case: str) -> Any:
    @T.prim_func
    def main(A: T.Tensor((64, 96), "float32"), B: T.Tensor((64, 98), "float16")):
        with T.Kernel(1, threads=128):
            s = T.alloc_shared((32, 32), "float32")
            T.clear(s)
            if case == "memory":
                T.make_tensor_descriptor(s[0, 0], (16, 32))
            elif case == "rank":
                T.make_tensor_descriptor(A[0, 0], (4, 16, 32))
            elif case == "rows":
                T.make_tensor_descriptor(B[0, 0], (16, 98))
            elif case == "last":
                T.make_tensor_descriptor(A[0, 0], (16, 32), (96, 2))
            elif case == "strides":
                T.make_tensor_descriptor(A[0, 0], (16, 32), (96,))
            elif case == "threads":
                v = T.make_tensor_descriptor(A[T.get_thread_binding(), 0], (16, 32))
                T.copy(s, v[0, 0])
            else:
                if T.get_thread_binding() < 40:
                    v = T.make_tensor_descriptor(A[0, 0], (16, 96))
                    T.tma_copy(s, v[0, 0])

    return main


@pytest.mark.parametrize(
    ("case", "error", "message"),
    [
        ("memory", TileTypeError, "needs a tensor in device memory, got <shared buffer s"),
        ("rank", TileValueError, "3 sizes over a tensor of 2 dimensions"),
        ("rows", TileValueError, "stride 98 of dimension 0 is 196 bytes of float16, expected a multiple of 16"),
        ("last", TileValueError, "the last stride is 2, expected 1"),
        ("strides", TileValueError, "2 sizes but 1 strides"),
        ("threads", UnsupportedError, "a place or size that differs between threads"),
        ("part", UnsupportedError, "where only some threads of a warp are"),
    ],
)
def test_what_is_refused(case: str, error: type, message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        compiled(refused(case))
    assert caught.value.location is not None
