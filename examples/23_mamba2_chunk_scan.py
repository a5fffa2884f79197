"""The chunk scan of Mamba-2: outputs of a selective state space model from the states at the starts of chunks.

With a[l] the running sum of dt * A within a chunk of L steps, row m of a head's output is

    out[m] = exp(a[m]) C[m] S^T + sum over l <= m of CB[m, l] exp(a[m] - a[l]) dt[l] x[l] + D x[m]

where S (head_dim, state) is the state at the start of the chunk, CB = C B^T is shared by the heads of a group, and x
(L, head_dim) is the head's input. A CTA owns one chunk of one head and works on `block_M` rows at a time.

Shown here: a product into an accumulator that is then rescaled by row, a left operand made in registers from a tile in
shared memory with factors by row and by column, and a pipelined loop in a loop, whose length depends on the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from support import Run, float64

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.layout import make_swizzled_layout

LOG2_E = 1.4426950408889634


@T.macro
def store(acc: Any, out: Any, b: Any, first: Any, head: Any, left: Any, ragged: bool) -> None:
    """Store rows of a block; `left` of them belong to the chunk where blocks do not divide it."""
    rows, columns = acc.shape
    if ragged:
        for i, j in T.Parallel(rows, columns):
            if i < left:
                out[b, first + i, head, j] = acc[i, j]
    else:
        T.copy(acc, out[b, first : first + rows, head, :])


@tilelang.jit(out_idx=[-1])
def chunk_scan(
    batch, S, L, heads, groups, P, N, dtype="float16", block_M=64, block_K=64, num_stages=2, threads=128
):  # fmt: skip
    """L: steps per chunk, a divisor of S. P: head dimension. N: state dimension."""
    chunks, per_group = S // L, heads // groups
    ragged = L % block_M != 0  # the last rows of a block belong to the next chunk

    @T.prim_func
    def mamba2_chunk_scan(
        CB: T.Tensor((batch, chunks, groups, L, L), dtype),
        X: T.Tensor((batch, S, heads, P), dtype),
        dt: T.Tensor((batch, heads, chunks, L), "float32"),
        a: T.Tensor((batch, heads, chunks, L), "float32"),
        C: T.Tensor((batch, S, groups, N), dtype),
        states: T.Tensor((batch, chunks, heads, P, N), dtype),
        D: T.Tensor((heads,), "float32"),
        out: T.Tensor((batch, S, heads, P), dtype),
    ):
        with T.Kernel(batch * chunks, heads, threads=threads) as (bc, head):
            CB_shared, X_shared = T.alloc_shared((block_M, block_K), dtype), T.alloc_shared((block_K, P), dtype)
            C_shared, S_shared = T.alloc_shared((block_M, N), dtype), T.alloc_shared((P, N), dtype)
            decayed = T.alloc_fragment((block_M, block_K), "float32")
            weights = T.alloc_fragment((block_M, block_K), dtype)
            acc = T.alloc_fragment((block_M, P), "float32")
            D_shared = T.alloc_shared((block_M, P), dtype)
            a_shared, dt_shared = T.alloc_shared((block_K,), "float32"), T.alloc_shared((block_K,), "float32")
            a_rows = T.alloc_fragment((block_M,), "float32")
            # Threads read both in the pattern of the products, eight rows at once: rows must not share banks.
            T.annotate_layout({tile: make_swizzled_layout(tile) for tile in (CB_shared, D_shared)})
            b, c = bc // chunks, bc % chunks
            group, start = head // per_group, c * L
            T.copy(states[b, c, head, :, :], S_shared)
            for bm in T.serial(T.ceildiv(L, block_M)):
                row = bm * block_M
                T.copy(C[b, start + row : start + row + block_M, group, :], C_shared)
                T.copy(X[b, start + row : start + row + block_M, head, :], D_shared)
                for i in T.Parallel(block_M):
                    a_rows[i] = a[b, head, c, row + i] * LOG2_E
                T.gemm(C_shared, S_shared, acc, transpose_B=True, clear_accum=True)
                for i, j in T.Parallel(block_M, P):
                    acc[i, j] *= T.exp2(a_rows[i])
                for k in T.Pipelined(T.ceildiv(T.min(L, row + block_M), block_K), num_stages=num_stages):
                    T.copy(CB[b, c, group, row : row + block_M, k * block_K : (k + 1) * block_K], CB_shared)
                    T.copy(X[b, start + k * block_K : start + (k + 1) * block_K, head, :], X_shared)
                    T.copy(a[b, head, c, k * block_K : (k + 1) * block_K], a_shared)
                    T.copy(dt[b, head, c, k * block_K : (k + 1) * block_K], dt_shared)
                    for i, j in T.Parallel(block_M, block_K):
                        decay = T.exp2(a_rows[i] - a_shared[j] * LOG2_E) * dt_shared[j]
                        decayed[i, j] = T.cast(CB_shared[i, j], "float32") * decay
                    for i, j in T.Parallel(block_M, block_K):  # a loop of its own, which only runs on the diagonal
                        decayed[i, j] = T.if_then_else(k * block_K + j <= row + i, decayed[i, j], 0.0)
                    T.copy(decayed, weights)
                    T.gemm(weights, X_shared, acc)
                for i, j in T.Parallel(block_M, P):
                    acc[i, j] += D[head] * T.cast(D_shared[i, j], "float32")
                store(acc, out, b, start + row, head, L - row, ragged)

    return mamba2_chunk_scan


def reference(
    cb: np.ndarray, x: np.ndarray, dt: np.ndarray, a: np.ndarray, c: np.ndarray, state: np.ndarray, d: float
) -> np.ndarray:
    """One chunk of one head in float64: cb (L, L), x (L, P), dt and a (L), c (L, N), state (P, N)."""
    decay = np.exp(np.minimum(a[:, None] - a[None, :], 0)) * dt[None, :]
    return np.exp(a)[:, None] * (c @ state.T) + np.tril(cb * decay) @ x + d * x


def scan(run: Run, sizes: tuple[int, ...], blocks: tuple[int, ...]) -> None:
    batch, S, L, heads, groups, P, N = sizes
    kernel = run.kernel(chunk_scan, *sizes, run.dtype, *blocks)
    if run.compile_only:
        return
    chunks, rng = S // L, np.random.default_rng(2)
    steps = (rng.random((batch, heads, chunks, L)) * 0.1).astype(np.float32)
    sums = np.cumsum(-steps * (rng.random((1, heads, 1, 1)) + 0.5), axis=-1, dtype=np.float32)
    gains = rng.standard_normal(heads).astype(np.float32)
    cb = run.random((batch, chunks, groups, L, L), run.dtype)
    x, c = run.random((batch, S, heads, P), run.dtype), run.random((batch, S, groups, N), run.dtype)
    states = run.random((batch, chunks, heads, P, N), run.dtype, N**-0.5)
    inputs = cb, x, run.on_device(steps), run.on_device(sums), c, states, run.on_device(gains)
    out = kernel(*inputs)
    got, want = [], []
    for b, k, h in {(0, 0, 0), (batch - 1, chunks - 1, heads - 1), (0, chunks // 2, heads // 2)}:
        here, group = slice(k * L, (k + 1) * L), h // (heads // groups)
        parts = [float64(v) for v in (cb[b, k, group], x[b, here, h])]
        ends = [float64(v) for v in (c[b, here, group], states[b, k, h])]
        want.append(reference(*parts, steps[b, h, k].astype(float), sums[b, h, k].astype(float), *ends, gains[h]))
        got.append(float64(out[b, here, h]))
    run.check(f"chunk_scan B={batch} S={S} L={L} H={heads} P={P} N={N}", np.stack(got), np.stack(want))
    flops = batch * S * heads * P * (2 * N + L)
    moved = 2 * (2 * batch * S * heads * P + batch * chunks * (groups * L * L + heads * P * N) + batch * S * groups * N)
    run.time(lambda: kernel(*inputs), flops=flops)
    run.time(lambda: kernel(*inputs), bytes_moved=moved)


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    small = [((1, 128, 64, 2, 1, 64, 64), (64, 32, 2, 128)), ((2, 144, 72, 2, 2, 64, 64), (64, 32, 2, 128))]
    # Mamba-2 2.7B and Mamba-Codestral 7B.
    real = [((8, 4096, 256, 80, 1, 64, 128), ()), ((1, 32768, 256, 128, 8, 64, 128), ())]
    for sizes, blocks in run.pick(small, real):
        scan(run, sizes, blocks)
    return run


if __name__ == "__main__":
    main()
