"""Decoding with multi-head latent attention over a paged cache, as in DeepSeek-V2 and -V3.

All query heads share one latent vector per key, of `D` numbers for content and `D_rope` for position: the scores are
q k + q_rope k_rope, and the latent is the value as well. Keys lie in pages of `block_N`; `Pages` says which page holds
the i-th block of a sequence. A block of the kernel works on 64 heads of one sequence and on one part of its keys, as in
example 16. Shown here: a tile that feeds two products in different orders, products whose columns two warpgroups share,
and copies whose place is read from a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from support import Run, float64

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.ops.online_softmax import LOG2_E, divide_rows, logarithms, merge_parts, softmax_step, start_rows


@tilelang.jit(out_idx=[-1])
def mla(
    batch, pages, longest, heads, D, D_rope, parts, dtype="float16", block_H=64, block_N=64, num_stages=2, threads=256
):
    scale = (D + D_rope) ** -0.5 * LOG2_E
    table = -(-longest // block_N)
    rows_first = T.GemmWarpPolicy.FullRow  # the same rows of scores and of sums in every warp

    @T.prim_func
    def mla_decoding(
        Q: T.Tensor((batch, heads, D), dtype),
        Q_rope: T.Tensor((batch, heads, D_rope), dtype),
        KV: T.Tensor((pages, block_N, D), dtype),
        K_rope: T.Tensor((pages, block_N, D_rope), dtype),
        Pages: T.Tensor((batch, table), "int32"),
        Lengths: T.Tensor((batch,), "int32"),
        O: T.Tensor((batch, heads, D), dtype),
    ):
        Parts = T.alloc_global((batch, heads, parts, D), "float32")
        L = T.alloc_global((batch, heads, parts), "float32")
        with T.Kernel(parts, T.ceildiv(heads, block_H), batch, threads=threads) as (part, y, b):
            Q_shared, Q_rope_shared = T.alloc_shared((block_H, D), dtype), T.alloc_shared((block_H, D_rope), dtype)
            KV_shared, K_rope_shared = T.alloc_shared((block_N, D), dtype), T.alloc_shared((block_N, D_rope), dtype)
            P_shared, weights = T.alloc_shared((block_H, block_N), dtype), T.alloc_fragment((block_H, block_N), dtype)
            scores, out = T.alloc_fragment((block_H, block_N), "float32"), T.alloc_fragment((block_H, D), "float32")
            largest, total = T.alloc_fragment((block_H,), "float32"), T.alloc_fragment((block_H,), "float32")
            head, length = y * block_H, Lengths[b]
            blocks = T.ceildiv(length, block_N)
            steps = T.ceildiv(blocks, parts)
            first, count = part * steps, T.max(T.min(steps, blocks - part * steps), 0)
            T.copy(Q[b, head : head + block_H, :], Q_shared)
            T.copy(Q_rope[b, head : head + block_H, :], Q_rope_shared)
            start_rows(out, largest, total)
            for k in T.Pipelined(count, num_stages=num_stages):
                page = Pages[b, first + k]
                T.copy(KV[page, :, :], KV_shared)
                T.copy(K_rope[page, :, :], K_rope_shared)
                T.clear(scores)
                T.gemm(Q_shared, KV_shared, scores, transpose_B=True, policy=rows_first)
                T.gemm(Q_rope_shared, K_rope_shared, scores, transpose_B=True, policy=rows_first)
                for i, j in T.Parallel(block_H, block_N):
                    scores[i, j] = T.if_then_else(
                        (first + k) * block_N + j < length, scores[i, j], -T.infinity("float32")
                    )
                softmax_step(scores, weights, out, largest, total, scale)
                T.copy(weights, P_shared)
                T.gemm(P_shared, KV_shared, out, policy=rows_first)
            divide_rows(out, total)
            logarithms(largest, total, scale)
            for i, j in T.Parallel(block_H, D):
                if head + i < heads:
                    Parts[b, head + i, part, j] = out[i, j]
            for i in T.Parallel(block_H):
                if head + i < heads:
                    L[b, head + i, part] = largest[i]
        with T.Kernel(heads, batch, threads=128) as (h, b):
            merge_parts(Parts, L, O, b, h)

    return mla_decoding


def reference(q: np.ndarray, q_rope: np.ndarray, kv: np.ndarray, k_rope: np.ndarray) -> np.ndarray:
    """One sequence: q (heads, D), q_rope (heads, D_rope), kv (keys, D), k_rope (keys, D_rope)."""
    scores = (q @ kv.T + q_rope @ k_rope.T) * (q.shape[1] + q_rope.shape[1]) ** -0.5
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ kv


def attend(run: Run, lengths: Sequence[int], heads: int, D: int, D_rope: int, parts: int, config: Any) -> None:
    batch, longest, block_N = len(lengths), max(lengths), config[1]
    counts = [-(-length // block_N) for length in lengths]
    pages = sum(counts) + 1
    kernel = run.kernel(mla, batch, pages, longest, heads, D, D_rope, parts, run.dtype, *config)
    if run.compile_only:
        return
    q, q_rope = run.random((batch, heads, D), run.dtype), run.random((batch, heads, D_rope), run.dtype)
    kv, k_rope = run.random((pages, block_N, D), run.dtype), run.random((pages, block_N, D_rope), run.dtype)
    order = np.random.default_rng(1).permutation(pages).astype(np.int32)
    table = np.full((batch, -(-longest // block_N)), pages - 1, np.int32)
    for b, count in enumerate(counts):
        table[b, :count] = order[sum(counts[:b]) :][:count]
    places, where = run.on_device(table), run.on_device(np.asarray(lengths, np.int32))
    out = kernel(q, q_rope, kv, k_rope, places, where)
    want = []
    for b, length in enumerate(lengths):
        mine = order[sum(counts[:b]) :][: counts[b]]
        keys = [float64(x[mine]).reshape(-1, x.shape[-1])[:length] for x in (kv, k_rope)]
        want.append(reference(float64(q[b]), float64(q_rope[b]), *keys))
    name = f"latent attention, decoding B={batch} H={heads} D={D}+{D_rope}, up to {longest} keys, {run.dtype}"
    run.check(name, float64(out), np.stack(want))
    work = 2 * heads * sum(lengths) * (2 * D + D_rope)
    run.time(lambda: kernel(q, q_rope, kv, k_rope, places, where), flops=work)


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    small = [((70, 33), 16, 64, 64, 2)]
    real = [((4096,) * 32, 128, 512, 64, 2)]
    room = run.target.max_shared_bytes >= 220 * 1024
    for case in run.pick(small, real):
        attend(run, *case, run.pick((64, 32, 2, 128), (64, 64 if room else 32, 2, 256)))
    return run


if __name__ == "__main__":
    main()
