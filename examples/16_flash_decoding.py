"""Attention of one new query per sequence over a cache of keys and values: flash decoding.

A single query offers no parallelism along queries, so the keys are split: every block attends to one part of the keys
of one sequence with all query heads that share a key head, and stores its normalised output with the logarithm L of its
sum of exponentials; a second kernel weighs the parts with exp2(L). The cache is read once, at the speed of memory.
Shown here: run-time lengths, parts that may be empty, a tile of queries that is only partly filled, two kernels in one
call.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from online_softmax import softmax_step, start_rows
from support import Run, float64

import tilelang_mlir as tilelang
import tilelang_mlir.language as T

LOG2_E = 1.4426950408889634
ROWS = 64  # of a tile of queries: what a warpgroup product takes


@tilelang.jit(out_idx=[-1])
def decode(batch, S, heads, heads_kv, D, parts, dtype="float16", block_N=64, num_stages=3):
    scale = D**-0.5 * LOG2_E
    shared_by = heads // heads_kv
    assert shared_by <= ROWS, "query heads that share a key head fit one tile"

    @T.prim_func
    def flash_decoding(
        Q: T.Tensor((batch, heads, D), dtype),
        K: T.Tensor((batch, S, heads_kv, D), dtype),
        V: T.Tensor((batch, S, heads_kv, D), dtype),
        Lengths: T.Tensor((batch,), "int32"),
        Parts: T.Tensor((batch, heads, parts, D), "float32"),
        L: T.Tensor((batch, heads, parts), "float32"),
        O: T.Tensor((batch, heads, D), dtype),  # noqa: E741
    ):
        with T.Kernel(parts, heads_kv, batch, threads=128) as (part, head_kv, b):
            Q_shared = T.alloc_shared((ROWS, D), dtype)
            K_shared = T.alloc_shared((block_N, D), dtype)
            V_shared = T.alloc_shared((block_N, D), dtype)
            scores = T.alloc_fragment((ROWS, block_N), "float32")
            weights = T.alloc_fragment((ROWS, block_N), dtype)
            out = T.alloc_fragment((ROWS, D), "float32")
            largest = T.alloc_fragment((ROWS,), "float32")
            total = T.alloc_fragment((ROWS,), "float32")
            inverse = T.alloc_fragment((ROWS,), "float32")
            length = Lengths[b]
            steps = T.ceildiv(T.ceildiv(length, block_N), parts)
            first = part * steps
            count = T.max(T.min(steps, T.ceildiv(length, block_N) - first), 0)
            # Rows behind the heads of this group are computed too, and not stored.
            T.copy(Q[b, head_kv * shared_by : head_kv * shared_by + ROWS, :], Q_shared)
            start_rows(out, largest, total)
            for k in T.Pipelined(count, num_stages=num_stages):
                key = (first + k) * block_N
                T.copy(K[b, key : key + block_N, head_kv, :], K_shared)
                T.clear(scores)
                T.gemm(Q_shared, K_shared, scores, transpose_B=True, policy=T.GemmWarpPolicy.FullRow)
                for i, j in T.Parallel(ROWS, block_N):
                    scores[i, j] = T.if_then_else(key + j < length, scores[i, j], -T.infinity("float32"))
                softmax_step(scores, weights, out, largest, total, scale)
                T.copy(V[b, key : key + block_N, head_kv, :], V_shared)
                T.gemm(weights, V_shared, out, policy=T.GemmWarpPolicy.FullRow)
            for i in T.Parallel(ROWS):
                inverse[i] = T.if_then_else(total[i] > 0, 1 / total[i], 0)  # an empty part has the weight 0
            for i in T.Parallel(ROWS):
                total[i] = T.log2(total[i]) + largest[i] * scale
            for i, j in T.Parallel(ROWS, D):
                out[i, j] *= inverse[i]
            for i, j in T.Parallel(ROWS, D):
                if i < shared_by:
                    Parts[b, head_kv * shared_by + i, part, j] = out[i, j]
            for i in T.Parallel(ROWS):
                if i < shared_by:
                    L[b, head_kv * shared_by + i, part] = total[i]
        with T.Kernel(heads, batch, threads=128) as (head, b):
            values = T.alloc_fragment((parts, D), "float32")
            shares = T.alloc_fragment((parts,), "float32")
            top = T.alloc_fragment((1,), "float32")
            share = T.alloc_fragment((1,), "float32")
            mean = T.alloc_fragment((D,), "float32")
            T.copy(L[b, head, :], shares)
            T.reduce_max(shares, top, dim=0)
            for i in T.Parallel(parts):
                shares[i] = T.exp2(shares[i] - top[0])
            T.reduce_sum(shares, share, dim=0)
            T.copy(Parts[b, head, :, :], values)
            for i, j in T.Parallel(parts, D):
                values[i, j] *= shares[i] / share[0]
            T.reduce_sum(values, mean, dim=0)
            T.copy(mean, O[b, head, :])

    return flash_decoding


def reference(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Attention of the query heads of one group; q is (heads, D), k and v are (keys, D)."""
    scores = q @ k.T * q.shape[1] ** -0.5
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ v


def attend(run: Run, lengths: Sequence[int], S: int, heads: int, heads_kv: int, D: int, parts: int) -> None:
    batch = len(lengths)
    kernel = run.kernel(decode, batch, S, heads, heads_kv, D, parts, run.dtype)
    if run.compile_only:
        return
    q = run.random((batch, heads, D), run.dtype)
    k, v = (run.random((batch, S, heads_kv, D), run.dtype) for _ in range(2))
    where = run.on_device(np.asarray(lengths, np.int32))
    pieces, logs = run.zeros((batch, heads, parts, D)), run.zeros((batch, heads, parts))
    out = kernel(q, k, v, where, pieces, logs)
    group = heads // heads_kv
    got = np.stack([float64(out[b, -group:]) for b in range(batch)])
    want = [
        reference(float64(q[b, -group:]), float64(k[b, :length, -1]), float64(v[b, :length, -1]))
        for b, length in enumerate(lengths)
    ]
    name = f"decoding B={batch} H={heads}/{heads_kv} D={D}, up to {max(lengths)} keys, {run.dtype}"
    run.check(name, got, np.stack(want))
    run.time(lambda: kernel(q, k, v, where, pieces, logs), bytes_moved=sum(lengths) * heads_kv * D * 4)


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    small = [((130, 1, 257), 320, 4, 2, 64, 3), ((64,), 64, 2, 2, 64, 2)]
    real = [((8192,) * 16, 8192, 64, 8, 128, 4), ((32768, 20000, 1000, 31), 32768, 32, 8, 128, 16)]
    for case in run.pick(small, real):
        attend(run, *case)
    return run


if __name__ == "__main__":
    main()
