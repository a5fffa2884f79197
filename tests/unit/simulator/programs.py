"""T programs of the tests of whole lowered kernels, and how to run them with changes."""

from __future__ import annotations

from typing import Any

import numpy as np

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs


def gemm(
    size: tuple[int, int, int], tile: tuple[int, int, int] = (64, 64, 32), stages: int = 3, threads: int = 128
) -> Any:
    """C (f32) = A @ B (f16), tiles through a pipeline."""
    (m, n, k), (bm, bn, bk) = size, tile

    @T.prim_func
    def main(A: T.Tensor((m, k), "float16"), B: T.Tensor((k, n), "float16"), C: T.Tensor((m, n), "float32")):
        with T.Kernel(T.ceildiv(n, bn), T.ceildiv(m, bm), threads=threads) as (bx, by):
            a = T.alloc_shared((bm, bk), "float16")
            b = T.alloc_shared((bk, bn), "float16")
            c = T.alloc_fragment((bm, bn), "float32")
            T.clear(c)
            for ko in T.Pipelined(T.ceildiv(k, bk), num_stages=stages):
                T.copy(A[by * bm, ko * bk], a)
                T.copy(B[ko * bk, bx * bn], b)
                T.gemm(a, b, c)
            T.copy(c, C[by * bm, bx * bn])

    return main


def tiles(size: tuple[int, int, int], block: int = 64, stages: int = 2) -> Any:
    """C (f32) = A @ B (f16), by one CTA: its producer runs ahead into the next tile while this one is stored."""
    m, n, k = size

    @T.prim_func
    def main(A: T.Tensor((m, k), "float16"), B: T.Tensor((k, n), "float16"), C: T.Tensor((m, n), "float32")):
        with T.Kernel(1, threads=128) as first:
            a, b = T.alloc_shared((block, block), "float16"), T.alloc_shared((block, block), "float16")
            c = T.alloc_fragment((block, block), "float32")
            for row, column in T.Persistent([m // block, n // block], 1, first):
                T.clear(c)
                for ko in T.Pipelined(k // block, num_stages=stages):
                    T.copy(A[row * block, ko * block], a)
                    T.copy(B[ko * block, column * block], b)
                    T.gemm(a, b, c)
                T.copy(c, C[row * block, column * block])

    return main


def triangular(size: int, width: int = 64, block: int = 64) -> Any:
    """C (f32) = A @ B (f16), A lower block triangular: CTA i takes i + 1 steps."""

    @T.prim_func
    def main(
        A: T.Tensor((size, size), "float16"),
        B: T.Tensor((size, width), "float16"),
        C: T.Tensor((size, width), "float32"),
    ):
        with T.Kernel(T.ceildiv(size, block), threads=128) as bx:
            a = T.alloc_shared((block, block), "float16")
            b = T.alloc_shared((block, width), "float16")
            c = T.alloc_fragment((block, width), "float32")
            T.clear(c)
            for i in T.Pipelined(bx + 1, num_stages=2):
                T.copy(A[bx * block, i * block], a)
                T.copy(B[i * block, 0], b)
                T.gemm(a, b, c)
            T.copy(c, C[bx * block, 0])

    return main


def attention(
    heads: int, seq: int, dim: int, tile: tuple[int, int] = (64, 64), threads: int = 128, causal: bool = False
) -> Any:
    """Flash attention over (heads, seq, dim) of f16."""
    bm, bn = tile
    scale = (1.0 / dim) ** 0.5 * 1.44269504
    shape = (heads, seq, dim)

    @T.prim_func
    def main(
        Q: T.Tensor(shape, "float16"),
        K: T.Tensor(shape, "float16"),
        V: T.Tensor(shape, "float16"),
        O: T.Tensor(shape, "float16"),
    ):
        with T.Kernel(T.ceildiv(seq, bm), heads, threads=threads) as (bx, by):
            q = T.alloc_shared((bm, dim), "float16")
            k = T.alloc_shared((bn, dim), "float16")
            v = T.alloc_shared((bn, dim), "float16")
            s = T.alloc_fragment((bm, bn), "float32")
            p = T.alloc_fragment((bm, bn), "float16")
            o = T.alloc_fragment((bm, dim), "float32")
            top = T.alloc_fragment((bm,), "float32")
            before = T.alloc_fragment((bm,), "float32")
            factor = T.alloc_fragment((bm,), "float32")
            part = T.alloc_fragment((bm,), "float32")
            total = T.alloc_fragment((bm,), "float32")
            T.copy(Q[by, bx * bm, 0], q)
            T.fill(o, 0)
            T.fill(total, 0)
            T.fill(top, -T.infinity("float32"))
            trips = T.ceildiv((bx + 1) * bm, bn) if causal else T.ceildiv(seq, bn)
            for t in T.Pipelined(trips, num_stages=2):
                T.copy(K[by, t * bn, 0], k)
                if causal:
                    for i, j in T.Parallel(bm, bn):
                        s[i, j] = T.if_then_else(bx * bm + i >= t * bn + j, 0, -T.infinity("float32"))
                else:
                    T.clear(s)
                T.gemm(q, k, s, transpose_B=True, policy=T.GemmWarpPolicy.FullRow)
                T.copy(top, before)
                T.reduce_max(s, top, dim=1, clear=False)
                for i in T.Parallel(bm):
                    factor[i] = T.exp2(before[i] * scale - top[i] * scale)
                for i, j in T.Parallel(bm, bn):
                    s[i, j] = T.exp2(s[i, j] * scale - top[i] * scale)
                T.reduce_sum(s, part, dim=1)
                for i in T.Parallel(bm):
                    total[i] = total[i] * factor[i] + part[i]
                T.copy(s, p)
                for i, j in T.Parallel(bm, dim):
                    o[i, j] *= factor[i]
                T.copy(V[by, t * bn, 0], v)
                T.gemm(p, v, o, policy=T.GemmWarpPolicy.FullRow)
            for i, j in T.Parallel(bm, dim):
                o[i, j] /= total[i]
            T.copy(o, O[by, bx * bm, 0])

    return main


def attention_reference(q: np.ndarray, k: np.ndarray, v: np.ndarray, causal: bool) -> np.ndarray:
    """In float64."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    score = q @ k.swapaxes(1, 2) / np.sqrt(q.shape[2])
    if causal:
        score = np.where(np.tril(np.ones(score.shape[1:], bool)), score, -np.inf)
    weight = np.exp(score - score.max(2, keepdims=True))
    return weight / weight.sum(2, keepdims=True) @ v


def compiled(function: Any, target: str) -> Any:
    """The JITKernel of a program for a simulated target."""
    with knobs.overrides({"TILELANG_DISABLE_CACHE": True}):
        return tilelang.compile(function, target=target)
