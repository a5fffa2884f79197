"""Attention, backward: the gradients of queries, keys and values from that of the output.

The forward kernel keeps per query the logarithm L of its sum of exponentials, so that weights P = exp2(S - L) are
computed again instead of stored. A block of the backward kernel owns `block_N` keys of one head and walks over the
queries:

    dV += P^T dO;  dP = dO V^T;  dS = P (dP - sum(dO O));  dK += dS^T Q;  dQ += dS K

Scores are computed transposed (keys by queries), so that P^T and dS^T feed the next products from registers; dQ is
summed in device memory by atomic additions, since every block of keys contributes. Shown here: five products in one
pipelined loop, two of them on the results of others, a tile that changes threads through shared memory, vector atomics,
and a causal loop that starts late.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from support import Run, float64

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.ops.online_softmax import LOG2_E, divide_rows, logarithms, softmax_step, start_rows


@tilelang.jit(out_idx=[-2, -1])
def forward(batch, S, heads, D, causal, dtype="float16", block_M=128, block_N=64, num_stages=2, threads=256):
    """O, and L: the logarithm (base 2) of every row's sum of exponentials, [batch, heads, S] float32."""
    scale = D**-0.5 * LOG2_E
    masked = causal or S % block_N != 0
    blocks = -(-S // block_M)

    @T.prim_func
    def attention_forward(
        Q: T.Tensor((batch, S, heads, D), dtype),
        K: T.Tensor((batch, S, heads, D), dtype),
        V: T.Tensor((batch, S, heads, D), dtype),
        O: T.Tensor((batch, S, heads, D), dtype),  # noqa: E741
        L: T.Tensor((batch, heads, S), "float32"),
    ):
        with T.Kernel(blocks, heads, batch, threads=threads) as (x, head, b):
            bx = blocks - 1 - x if causal else x
            Q_shared = T.alloc_shared((block_M, D), dtype)
            K_shared = T.alloc_shared((block_N, D), dtype)
            V_shared = T.alloc_shared((block_N, D), dtype)
            scores = T.alloc_fragment((block_M, block_N), "float32")
            weights = T.alloc_fragment((block_M, block_N), dtype)
            out = T.alloc_fragment((block_M, D), "float32")
            largest = T.alloc_fragment((block_M,), "float32")
            total = T.alloc_fragment((block_M,), "float32")
            T.copy(Q[b, bx * block_M : (bx + 1) * block_M, head, :], Q_shared)
            start_rows(out, largest, total)
            last = T.min(S, (bx + 1) * block_M) if causal else S
            for k in T.Pipelined(T.ceildiv(last, block_N), num_stages=num_stages):
                T.copy(K[b, k * block_N : (k + 1) * block_N, head, :], K_shared)
                T.clear(scores)
                T.gemm(Q_shared, K_shared, scores, transpose_B=True, policy=T.GemmWarpPolicy.FullRow)
                if masked:
                    for i, j in T.Parallel(block_M, block_N):
                        key = k * block_N + j
                        seen = key <= bx * block_M + i if causal else key < S
                        scores[i, j] = T.if_then_else(seen, scores[i, j], -T.infinity("float32"))
                softmax_step(scores, weights, out, largest, total, scale)
                T.copy(V[b, k * block_N : (k + 1) * block_N, head, :], V_shared)
                T.gemm(weights, V_shared, out, policy=T.GemmWarpPolicy.FullRow)
            divide_rows(out, total)
            logarithms(largest, total, scale)
            T.copy(out, O[b, bx * block_M : (bx + 1) * block_M, head, :])
            T.copy(largest, L[b, head, bx * block_M : (bx + 1) * block_M])

    return attention_forward


@tilelang.jit(out_idx=[-2, -1])
def row_products(batch, S, heads, D, dtype="float16", block=64):
    """sum(dO O) of every row, [batch, heads, S] float32, and zeros for the sums of dQ."""

    @T.prim_func
    def attention_row_products(
        O: T.Tensor((batch, S, heads, D), dtype),  # noqa: E741
        dO: T.Tensor((batch, S, heads, D), dtype),
        Delta: T.Tensor((batch, heads, S), "float32"),
        Sums: T.Tensor((batch, S, heads, D), "float32"),
    ):
        with T.Kernel(T.ceildiv(S, block), heads, batch, threads=128) as (bx, head, b):
            out, grad = T.alloc_fragment((block, D), dtype), T.alloc_fragment((block, D), dtype)
            product = T.alloc_fragment((block, D), "float32")
            delta = T.alloc_fragment((block,), "float32")
            T.copy(O[b, bx * block : (bx + 1) * block, head, :], out)
            T.copy(dO[b, bx * block : (bx + 1) * block, head, :], grad)
            for i, j in T.Parallel(block, D):
                product[i, j] = T.cast(out[i, j], "float32") * T.cast(grad[i, j], "float32")
            T.reduce_sum(product, delta, dim=1)
            T.copy(delta, Delta[b, head, bx * block : (bx + 1) * block])
            T.clear(product)
            T.copy(product, Sums[b, bx * block : (bx + 1) * block, head, :])

    return attention_row_products


@tilelang.jit(out_idx=[-2, -1])
def backward(batch, S, heads, D, causal, dtype="float16", block_M=64, block_N=128, num_stages=2, threads=256):
    """dK and dV; adds to dQ, which is float32, zero before and without the scale of the scores."""
    scale = D**-0.5 * LOG2_E
    blocks = -(-S // block_N)

    @T.prim_func
    def attention_backward(
        Q: T.Tensor((batch, S, heads, D), dtype),
        K: T.Tensor((batch, S, heads, D), dtype),
        V: T.Tensor((batch, S, heads, D), dtype),
        dO: T.Tensor((batch, S, heads, D), dtype),
        L: T.Tensor((batch, heads, S), "float32"),
        Delta: T.Tensor((batch, heads, S), "float32"),
        dQ: T.Tensor((batch, S, heads, D), "float32"),
        dK: T.Tensor((batch, S, heads, D), dtype),
        dV: T.Tensor((batch, S, heads, D), dtype),
    ):
        with T.Kernel(blocks, heads, batch, threads=threads) as (bx, head, b):
            K_shared = T.alloc_shared((block_N, D), dtype)
            V_shared = T.alloc_shared((block_N, D), dtype)
            Q_shared = T.alloc_shared((block_M, D), dtype)
            dO_shared = T.alloc_shared((block_M, D), dtype)
            L_shared = T.alloc_shared((block_M,), "float32")
            Delta_shared = T.alloc_shared((block_M,), "float32")
            dS_shared = T.alloc_shared((block_N, block_M), dtype)
            scores = T.alloc_fragment((block_N, block_M), "float32")
            slopes = T.alloc_fragment((block_N, block_M), "float32")
            weights = T.alloc_fragment((block_N, block_M), dtype)
            dS = T.alloc_fragment((block_N, block_M), dtype)
            dk = T.alloc_fragment((block_N, D), "float32")
            dv = T.alloc_fragment((block_N, D), "float32")
            dq = T.alloc_fragment((block_M, D), "float32")
            T.copy(K[b, bx * block_N : (bx + 1) * block_N, head, :], K_shared)
            T.copy(V[b, bx * block_N : (bx + 1) * block_N, head, :], V_shared)
            T.clear(dk)
            T.clear(dv)
            first = bx * block_N // block_M if causal else 0
            for k in T.Pipelined(first, T.ceildiv(S, block_M), num_stages=num_stages):
                T.copy(Q[b, k * block_M : (k + 1) * block_M, head, :], Q_shared)
                T.copy(L[b, head, k * block_M : (k + 1) * block_M], L_shared)
                T.clear(scores)
                T.gemm(K_shared, Q_shared, scores, transpose_B=True, policy=T.GemmWarpPolicy.FullRow)
                T.copy(dO[b, k * block_M : (k + 1) * block_M, head, :], dO_shared)
                T.copy(Delta[b, head, k * block_M : (k + 1) * block_M], Delta_shared)
                T.clear(slopes)
                T.gemm(V_shared, dO_shared, slopes, transpose_B=True, policy=T.GemmWarpPolicy.FullRow)
                for i, j in T.Parallel(block_N, block_M):
                    scores[i, j] = T.exp2(scores[i, j] * scale - L_shared[j])
                if causal:
                    for i, j in T.Parallel(block_N, block_M):
                        scores[i, j] = T.if_then_else(bx * block_N + i <= k * block_M + j, scores[i, j], 0)
                T.copy(scores, weights)
                T.gemm(weights, dO_shared, dv, policy=T.GemmWarpPolicy.FullRow)
                for i, j in T.Parallel(block_N, block_M):
                    slopes[i, j] = scores[i, j] * (slopes[i, j] - Delta_shared[j])
                T.copy(slopes, dS)
                T.copy(dS, dS_shared)
                T.clear(dq)
                T.gemm(dS_shared, K_shared, dq, transpose_A=True)
                T.gemm(dS, Q_shared, dk, policy=T.GemmWarpPolicy.FullRow)  # runs while dq is added
                for i, j in T.Parallel(block_M, D):
                    T.atomic_add(dQ[b, k * block_M + i, head, j], dq[i, j])
            for i, j in T.Parallel(block_N, D):
                dk[i, j] *= D**-0.5
            T.copy(dk, dK[b, bx * block_N : (bx + 1) * block_N, head, :])
            T.copy(dv, dV[b, bx * block_N : (bx + 1) * block_N, head, :])

    return attention_backward


@tilelang.jit(out_idx=[-1])
def scaled(batch, S, heads, D, dtype="float16", block=64):
    """The sums of dQ with the scale of the scores, in the type of the gradients."""

    @T.prim_func
    def attention_scale_dq(
        Sums: T.Tensor((batch, S, heads, D), "float32"), dQ: T.Tensor((batch, S, heads, D), dtype)
    ):
        with T.Kernel(T.ceildiv(S, block), heads, batch, threads=128) as (bx, head, b):
            sums = T.alloc_fragment((block, D), "float32")
            T.copy(Sums[b, bx * block : (bx + 1) * block, head, :], sums)
            for i, j in T.Parallel(block, D):
                sums[i, j] *= D**-0.5
            T.copy(sums, dQ[b, bx * block : (bx + 1) * block, head, :])

    return attention_scale_dq


def reference(q: np.ndarray, k: np.ndarray, v: np.ndarray, do: np.ndarray, causal: bool) -> list[np.ndarray]:
    """O, dQ, dK and dV of one head; all inputs are (S, D)."""
    scale = q.shape[1] ** -0.5
    scores = q @ k.T * scale
    if causal:
        scores = np.where(np.tril(np.ones_like(scores)) > 0, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    out = weights @ v
    slopes = weights * (do @ v.T - (do * out).sum(axis=1, keepdims=True))
    return [out, slopes @ k * scale, slopes.T @ q * scale, weights.T @ do]


def attend(run: Run, batch: int, S: int, heads: int, D: int, causal: bool, ahead: Any, back: Any) -> None:
    shape = (batch, S, heads, D)
    first = run.kernel(forward, *shape, causal, run.dtype, *ahead)
    kernels = [
        run.kernel(row_products, *shape, run.dtype), run.kernel(backward, *shape, causal, run.dtype, *back),
        run.kernel(scaled, *shape, run.dtype),
    ]  # fmt: skip
    if run.compile_only:
        return
    products, main_kernel, last = kernels
    q, k, v, do = (run.random(shape, run.dtype) for _ in range(4))
    out, logarithms = first(q, k, v)

    def gradients() -> list[Any]:
        deltas, sums = products(out, do)
        dk, dv = main_kernel(q, k, v, do, logarithms, deltas, sums)
        return [last(sums), dk, dv]

    name = f"{'causal' if causal else 'full'} attention B={batch} S={S} H={heads} D={D} {run.dtype}"
    got = [out, *gradients()]
    want = reference(*(float64(x[-1, :, -1]) for x in (q, k, v, do)), causal)
    for what, ours, exact in zip(("O", "dQ", "dK", "dV"), got, want, strict=True):
        run.check(f"{what} of {name}", ours[-1, :, -1], exact)
    run.time(gradients, flops=10 * batch * heads * S * S * D * (0.5 if causal else 1))


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    small = [(1, 128, 2, 64, True), (1, 192, 1, 64, False)]
    real = [(4, 4096, 16, 128, False), (4, 4096, 16, 128, True)]
    for case in run.pick(small, real):
        attend(run, *case, *run.pick(((64, 64, 2, 128), (64, 64, 2, 128)), ((128, 64, 2, 256), (64, 128, 2, 256))))
    return run


if __name__ == "__main__":
    main()
