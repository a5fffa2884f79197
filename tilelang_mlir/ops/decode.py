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
from tilelang_mlir.target import Feature, Target

ROWS = 64  # of a tile of queries: what a warpgroup product takes
_BLOCK = 64  # keys
_CTAS = 2 * 132  # that keep a machine of Hopper's size reading


@T.macro
def attend_part(
    Q: Any, K: Any, V: Any, Parts: Any, L: Any, place: Any, length: Any, part: Any, head_kv: Any, b: Any, factor: float,
    block_N: int, stages: int, rows: int,
) -> None:  # fmt: skip
    """One part of the keys of a sequence, with the query heads that share a key head; `place` says where a block of
    keys lies, in the first two dimensions of the cache."""
    D, heads, parts, dtype = Q.shape[2], Q.shape[1], L.shape[2], Q.dtype
    shared_by = heads // K.shape[2]
    Q_shared = T.alloc_shared((rows, D), dtype)
    K_shared = T.alloc_shared((block_N, D), dtype)
    V_shared = T.alloc_shared((block_N, D), dtype)
    scores = T.alloc_fragment((rows, block_N), "float32")
    weights = T.alloc_fragment((rows, block_N), dtype)
    out = T.alloc_fragment((rows, D), "float32")
    largest = T.alloc_fragment((rows,), "float32")
    total = T.alloc_fragment((rows,), "float32")
    steps = T.ceildiv(T.ceildiv(length, block_N), parts)
    first = part * steps
    count = T.max(T.min(steps, T.ceildiv(length, block_N) - first), 0)
    # Rows behind the heads of this group are computed too, and not stored.
    T.copy(Q[b, head_kv * shared_by : head_kv * shared_by + rows, :], Q_shared)
    start_rows(out, largest, total)
    for k in T.Pipelined(count, num_stages=stages):
        key = (first + k) * block_N
        outer, row = place(first + k)
        T.copy(K[outer, row : row + block_N, head_kv, :], K_shared)
        T.clear(scores)
        T.gemm(Q_shared, K_shared, scores, transpose_B=True, policy=T.GemmWarpPolicy.FullRow)
        for i, j in T.Parallel(rows, block_N):
            scores[i, j] = T.if_then_else(key + j < length, scores[i, j], -T.infinity("float32"))
        softmax_step(scores, weights, out, largest, total, factor)
        T.copy(V[outer, row : row + block_N, head_kv, :], V_shared)
        T.gemm(weights, V_shared, out, policy=T.GemmWarpPolicy.FullRow)
    divide_rows(out, total)
    logarithms(largest, total, factor)
    for i, j in T.Parallel(rows, D):
        if i < shared_by:
            Parts[b, head_kv * shared_by + i, part, j] = out[i, j]
    for i in T.Parallel(rows):
        if i < shared_by:
            L[b, head_kv * shared_by + i, part] = largest[i]


@jit(out_idx=[-1])
def flash_decoding(
    batch: int, S: int, heads: int, heads_kv: int, D: int, parts: int, dtype: str = "float16",
    scale: float | None = None, block_N: int = _BLOCK, num_stages: int = 3, rows: int = ROWS,
) -> Any:  # fmt: skip
    """O [batch, heads, D]; the scale of the scores is D ** -0.5 when left out."""
    factor = (D**-0.5 if scale is None else scale) * LOG2_E
    assert heads // heads_kv <= rows, "query heads that share a key head fit one tile"

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
            length = Lengths[b]
            place = lambda block: (b, block * block_N)
            attend_part(Q, K, V, Parts, L, place, length, part, head_kv, b, factor, block_N, num_stages, rows)
        with T.Kernel(heads, batch, threads=128) as (head, b):
            merge_parts(Parts, L, O, b, head)

    return decode


@jit(out_idx=[-1])
def paged_decoding(
    batch: int, pages: int, page: int, most: int, heads: int, heads_kv: int, D: int, parts: int, dtype: str = "float16",
    scale: float | None = None, block_N: int = _BLOCK, num_stages: int = 3, rows: int = ROWS,
) -> Any:  # fmt: skip
    """`flash_decoding` over `pages` of `page` keys, of which a sequence has at most `most`."""
    factor = (D**-0.5 if scale is None else scale) * LOG2_E
    blocks = page // block_N  # of a page
    assert heads // heads_kv <= rows, "query heads that share a key head fit one tile"

    @T.prim_func
    def decode_paged(
        Q: T.Tensor((batch, heads, D), dtype),
        K: T.Tensor((pages, page, heads_kv, D), dtype),
        V: T.Tensor((pages, page, heads_kv, D), dtype),
        Pages: T.Tensor((batch, most), "int32"),
        Lengths: T.Tensor((batch,), "int32"),
        O: T.Tensor((batch, heads, D), dtype),
    ):
        Parts = T.alloc_global((batch, heads, parts, D), "float32")
        L = T.alloc_global((batch, heads, parts), "float32")
        with T.Kernel(parts, heads_kv, batch, threads=128) as (part, head_kv, b):
            length = Lengths[b]
            place = lambda block: (Pages[b, block // blocks], block % blocks * block_N)
            attend_part(Q, K, V, Parts, L, place, length, part, head_kv, b, factor, block_N, num_stages, rows)
        with T.Kernel(heads, batch, threads=128) as (head, b):
            merge_parts(Parts, L, O, b, head)

    return decode_paged


def decoding_parts(batch: int, S: int, heads_kv: int, block_N: int = _BLOCK) -> int:
    """Into how many parts the keys of a sequence are split: enough CTAs for the machine, some blocks for each."""
    wanted = -(-_CTAS // (batch * heads_kv))
    return max(1, min(wanted, 32, -(-S // (2 * block_N))))


def decoding_stages(D: int, target: str | Target = "auto", block_N: int = _BLOCK) -> int:
    """Versions of the blocks of keys and values in shared memory: three where they fit beside the queries, else two.

    Weights that pass through shared memory, to a product in tensor memory, leave room for two blocks that take turns.
    """
    machine = resolve_target(target)
    room = machine.max_shared_bytes - 2 * ROWS * D
    if machine.supports(Feature.TCGEN05):
        room = machine.max_shared_bytes // 2 - 2 * ROWS * (D + block_N)
    return 3 if 3 * 2 * 2 * block_N * D <= room else 2


def decoding_rows(shared_by: int, D: int, target: str | Target = "auto") -> int:
    """Rows of a tile of queries for `shared_by` heads of the width D to a key head. Where threads hold operands twice,
    wide heads take few rows, so that warps share the columns of the sums."""
    if D <= 128 or not resolve_target(target).supports(Feature.WMMA_REPEATED):
        return ROWS
    return next(rows for rows in (ROWS // 4, ROWS // 2, ROWS) if shared_by <= rows)


def decode(
    q: Any,
    k: Any,
    v: Any,
    lengths: Any,
    *,
    pages: Any = None,
    scale: float | None = None,
    target: str | Target = "auto",
) -> Any:
    """Attention of one query per sequence over the keys in use, as a new tensor (batch, heads, D).

    Args:
        q: (batch, heads, D), k and v: (batch, S, heads_kv, D), contiguous, all float16 or all bfloat16. `heads` is a
            multiple of `heads_kv`, at most 64 times as large.
        lengths: keys in use of every sequence, (batch,) int32, from 1 to S.
        pages: (batch, most pages of a sequence) int32 where the cache is paged: the page of every run of `page` keys,
            a multiple of 64, or 16, 32 or 48. k and v are then (pages, page, heads_kv, D).
        scale: of the scores; D ** -0.5 when left out.
        target: as for `tilelang.compile`.

    Raises:
        TileTypeError: dtypes that differ or are not supported.
        TileValueError: shapes that do not agree.

    Source: Dao et al., "Flash-Decoding for long-context inference", 2023.
    """
    dtype = one_dtype("decoding", {"q": q, "k": k, "v": v}, HALF)
    batch, heads, D = has_rank("q", q, "(batch, heads, D)")
    named = "(batch, S, heads_kv, D)" if pages is None else "(pages, page, heads_kv, D)"
    outer, S, heads_kv, _ = has_rank("k", k, named)
    for name, cache in (("k", k), ("v", v)):
        has_shape(name, cache, (batch if pages is None else outer, S, heads_kv, D), named)
    has_shape("lengths", lengths, (batch,), "(batch,)")
    has_dtype("lengths", lengths, "int32")
    if heads % heads_kv or heads // heads_kv > ROWS:
        raise TileValueError(
            f"{heads} query heads over {heads_kv} key heads, expected a multiple, at most {ROWS} times as many"
        )
    stages, rows = decoding_stages(D, target), decoding_rows(heads // heads_kv, D, target)
    if pages is not None:
        most, block = _pages(pages, batch, S)
        sizes = (batch, outer, S, most, heads, heads_kv, D, decoding_parts(batch, most * S, heads_kv, block))
        return ready(paged_decoding, target, *sizes, dtype, scale, block, stages, rows)(q, k, v, pages, lengths)
    sizes = (batch, S, heads, heads_kv, D, decoding_parts(batch, S, heads_kv))
    return ready(flash_decoding, target, *sizes, dtype, scale, _BLOCK, stages, rows)(q, k, v, lengths)


def _pages(pages: Any, batch: int, page: int) -> tuple[int, int]:
    """The most pages of a sequence, and the keys of a block: whole pages, or parts of them."""
    _, most = has_rank("pages", pages, "(batch, blocks)")
    has_shape("pages", pages, (batch, most), "(batch, blocks)")
    has_dtype("pages", pages, "int32")
    if page % _BLOCK and (page > _BLOCK or page % 16):
        raise TileValueError(f"pages of {page} keys, expected a multiple of {_BLOCK}, or 16, 32 or 48")
    return most, min(page, _BLOCK)
