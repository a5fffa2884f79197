"""Attention of one new query per sequence over a cache of keys and values (flash decoding).

A single query offers no parallelism along queries, so the keys are split: every CTA attends to one part of the keys of
one sequence with all query heads that share a key head, and stores its normalised output with the logarithm L of its
sum of exponentials; a second kernel weighs the parts with exp2(L). The cache is read once, at the speed of memory.
"""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

from typing import Any

import tilelang_mlir.language as T
from tilelang_mlir.errors import TileValueError
from tilelang_mlir.jit.decorator import jit
from tilelang_mlir.jit.target import resolve_target
from tilelang_mlir.ops.online_softmax import LOG2_E, divide_rows, logarithms, merge_parts, softmax_step, start_rows
from tilelang_mlir.ops.operands import HALF, has_dtype, has_rank, has_shape, one_dtype
from tilelang_mlir.ops.ready import ready
from tilelang_mlir.target import Target

ROWS = 64  # of a tile of queries: what a warpgroup product takes
_BLOCK = 64  # keys
_CTAS = 2 * 132  # that keep a machine of Hopper's size reading


@jit(out_idx=[-1])
def flash_decoding(
    batch: int, S: int, heads: int, heads_kv: int, D: int, parts: int, dtype: str = "float16",
    scale: float | None = None, block_N: int = _BLOCK, num_stages: int = 3,
) -> Any:  # fmt: skip
    """O [batch, heads, D]; the scale of the scores is D ** -0.5 when left out."""
    factor = (D**-0.5 if scale is None else scale) * LOG2_E
    shared_by = heads // heads_kv
    assert shared_by <= ROWS, "query heads that share a key head fit one tile"

    @T.prim_func
    def decode(
        Q: T.Tensor((batch, heads, D), dtype),
        K: T.Tensor((batch, S, heads_kv, D), dtype),
        V: T.Tensor((batch, S, heads_kv, D), dtype),
        Lengths: T.Tensor((batch,), "int32"),
        O: T.Tensor((batch, heads, D), dtype),
    ):
        Parts = T.alloc_global((batch, heads, parts, D), "float32")
        L = T.alloc_global((batch, heads, parts), "float32")
        with T.Kernel(parts, heads_kv, batch, threads=128) as (part, head_kv, b):
            Q_shared = T.alloc_shared((ROWS, D), dtype)
            K_shared = T.alloc_shared((block_N, D), dtype)
            V_shared = T.alloc_shared((block_N, D), dtype)
            scores = T.alloc_fragment((ROWS, block_N), "float32")
            weights = T.alloc_fragment((ROWS, block_N), dtype)
            out = T.alloc_fragment((ROWS, D), "float32")
            largest = T.alloc_fragment((ROWS,), "float32")
            total = T.alloc_fragment((ROWS,), "float32")
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
                softmax_step(scores, weights, out, largest, total, factor)
                T.copy(V[b, key : key + block_N, head_kv, :], V_shared)
                T.gemm(weights, V_shared, out, policy=T.GemmWarpPolicy.FullRow)
            divide_rows(out, total)
            logarithms(largest, total, factor)
            for i, j in T.Parallel(ROWS, D):
                if i < shared_by:
                    Parts[b, head_kv * shared_by + i, part, j] = out[i, j]
            for i in T.Parallel(ROWS):
                if i < shared_by:
                    L[b, head_kv * shared_by + i, part] = largest[i]
        with T.Kernel(heads, batch, threads=128) as (head, b):
            merge_parts(Parts, L, O, b, head)

    return decode


def decoding_parts(batch: int, S: int, heads_kv: int, block_N: int = _BLOCK) -> int:
    """Into how many parts the keys of a sequence are split: enough CTAs for the machine, some blocks for each."""
    wanted = -(-_CTAS // (batch * heads_kv))
    return max(1, min(wanted, 32, -(-S // (2 * block_N))))


def decoding_stages(D: int, target: str | Target = "auto", block_N: int = _BLOCK) -> int:
    """Versions of the blocks of keys and values in shared memory: three where they fit beside the queries, else two."""
    room = resolve_target(target).max_shared_bytes - 2 * ROWS * D
    return 3 if 3 * 2 * 2 * block_N * D <= room else 2


def decode(q: Any, k: Any, v: Any, lengths: Any, *, scale: float | None = None, target: str | Target = "auto") -> Any:
    """Attention of one query per sequence over the keys in use, as a new tensor (batch, heads, D).

    Args:
        q: (batch, heads, D), k and v: (batch, S, heads_kv, D), contiguous, all float16 or all bfloat16. `heads` is a
            multiple of `heads_kv`, at most 64 times as large.
        lengths: keys in use of every sequence, (batch,) int32, from 1 to S.
        scale: of the scores; D ** -0.5 when left out.
        target: as for `tilelang.compile`.

    Raises:
        TileTypeError: dtypes that differ or are not supported.
        TileValueError: shapes that do not agree.

    Source: Dao et al., "Flash-Decoding for long-context inference", 2023.
    """
    dtype = one_dtype("decoding", {"q": q, "k": k, "v": v}, HALF)
    batch, heads, D = has_rank("q", q, "(batch, heads, D)")
    _, S, heads_kv, _ = has_rank("k", k, "(batch, S, heads_kv, D)")
    for name, cache in (("k", k), ("v", v)):
        has_shape(name, cache, (batch, S, heads_kv, D), "(batch, S, heads_kv, D)")
    has_shape("lengths", lengths, (batch,), "(batch,)")
    has_dtype("lengths", lengths, "int32")
    if heads % heads_kv or heads // heads_kv > ROWS:
        raise TileValueError(
            f"{heads} query heads over {heads_kv} key heads, expected a multiple, at most {ROWS} times as many"
        )
    parts = decoding_parts(batch, S, heads_kv)
    sizes = (batch, S, heads, heads_kv, D, parts)
    stages = decoding_stages(D, target)
    return ready(flash_decoding, target, *sizes, dtype, scale, _BLOCK, stages)(q, k, v, lengths)
