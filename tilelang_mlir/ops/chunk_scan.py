"""The chunk scan of Mamba-2: outputs of a selective state space model from the states at the starts of chunks.

With a[l] the running sum of dt * A within a chunk of L steps, row m of a head's output is

    out[m] = exp(a[m]) C[m] S^T + sum over l <= m of CB[m, l] exp(a[m] - a[l]) dt[l] x[l] + D x[m]

where S (head_dim, state) is the state at the start of the chunk, CB = C B^T is shared by the heads of a group, and x
(L, head_dim) is the head's input.

* By heads (`chunk_scan_heads`): a CTA owns 128 rows of a chunk and walks over heads of one group. C stays in shared
  memory and CB in registers; inputs and states of the next head are loaded under the products of this one. Weights of
  columns far from the diagonal are products of a factor by row and one by column, both at most one, so that they take
  no exponential each.
* By rows (`chunk_scan_rows`): a CTA owns a chunk of one head and walks over its rows: any length of chunk, all targets.

Source: Dao and Gu, "Transformers are SSMs", 2024, section 6.
"""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

from typing import Any

import tilelang_mlir.language as T
from tilelang_mlir.errors import TileValueError
from tilelang_mlir.jit.decorator import jit
from tilelang_mlir.jit.target import resolve_target
from tilelang_mlir.layout import make_swizzled_layout
from tilelang_mlir.ops.online_softmax import LOG2_E
from tilelang_mlir.ops.operands import HALF, has_dtype, has_rank, has_shape, one_dtype
from tilelang_mlir.ops.ready import ready
from tilelang_mlir.target import Feature, Target

ROWS = 128  # of a block
_STORE_ROOM = 36 * 1024  # bytes of shared memory beside the tiles: the buffers of the store, barriers
_TOGETHER = 16  # heads of a CTA, at most


@T.macro
def weigh_near(weights: Any, decayed: Any, near: Any, rows: Any, a: Any, dt: Any, row: Any) -> None:
    """CB exp(a[m] - a[l]) dt[l] on the diagonal; `rows` is a[m] in base 2."""
    size = weights.shape[0]
    for i, j in T.Parallel(size, size):
        decay = T.exp2(rows[i] - a[row + j] * LOG2_E) * dt[row + j]
        decayed[i, j] = T.cast(near[i, j], "float32") * decay
    for i, j in T.Parallel(size, size):
        decayed[i, j] = T.if_then_else(j <= i, decayed[i, j], 0.0)
    T.copy(decayed, weights)


@T.macro
def weigh_far(weights: Any, far: Any, factors: Any, columns: Any, a: Any, dt: Any, row: Any) -> None:
    """CB exp(a[m] - a[row]) exp(a[row] - a[l]) dt[l] for the first block of columns, where that lies in front of the
    rows; else zeros."""
    size = weights.shape[0]
    if row > 0:
        for j in T.Parallel(size):
            columns[j] = T.exp2((a[row] - a[j]) * LOG2_E) * dt[j]
        for i, j in T.Parallel(size, size):
            weights[i, j] = T.cast(far[i, j], "float32") * (factors[i] * columns[j])
    else:
        T.clear(weights)


@jit(out_idx=[-1])
def chunk_scan_heads(
    batch: int, S: int, L: int, heads: int, groups: int, P: int, N: int, dtype: str = "float16", together: int = 16,
    num_stages: int = 2, threads: int = 256,
) -> Any:  # fmt: skip
    """L: steps per chunk, 128 or 256, a divisor of S. P: head dimension. N: state dimension."""
    chunks, per_group, blocks = S // L, heads // groups, L // ROWS
    assert blocks in (1, 2), "one block of rows, or two"

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
        with T.Kernel(blocks, heads // together, batch * chunks, threads=threads) as (bm, part, bc):
            C_shared, S_shared = T.alloc_shared((ROWS, N), dtype), T.alloc_shared((P, N), dtype)
            X_shared = T.alloc_shared((L, P), dtype)
            a_shared, dt_shared = T.alloc_shared((L,), "float32"), T.alloc_shared((L,), "float32")
            near, decayed = T.alloc_fragment((ROWS, ROWS), dtype), T.alloc_fragment((ROWS, ROWS), "float32")
            far = T.alloc_fragment((ROWS, ROWS), dtype)  # of the columns before
            weights, others = T.alloc_fragment((ROWS, ROWS), dtype), T.alloc_fragment((ROWS, ROWS), dtype)
            rows, factors = T.alloc_fragment((ROWS,), "float32"), T.alloc_fragment((ROWS,), "float32")
            columns = T.alloc_fragment((ROWS,), "float32")
            acc = T.alloc_fragment((ROWS, P), "float32")
            b, c = bc // chunks, bc % chunks
            row, start, group = bm * ROWS, c * L, part * together // per_group
            T.copy(C[b, start + row : start + row + ROWS, group, :], C_shared)
            T.copy(CB[b, c, group, row : row + ROWS, row : row + ROWS], near)
            if blocks > 1:
                T.copy(CB[b, c, group, row : row + ROWS, :ROWS], far)
            for h in T.Pipelined(together, num_stages=num_stages):
                head = part * together + h
                T.copy(states[b, c, head, :, :], S_shared)
                T.copy(a[b, head, c, :], a_shared)
                T.copy(dt[b, head, c, :], dt_shared)
                T.gemm(C_shared, S_shared, acc, transpose_B=True, clear_accum=True)
                for i in T.Parallel(ROWS):
                    rows[i] = a_shared[row + i] * LOG2_E
                if blocks > 1:
                    for i in T.Parallel(ROWS):
                        factors[i] = T.exp2(rows[i] - a_shared[row] * LOG2_E)
                    weigh_far(others, far, factors, columns, a_shared, dt_shared, row)
                for i, j in T.Parallel(ROWS, P):
                    acc[i, j] *= T.exp2(rows[i])
                T.copy(X[b, start : start + L, head, :], X_shared)
                if blocks > 1:
                    T.gemm(others, X_shared[:ROWS, :], acc)  # runs while the other weights are computed
                weigh_near(weights, decayed, near, rows, a_shared, dt_shared, row)
                T.gemm(weights, X_shared[row : row + ROWS, :], acc)
                for i, j in T.Parallel(ROWS, P):
                    acc[i, j] += D[head] * T.cast(X_shared[row + i, j], "float32")
                T.copy(acc, out[b, start + row : start + row + ROWS, head, :])

    return mamba2_chunk_scan


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


@jit(out_idx=[-1])
def chunk_scan_rows(
    batch: int, S: int, L: int, heads: int, groups: int, P: int, N: int, dtype: str = "float16", block_M: int = 64,
    block_K: int = 64, num_stages: int = 2, threads: int = 128,
) -> Any:  # fmt: skip
    """L: steps per chunk, a divisor of S. P: head dimension. N: state dimension."""
    chunks, per_group = S // L, heads // groups
    full = T.GemmWarpPolicy.FullRow  # both products sum in the same registers
    ragged = L % block_M != 0  # the last rows of a block belong to the next chunk

    @T.prim_func
    def mamba2_chunk_scan_rows(
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
                T.gemm(C_shared, S_shared, acc, transpose_B=True, policy=full, clear_accum=True)
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
                    T.gemm(weights, X_shared, acc, policy=full)
                for i, j in T.Parallel(block_M, P):
                    acc[i, j] += D[head] * T.cast(D_shared[i, j], "float32")
                store(acc, out, b, start + row, head, L - row, ragged)

    return mamba2_chunk_scan_rows


def scan_form(sizes: tuple[int, ...], target: str | Target = "auto") -> tuple[Any, ...]:
    """The kernel of a chunk scan on a target, and its arguments behind the dtype; sizes are those of the kernels."""
    _, _, L, heads, groups, P, N = sizes
    machine = resolve_target(target)
    together = next(h for h in range(min(_TOGETHER, heads // groups), 0, -1) if heads // groups % h == 0)
    room = machine.max_shared_bytes - _STORE_ROOM - 2 * ROWS * N
    fits = 2 * (2 * (L * P + P * N) + 8 * L) <= room and P <= 64
    if machine.supports(Feature.WGMMA) and L in (ROWS, 2 * ROWS) and P % 16 == 0 and N % 64 == 0 and fits:
        return chunk_scan_heads, together
    if machine.supports(Feature.WMMA_REPEATED):  # threads that hold operands twice have no registers for 64 columns
        return chunk_scan_rows, 64, 32
    return (chunk_scan_rows,)


def chunk_scan(
    cb: Any, x: Any, dt: Any, a: Any, c: Any, states: Any, d: Any, *, target: str | Target = "auto"
) -> Any:  # fmt: skip
    """The outputs of all chunks, as a new tensor (batch, S, heads, P).

    Args:
        cb: (batch, chunks, groups, L, L): C B^T of every chunk; what is above its diagonal is not used.
        x: (batch, S, heads, P), of S = chunks * L steps.
        dt, a: (batch, heads, chunks, L) float32: steps, and the running sums of dt * A within chunks, which fall.
        c: (batch, S, groups, N).
        states: (batch, chunks, heads, P, N): those at the starts of chunks.
        d: (heads,) float32.
        target: as for `tilelang.compile`.
        cb, x, c and states are all float16 or all bfloat16. `heads` is a multiple of `groups`. All are contiguous.

    Raises:
        TileTypeError: dtypes that differ or are not supported.
        TileValueError: shapes that do not agree.
    """
    dtype = one_dtype("chunk scan", {"cb": cb, "x": x, "c": c, "states": states}, HALF)
    batch, chunks, groups, L, _ = has_rank("cb", cb, "(batch, chunks, groups, L, L)")
    _, S, heads, P = has_rank("x", x, "(batch, S, heads, P)")
    _, _, _, N = has_rank("c", c, "(batch, S, groups, N)")
    if S != chunks * L or heads % groups:
        raise TileValueError(
            f"{S} steps in {chunks} chunks of {L}, and {heads} heads in {groups} groups: neither may leave a rest"
        )
    has_shape("cb", cb, (batch, chunks, groups, L, L), "(batch, chunks, groups, L, L)")
    has_shape("x", x, (batch, S, heads, P), "(batch, S, heads, P)")
    has_shape("c", c, (batch, S, groups, N), "(batch, S, groups, N)")
    has_shape("states", states, (batch, chunks, heads, P, N), "(batch, chunks, heads, P, N)")
    for name, tensor in (("dt", dt), ("a", a)):
        has_shape(name, tensor, (batch, heads, chunks, L), "(batch, heads, chunks, L)")
        has_dtype(name, tensor, "float32")
    has_shape("d", d, (heads,), "(heads,)")
    has_dtype("d", d, "float32")
    sizes = batch, S, L, heads, groups, P, N
    factory, *arguments = scan_form(sizes, target)
    return ready(factory, target, *sizes, dtype, *arguments)(cb, x, dt, a, c, states, d)
