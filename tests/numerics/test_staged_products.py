"""Chained products of fragments through tensor memory on sm_100a in the simulator, against float64."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hopper_programs import NUMPY, check, f64, poisoned, random
from target_matrix import example
from tensor_programs import compiled, form, instructions

import tilelang_mlir.language as T
from tilelang_mlir import knobs


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


@dataclass(frozen=True)
class Chain:
    """O = O / 2 + W V over blocks of keys, W = S / (1 + row's largest |S|) of S = Q K^T; `bias` adds S's first column
    of the block to all of O, which no product in tensor memory can leave in place."""

    rows: int = 128
    keys: int = 77
    block: int = 64
    depth: int = 64
    width: int = 64
    threads: int = 128
    stages: int = 2
    dtype: str = "float16"
    bias: bool = False
    early: bool = False  # V's tile is loaded in front of the first product

    def program(self) -> Any:
        rows, keys, block, depth, width, dtype = (
            self.rows, self.keys, self.block, self.depth, self.width, self.dtype,
        )  # fmt: skip
        threads, stages, bias, early, step = self.threads, self.stages, self.bias, self.early, 16

        @T.prim_func
        def main(
            Q: T.Tensor((rows, depth), dtype), K: T.Tensor((keys, depth), dtype), V: T.Tensor((keys, width), dtype),
            O: T.Tensor((rows, width), "float32"),
        ):  # fmt: skip
            with T.Kernel(1, threads=threads) as _:
                q, k = T.alloc_shared((rows, depth), dtype), T.alloc_shared((block, depth), dtype)
                v = T.alloc_shared((block, width), dtype)
                s, o = T.alloc_fragment((rows, block), "float32"), T.alloc_fragment((rows, width), "float32")
                w, top = T.alloc_fragment((rows, block), dtype), T.alloc_fragment((rows,), "float32")
                T.copy(Q, q)
                T.clear(o)
                for i in T.Pipelined(T.ceildiv(keys, block), num_stages=stages):
                    T.copy(K[i * block, 0], k)
                    if early:
                        T.copy(V[i * block, 0], v)
                    T.clear(s)
                    T.gemm(q, k, s, transpose_B=True, policy=T.GemmWarpPolicy.FullRow)
                    T.reduce_absmax(s, top, dim=1)
                    for a, b in T.Parallel(rows, block):
                        s[a, b] = s[a, b] / (1 + top[a])
                    T.copy(s, w)
                    for a, b in T.Parallel(rows, width):
                        o[a, b] = o[a, b] * 0.5 + (b // step if bias else 0)
                    if not early:
                        T.copy(V[i * block, 0], v)
                    T.gemm(w, v, o, policy=T.GemmWarpPolicy.FullRow)
                T.copy(o, O)

        return main

    def expected(self, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        out = np.zeros((self.rows, self.width))
        for first in range(0, self.keys, self.block):
            s = q @ k[first : first + self.block].T
            s = (s / (1 + np.abs(s).max(axis=1, keepdims=True))).astype(NUMPY[self.dtype]).astype(np.float64)
            out = out * 0.5 + (np.arange(self.width) // 16 if self.bias else 0) + s @ v[first : first + self.block]
        return out


CASES = [
    Chain(),
    Chain(threads=256, keys=130, width=32),
    Chain(rows=64, depth=128),
    Chain(block=80, dtype="bfloat16", threads=256, keys=161),
    Chain(bias=True, stages=1),
    Chain(early=True, stages=1, keys=300),
    Chain(early=True, stages=0, keys=300, threads=256),
    Chain(early=True, stages=3, keys=300),
    Chain(bias=True, threads=256, width=80, stages=3),
    Chain(rows=64, bias=True, threads=256, width=48, stages=1),
    Chain(dtype="float8_e4m3", width=128),
    Chain(dtype="float8_e4m3", threads=256, width=128, keys=128),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_chains(case: Chain) -> None:
    kernel = compiled(case.program())
    q, k, v = (
        random(shape, case.dtype, seed)
        for seed, shape in enumerate(((case.rows, case.depth), (case.keys, case.depth), (case.keys, case.width)))
    )
    o = poisoned((case.rows, case.width), "float32")
    kernel(q, k, v, o)
    # A score between two values of the narrow type may round either way.
    tolerance = {"float16": 1e-4, "bfloat16": 1e-3}.get(case.dtype, 1e-2)
    check(o, case.expected(f64(q), f64(k), f64(v)), "float32", tolerance)
    found = form(kernel)
    assert "tcgen05" in found and "mma" not in found
    assert ("bulk load" in found) == (case.stages > 1)


@pytest.mark.parametrize("case", [Chain(keys=300), Chain(keys=300, threads=256)], ids=str)
def test_tiles_that_are_loaded_late(case: Chain) -> None:
    """Without copies ahead, and with those of the threads, a tile is overwritten behind the wait for its product."""
    inputs = [random((128, 64), seed=1), random((300, 64), seed=2), random((300, 64), seed=3)]
    want = case.expected(*map(f64, inputs))
    program = case.program()
    forms = {
        "bulk load": compiled(program, enable_async_copy=False), "cp.async": compiled(program, disable_tma_lower=True),
    }  # fmt: skip
    for loads, kernel in forms.items():
        o = poisoned((128, 64), "float32")
        kernel(*inputs, o)
        check(o, want, "float32", 1e-4)
        assert form(kernel) == {"tcgen05", loads}


def test_machine_code() -> None:
    """Attention of the example: products of tensor memory alone, those of scores ahead of the loop, too; no spills."""
    program = example("flash_attention").attention.get_tir(1, 4096, 8, 2, 128, True, "float16", 128, 64, 2, 256)
    found = instructions(program)
    assert found["UTCHMMA"] == 20 and found["UTMALDG"] and found["LDTM"] and found["STTM"]
    assert not found["HMMA"] + found["LDL"] + found["STL"]


def test_remark() -> None:
    """Why a kernel stays with mma.sync is told at the product that is the reason."""
    (remark,) = compiled(Chain(rows=96, threads=128).program()).remarks
    text = "run on mma.sync, not through tensor memory: an accumulator of 96 rows, which must have 64 or 128"
    assert text in str(remark)
    assert "T.gemm(q, k, s" in str(remark)
    big = Chain(rows=128, width=256, block=256, keys=300, threads=256, stages=1)
    assert any("of tensor memory, of 512" in str(r) for r in compiled(big.program()).remarks)
