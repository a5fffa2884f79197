"""Attention over sequences of different lengths, packed one behind the other: no padding is stored or computed.

`Offsets` holds where each sequence starts, and the end of the last one. A CTA owns `block_M` queries of one head of one
sequence; blocks behind the end of a short sequence find nothing to do, and keys of the next sequence are masked. Last
blocks of all sequences start first: with a causal mask they take longest.
"""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

from typing import Any

import tilelang_mlir.language as T
from tilelang_mlir.errors import TileValueError
from tilelang_mlir.jit.decorator import jit
from tilelang_mlir.jit.target import resolve_target
from tilelang_mlir.ops.attention import tiles_of_warps
from tilelang_mlir.ops.online_softmax import LOG2_E, divide_rows, softmax_step, start_rows
from tilelang_mlir.ops.operands import HALF, has_dtype, has_rank, has_shape, one_dtype
from tilelang_mlir.ops.ready import ready
from tilelang_mlir.target import Feature, Target


@jit(out_idx=[-1])
def attention_varlen_forward(
    batch: int, longest: int, heads: int, heads_kv: int, D: int, causal: bool, dtype: str = "float16",
    block_M: int = 128, block_N: int = 64, num_stages: int = 2, threads: int = 256, D_v: int | None = None,
    scale: float | None = None,
) -> Any:  # fmt: skip
    """O [tokens, heads, D_v]; the scale of the scores is D ** -0.5 when left out. `tokens` is known at the call."""
    factor = (D**-0.5 if scale is None else scale) * LOG2_E
    width = D if D_v is None else D_v
    blocks = -(-longest // block_M)
    tokens = T.dynamic("tokens")

    @T.prim_func
    def attention_varlen(
        Q: T.Tensor((tokens, heads, D), dtype),
        K: T.Tensor((tokens, heads_kv, D), dtype),
        V: T.Tensor((tokens, heads_kv, width), dtype),
        Offsets: T.Tensor((batch + 1,), "int32"),
        O: T.Tensor((tokens, heads, width), dtype),
    ):
        with T.Kernel(heads, batch, blocks, threads=threads) as (head, b, z):
            Q_shared = T.alloc_shared((block_M, D), dtype)
            K_shared = T.alloc_shared((block_N, D), dtype)
            V_shared = T.alloc_shared((block_N, width), dtype)
            O_shared = T.alloc_shared((block_M, width), dtype)
            scores = T.alloc_fragment((block_M, block_N), "float32")
            weights = T.alloc_fragment((block_M, block_N), dtype)
            out = T.alloc_fragment((block_M, width), "float32")
            largest = T.alloc_fragment((block_M,), "float32")
            total = T.alloc_fragment((block_M,), "float32")
            start = Offsets[b]
            length = Offsets[b + 1] - start
            first = (blocks - 1 - z) * block_M
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
                softmax_step(scores, weights, out, largest, total, factor)
                T.copy(V[row : row + block_N, head_kv, :], V_shared)
                T.gemm(weights, V_shared, out, policy=T.GemmWarpPolicy.FullRow)
            divide_rows(out, total)
            T.copy(out, O_shared)
            for i, j in T.Parallel(block_M, width):
                if first + i < length:
                    O[start + first + i, head, j] = O_shared[i, j]

    return attention_varlen


def varlen_tiles(D: int, longest: int, target: str | Target = "auto") -> tuple[int, int, int, int]:
    """Queries and keys of a block, versions of a block of keys, and threads, for heads of the width D."""
    machine = resolve_target(target)
    if machine.supports(Feature.TCGEN05) and longest > 64:
        return 128, 64, 2, 256
    if not machine.supports(Feature.WGMMA):
        return tiles_of_warps(D, machine)
    if D <= 128 and longest > 128:
        return 192, 128 if D <= 64 else 80, 2, 384
    return 128, 64, 2, 256


def attention_varlen(
    q: Any,
    k: Any,
    v: Any,
    offsets: Any,
    longest: int,
    *,
    causal: bool = False,
    scale: float | None = None,
    target: str | Target = "auto",
) -> Any:
    """softmax(q k^T * scale) v within every sequence, as a new tensor (tokens, heads, D_v).

    Args:
        q: (tokens, heads, D), k: (tokens, heads_kv, D), v: (tokens, heads_kv, D_v), contiguous, all float16 or all
            bfloat16: the tokens of all sequences, one sequence behind the other. `heads` is a multiple of `heads_kv`.
        offsets: (sequences + 1,) int32: the first token of every sequence, then `tokens`.
        longest: the most tokens of a sequence. Every value makes a kernel of its own: round it up.
        causal: token i of a sequence sees those up to itself.
        scale: of the scores; D ** -0.5 when left out.
        target: as for `tilelang.compile`.

    Raises:
        TileTypeError: dtypes that differ or are not supported.
        TileValueError: shapes that do not agree, or `longest` is not positive.
    """
    dtype = one_dtype("attention", {"q": q, "k": k, "v": v}, HALF)
    tokens, heads, D = has_rank("q", q, "(tokens, heads, D)")
    _, heads_kv, D_v = has_rank("v", v, "(tokens, heads_kv, D_v)")
    has_shape("k", k, (tokens, heads_kv, D), "(tokens, heads_kv, D)")
    has_shape("v", v, (tokens, heads_kv, D_v), "(tokens, heads_kv, D_v)")
    (ends,) = has_rank("offsets", offsets, "(sequences + 1)")
    has_dtype("offsets", offsets, "int32")
    if ends < 2 or longest < 1:
        raise TileValueError(f"{ends} offsets and a longest sequence of {longest} tokens, expected at least 2 and 1")
    if heads % heads_kv:
        raise TileValueError(f"{heads} query heads cannot share {heads_kv} key heads evenly")
    sizes = ends - 1, int(longest), heads, heads_kv, D
    tiles = varlen_tiles(max(D, D_v), int(longest), target)
    return ready(attention_varlen_forward, target, *sizes, causal, dtype, *tiles, D_v, scale)(q, k, v, offsets)
