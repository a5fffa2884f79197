"""Chained products on sm_90a in the simulator (attention): the second product under the computation between the two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hopper_programs import HOPPER, NUMPY, check, compiled, f64, form, poisoned, random

import tilelang_mlir.language as T
from tilelang_mlir import knobs


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def attention(
    shape: tuple[int, int, int, int], block_M: int, block_N: int, threads: int, stages: int, causal: bool, dtype: str
) -> Any:
    """Online softmax over [batch, rows, heads, dim]."""
    batch, rows, heads, dim = shape
    scale = dim**-0.5 * 1.44269504

    @T.prim_func
    def main(
        Q: T.Tensor(shape, dtype), K: T.Tensor(shape, dtype), V: T.Tensor(shape, dtype), Out: T.Tensor(shape, dtype)
    ):
        with T.Kernel(T.ceildiv(rows, block_M), heads, batch, threads=threads) as (bx, by, bz):
            Q_shared = T.alloc_shared((block_M, dim), dtype)
            K_shared, V_shared = T.alloc_shared((block_N, dim), dtype), T.alloc_shared((block_N, dim), dtype)
            s, p = T.alloc_fragment((block_M, block_N), "float32"), T.alloc_fragment((block_M, block_N), dtype)
            out = T.alloc_fragment((block_M, dim), "float32")
            top, before = T.alloc_fragment((block_M,), "float32"), T.alloc_fragment((block_M,), "float32")
            factor, total = T.alloc_fragment((block_M,), "float32"), T.alloc_fragment((block_M,), "float32")
            part = T.alloc_fragment((block_M,), "float32")
            T.copy(Q[bz, bx * block_M : (bx + 1) * block_M, by, :], Q_shared)
            T.fill(out, 0)
            T.fill(total, 0)
            T.fill(top, -T.infinity("float32"))
            last = T.ceildiv(T.min(rows, (bx + 1) * block_M) if causal else rows, block_N)
            for k in T.Pipelined(last, num_stages=stages):
                T.copy(K[bz, k * block_N : (k + 1) * block_N, by, :], K_shared)
                for i, j in T.Parallel(block_M, block_N):
                    row, column = bx * block_M + i, k * block_N + j
                    visible = row >= column if causal else column < rows
                    s[i, j] = T.if_then_else(visible, 0, -T.infinity("float32"))
                T.gemm(Q_shared, K_shared, s, transpose_B=True, policy=T.GemmWarpPolicy.FullRow)
                T.copy(top, before)
                T.reduce_max(s, top, dim=1, clear=False)
                for i in T.Parallel(block_M):
                    factor[i] = T.exp2((before[i] - top[i]) * scale)
                for i, j in T.Parallel(block_M, block_N):
                    s[i, j] = T.exp2((s[i, j] - top[i]) * scale)
                T.reduce_sum(s, part, dim=1)
                for i in T.Parallel(block_M):
                    total[i] = total[i] * factor[i] + part[i]
                T.copy(s, p)
                for i, j in T.Parallel(block_M, dim):
                    out[i, j] *= factor[i]
                T.copy(V[bz, k * block_N : (k + 1) * block_N, by, :], V_shared)
                T.gemm(p, V_shared, out, policy=T.GemmWarpPolicy.FullRow)
            for i, j in T.Parallel(block_M, dim):
                out[i, j] /= total[i]
            T.copy(out, Out[bz, bx * block_M : (bx + 1) * block_M, by, :])

    return main


def softmax_reference(q: np.ndarray, k: np.ndarray, v: np.ndarray, causal: bool) -> np.ndarray:
    q, k, v = (f64(x).transpose(0, 2, 1, 3) for x in (q, k, v))
    s = q @ k.transpose(0, 1, 3, 2) / np.sqrt(q.shape[-1])
    if causal:
        s = np.where(np.tril(np.ones(s.shape[-2:])) > 0, s, -np.inf)
    p = np.exp(s - s.max(-1, keepdims=True))
    return (p / p.sum(-1, keepdims=True) @ v).transpose(0, 2, 1, 3)


def check_attention(
    shape: tuple[int, int, int, int], *choices: Any, dtype: str = "float16", **configs: bool
) -> set[str]:
    kernel = compiled(attention(shape, *choices, dtype), **configs)
    q, k, v = (random(shape, dtype, seed) for seed in (1, 2, 3))
    out = poisoned(shape, dtype)
    kernel(q, k, v, out)
    check(out, softmax_reference(q, k, v, choices[-1]), dtype)
    return form(kernel)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    ("shape", "choices", "expected"),
    [
        ((1, 192, 1, 64), (64, 64, 128, 2), HOPPER | {"overlap"}),
        ((1, 256, 1, 64), (64, 64, 128, 1), HOPPER),  # nothing can be under way in a ring of one
        ((2, 100, 2, 64), (64, 32, 128, 3), HOPPER | {"overlap"}),
        ((1, 200, 1, 64), (128, 80, 256, 2), HOPPER | {"overlap"}),
        ((1, 192, 1, 128), (64, 64, 256, 2), None),  # two warpgroups side by side: rows of P meet
        ((1, 128, 2, 32), (64, 64, 128, 2), {"wgmma", "mma", "bulk load"}),  # V's rows of 64 bytes
    ],
    ids=["one warpgroup", "one stage", "three stages", "two warpgroups", "side by side", "narrow"],
)
def test_attention(
    shape: tuple[int, int, int, int], choices: tuple[int, ...], expected: set[str] | None, causal: bool
) -> None:
    found = check_attention(shape, *choices, causal)
    assert expected is None or found == expected


@pytest.mark.parametrize("configs", [{"disable_warp_specialized": True}, {"disable_wgmma": True}], ids=str)
def test_attention_within_the_warps(configs: dict[str, bool]) -> None:
    assert "overlap" not in check_attention((1, 136, 1, 64), 64, 64, 128, 2, False, dtype="bfloat16", **configs)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_attention_in_any_order_of_landing(seed: int) -> None:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True, "TILELANG_SIM_SEED": seed}):
        assert "overlap" in check_attention((1, 320, 1, 64), 64, 64, 128, 3, False)


def chained(variant: str) -> Any:
    """O = sum over tiles of (Q K^T) V, with something that must not run under the second product."""
    rows, dim, half = 256, 64, np.float32(0.5)

    @T.prim_func
    def main(
        Q: T.Tensor((64, dim), "float16"), K: T.Tensor((rows, dim), "float16"), V: T.Tensor((rows, dim), "float16"),
        Out: T.Tensor((64, dim), "float32"),
    ):  # fmt: skip
        with T.Kernel(1, threads=128):
            Q_shared, K_shared = T.alloc_shared((64, dim), "float16"), T.alloc_shared((64, dim), "float16")
            V_shared, W_shared = T.alloc_shared((64, dim), "float16"), T.alloc_shared((64, dim), "float16")
            s, p = T.alloc_fragment((64, 64), "float32"), T.alloc_fragment((64, 64), "float16")
            out = T.alloc_fragment((64, dim), "float32")
            T.copy(Q, Q_shared)
            T.clear(out)
            for k in T.Pipelined(rows // 64, num_stages=2):
                T.copy(K[k * 64, 0], K_shared)
                T.copy(V[k * 64, 0], V_shared)
                if variant == "sums scaled first":
                    for i, j in T.Parallel(64, dim):
                        out[i, j] *= half
                T.clear(s)
                T.gemm(Q_shared, K_shared, s, transpose_B=True)
                if variant == "first tile read again":
                    for i, j in T.Parallel(64, 64):
                        s[i, j] += K_shared[j, 0]
                if variant == "second tile read before":
                    for i, j in T.Parallel(64, 64):
                        s[i, j] += V_shared[j, 0]
                T.copy(s, p)
                if variant == "second tile converted":
                    for i, j in T.Parallel(64, dim):
                        W_shared[i, j] = V_shared[i, j] * T.float16(2)
                    T.gemm(p, W_shared, out)
                else:
                    T.gemm(p, V_shared, out)
            T.copy(out, Out)

    return main


def chained_reference(variant: str, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    out = np.zeros((64, 64))
    for start in range(0, len(k), 64):
        keys, values = k[start : start + 64], v[start : start + 64]
        s = q @ keys.T
        if variant == "sums scaled first":
            out *= 0.5
        if variant == "first tile read again":
            s = s + keys[:, 0]
        if variant == "second tile read before":
            s = s + values[:, 0]
        out += s @ (values * 2 if variant == "second tile converted" else values)
    return out


@pytest.mark.parametrize(
    "variant",
    [
        "",
        "second tile converted",
        "sums scaled first",
        "first tile read again",
        "second tile read before",
    ],
)
def test_what_must_not_run_under_the_second_product(variant: str) -> None:
    q, k, v = ((random(shape, "float32", 1) / 4).astype(NUMPY["float16"]) for shape in ((64, 64), (256, 64), (256, 64)))
    kernel, out = compiled(chained(variant)), poisoned((64, 64), "float32")
    kernel(q, k, v, out)
    check(out, chained_reference(variant, f64(q), f64(k), f64(v)), "float16")  # P is rounded to float16
    assert ("overlap" in form(kernel)) == (not variant)
