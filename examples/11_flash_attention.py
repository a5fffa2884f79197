"""Attention, forward: softmax(Q K^T / sqrt(D)) V in one kernel that never stores the scores; full or causal.

A block owns `block_M` queries of one head and walks over the keys, keeping per query a running maximum and sum
(online softmax) and rescaling the output when the maximum grows. Query heads may share key heads (`heads_kv`), as in
Llama-3. Shown here: two `T.gemm` in a pipelined loop, the first result feeding the second from registers, masks as
the initial value of an accumulator, and a loop whose length depends on the block (causal).

The program says nothing of warps, barriers or asynchronous copies. On a target with warpgroup products the compiler
splits it into a loading warp and two or three warpgroups that take turns, runs the second product of a block under the
softmax of the next one, rescales `out` only when a maximum has grown a lot, and masks only blocks that need it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from support import Run, float64

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.target import Feature

LOG2_E = 1.4426950408889634


@T.macro
def softmax_step(scores, weights, out, largest, previous, shrink, part, total, scale):
    """Weigh the scores of more keys: the rows' maxima grow, and what was added up so far shrinks to match."""
    rows, columns = scores.shape
    T.copy(largest, previous)
    T.reduce_max(scores, largest, dim=1, clear=False)
    for i in T.Parallel(rows):
        shrink[i] = T.exp2((previous[i] - largest[i]) * scale)
    for i, j in T.Parallel(rows, columns):
        scores[i, j] = T.exp2(scores[i, j] * scale - largest[i] * scale)
    T.reduce_sum(scores, part, dim=1)
    for i in T.Parallel(rows):
        total[i] = total[i] * shrink[i] + part[i]
    T.copy(scores, weights)
    for i, j in T.Parallel(rows, out.shape[1]):
        out[i, j] *= shrink[i]


@tilelang.jit(out_idx=[-1])
def attention(
    batch, S, heads, heads_kv, D, causal, dtype="float16", block_M=128, block_N=64, num_stages=2, threads=256, group=1,
    paired=False, D_v=None,
):  # fmt: skip
    D_v = D_v or D
    assert heads % group == 0, "heads are scheduled in groups of equal size"
    blocks = -(-S // block_M)
    columns = -(-blocks // 2) if paired else blocks
    scale = D**-0.5 * LOG2_E
    masked = causal or S % block_N != 0

    @T.prim_func
    def attention_forward(
        Q: T.Tensor((batch, S, heads, D), dtype),
        K: T.Tensor((batch, S, heads_kv, D), dtype),
        V: T.Tensor((batch, S, heads_kv, D_v), dtype),
        O: T.Tensor((batch, S, heads, D_v), dtype),
    ):
        with T.Kernel(columns * group, heads // group, batch, threads=threads) as (x, y, b):
            Q_shared = T.alloc_shared((block_M, D), dtype)
            K_shared = T.alloc_shared((block_N, D), dtype)
            V_shared = T.alloc_shared((block_N, D_v), dtype)
            scores = T.alloc_fragment((block_M, block_N), "float32")
            weights = T.alloc_fragment((block_M, block_N), dtype)
            out = T.alloc_fragment((block_M, D_v), "float32")
            largest = T.alloc_fragment((block_M,), "float32")
            previous = T.alloc_fragment((block_M,), "float32")
            shrink = T.alloc_fragment((block_M,), "float32")
            part = T.alloc_fragment((block_M,), "float32")
            total = T.alloc_fragment((block_M,), "float32")
            head = y * group + x % group
            head_kv = head // (heads // heads_kv)
            for turn in T.serial(2 if paired else 1):
                long = T.if_then_else(turn == 0, x // group, blocks - 1 - x // group)
                bx = blocks - 1 - long if causal else long
                T.copy(Q[b, bx * block_M : (bx + 1) * block_M, head, :], Q_shared)
                T.clear(out)
                T.clear(total)
                T.fill(largest, -T.infinity("float32"))
                last = T.min(S, (bx + 1) * block_M) if causal else S
                for k in T.Pipelined(T.ceildiv(last, block_N), num_stages=num_stages):
                    T.copy(K[b, k * block_N : (k + 1) * block_N, head_kv, :], K_shared)
                    if masked:
                        for i, j in T.Parallel(block_M, block_N):
                            key = k * block_N + j
                            seen = key <= bx * block_M + i if causal else key < S
                            scores[i, j] = T.if_then_else(seen, 0, -T.infinity("float32"))
                    else:
                        T.clear(scores)
                    T.gemm(Q_shared, K_shared, scores, transpose_B=True, policy=T.GemmWarpPolicy.FullRow)
                    softmax_step(scores, weights, out, largest, previous, shrink, part, total, scale)
                    T.copy(V[b, k * block_N : (k + 1) * block_N, head_kv, :], V_shared)
                    T.gemm(weights, V_shared, out, policy=T.GemmWarpPolicy.FullRow)
                for i in T.Parallel(block_M):
                    total[i] = 1 / total[i]
                for i, j in T.Parallel(block_M, D_v):
                    out[i, j] *= total[i]
                T.copy(out, O[b, bx * block_M : (bx + 1) * block_M, head, :])

    return attention_forward


def reference(q: np.ndarray, k: np.ndarray, v: np.ndarray, causal: bool, queries: list[int]) -> np.ndarray:
    """Attention of one head for some of the queries; q, k, v are (S, D)."""
    scores = q[queries] @ k.T * q.shape[1] ** -0.5
    if causal:
        scores = np.where(np.arange(len(k))[None, :] <= np.asarray(queries)[:, None], scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ v


def tiles(run: Run, S: int, heads: int, D: int, D_v: int, causal: bool) -> tuple[Any, ...]:
    """block_M, block_N, stages, threads, heads per group and pairing, by what three or two warpgroups have room for."""
    if not run.target.supports(Feature.WGMMA):
        return (128, 64, 2, 256) if D <= 128 or run.target.supports(Feature.TCGEN05) else (64, 32, 2, 128)
    group = max(g for g in (1, 2, 4, 8, 16) if heads % g == 0) if causal else 1
    if D > 192:
        return 128, 64, 2, 256, group, False
    if causal and S <= 2048:
        return 128, 128, 2, 256, group, True
    return 192, 128 if D <= 64 else 80, 2, 384, group, False


def attend(
    run: Run, batch: int, S: int, heads: int, heads_kv: int, D: int, D_v: int, causal: bool, blocks: tuple[Any, ...]
) -> None:
    kernel = run.kernel(attention, batch, S, heads, heads_kv, D, causal, run.dtype, *blocks, D_v=D_v)
    if run.compile_only:
        return
    q, k = run.random((batch, S, heads, D), run.dtype), run.random((batch, S, heads_kv, D), run.dtype)
    v = run.random((batch, S, heads_kv, D_v), run.dtype)
    out = kernel(q, k, v)
    queries = run.rows(S)
    got, want = [], []
    for head in sorted({0, heads // 2, heads - 1}):
        inputs = (float64(x[-1, :, h]) for x, h in ((q, head), *((x, head // (heads // heads_kv)) for x in (k, v))))
        want.append(reference(*inputs, causal, queries))
        got.append(float64(out[-1, :, head])[queries])
    name = f"attention {'causal' if causal else 'full'} B={batch} S={S} H={heads}/{heads_kv} D={D}/{D_v} {run.dtype}"
    run.check(name, np.stack(got), np.stack(want))

    def peer() -> Any:
        from torch.nn.functional import scaled_dot_product_attention as attend

        return attend(*(x.transpose(1, 2) for x in (q, k, v)), is_causal=causal, enable_gqa=heads != heads_kv)

    run.time(lambda: kernel(q, k, v), peer, flops=2 * batch * heads * S * S * (D + D_v) * (0.5 if causal else 1))


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    small = [
        (1, 192, 2, 1, 64, 64, False), (2, 59, 2, 2, 64, 64, True), (1, 77, 1, 1, 128, 128, False),
        (1, 130, 1, 1, 64, 32, True),
    ]  # fmt: skip
    # Llama-3-8B and -70B at S = 4096, 8 key heads; as many key heads as query heads; DeepSeek-V3; Gemma; GPT-2.
    real = [
        (4, 4096, 32, 8, 128, 128, True), (4, 4096, 64, 8, 128, 128, True), (4, 4096, 16, 16, 128, 128, False),
        (2, 4096, 16, 16, 192, 128, True), (2, 4096, 16, 8, 256, 256, True), (4, 4096, 16, 16, 64, 64, False),
    ]  # fmt: skip
    for case in run.pick(small, real):
        _, S, heads, _, D, D_v, causal = case
        attend(run, *case, tiles(run, S, heads, D, D_v, causal) if run.real else (64, 64, 2, 128, 1, causal))
    return run


if __name__ == "__main__":
    main()
