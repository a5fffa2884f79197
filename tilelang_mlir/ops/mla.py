"""Decoding with multi-head latent attention over a paged cache, as in DeepSeek-V2 and -V3.

All query heads share one latent vector per key, of `D` numbers for content and `D_rope` for position: the scores are
q k + q_rope k_rope, and the latent is the value as well. Keys lie in pages; a table says which page holds the i-th
block of a sequence. A CTA works on 64 heads of one sequence and on one part of its keys, as in `decode`; a second
kernel merges the parts. Two warpgroups share the columns of the sums, which fill their registers.
"""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

from typing import Any

import tilelang_mlir.language as T
from tilelang_mlir.jit.decorator import jit
from tilelang_mlir.jit.target import resolve_target
from tilelang_mlir.ops.online_softmax import LOG2_E, divide_rows, logarithms, merge_parts, softmax_step, start_rows
from tilelang_mlir.ops.operands import HALF, has_dtype, has_rank, has_shape, one_dtype
from tilelang_mlir.ops.ready import ready
from tilelang_mlir.target import Feature, Target

_HEADS = 64  # of a block: what a warpgroup product takes


@jit(out_idx=[-1])
def mla_decoding(
    batch: int, pages: int, longest: int, heads: int, D: int, D_rope: int, parts: int, dtype: str = "float16",
    block_H: int = _HEADS, block_N: int = 64, num_stages: int = 2, threads: int = 256, scale: float | None = None,
) -> Any:  # fmt: skip
    """O [batch, heads, D] over pages of `block_N` keys; the scale of the scores is (D + D_rope) ** -0.5 if left out."""
    factor = ((D + D_rope) ** -0.5 if scale is None else scale) * LOG2_E
    table = -(-longest // block_N)
    rows_first = T.GemmWarpPolicy.FullRow  # the same rows of scores and of sums in every warp

    @T.prim_func
    def mla(
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
                    key = (first + k) * block_N + j
                    scores[i, j] = T.if_then_else(key < length, scores[i, j], -T.infinity("float32"))
                softmax_step(scores, weights, out, largest, total, factor)
                T.copy(weights, P_shared)
                T.gemm(P_shared, KV_shared, out, policy=rows_first)
            divide_rows(out, total)
            logarithms(largest, total, factor)
            for i, j in T.Parallel(block_H, D):
                if head + i < heads:
                    Parts[b, head + i, part, j] = out[i, j]
            for i in T.Parallel(block_H):
                if head + i < heads:
                    L[b, head + i, part] = largest[i]
        with T.Kernel(heads, batch, threads=256 if parts > 32 else 128) as (h, b):  # a column of all parts in registers
            merge_parts(Parts, L, O, b, h)

    return mla


def mla_page(target: str | Target = "auto") -> int:
    """Keys of a page of latents of 576 numbers: as many as fit shared memory beside the queries, in all versions."""
    machine = resolve_target(target)
    room = machine.max_shared_bytes // 1024
    return 64 if room >= 220 else 32 if room >= 110 or machine.supports(Feature.MFMA) else 16


def mla_tiles(width: int, page: int, target: str | Target = "auto") -> tuple[int, int, int, int]:
    """Heads and keys of a block, versions of its keys, and threads, for `width` numbers of a query and a key.

    As many heads as fit shared memory beside the keys: they stay there for all keys.
    """
    machine = resolve_target(target)
    versions = 1 if machine.supports(Feature.MFMA) and not machine.supports(Feature.LDS_DMA) else 2
    room = machine.max_shared_bytes // 2 - versions * page * width
    heads = next((h for h in (_HEADS, _HEADS // 2) if h * (width + page) <= room), _HEADS // 4)
    return heads, page, 2, 256 if width > 192 and heads == _HEADS else 128


def mla_parts(
    batch: int, heads: int, longest: int, page: int, target: str | Target = "auto", block_H: int = _HEADS
) -> int:
    """Into how many parts the keys of a sequence are split: one CTA for each multiprocessor, two pages for a part."""
    wanted = resolve_target(target).multiprocessors // (batch * -(-heads // block_H))
    return max(1, min(wanted, 64, -(-longest // (2 * page))))


def mla_decode(
    q: Any,
    q_rope: Any,
    kv: Any,
    k_rope: Any,
    pages: Any,
    lengths: Any,
    *,
    scale: float | None = None,
    target: str | Target = "auto",
) -> Any:
    """Latent attention of one query per sequence over a paged cache, as a new tensor (batch, heads, D).

    Args:
        q: (batch, heads, D), q_rope: (batch, heads, D_rope): queries, those of content in the space of the latents.
        kv: (pages, page, D), k_rope: (pages, page, D_rope): the cache, 64 keys to a page, or what
            `mla_page` says where shared memory is small. All four contiguous, all float16 or all bfloat16.
        pages: (batch, most pages of a sequence) int32: the page of every block of keys. Those behind a sequence's
            length are not read.
        lengths: keys in use of every sequence, (batch,) int32, positive.
        scale: of the scores; (D + D_rope) ** -0.5 when left out. Models whose queries were multiplied into the latent
            space use that of the width before.
        target: as for `tilelang.compile`.

    Raises:
        TileTypeError: dtypes that differ or are not supported.
        TileValueError: shapes that do not agree.

    Source: DeepSeek-AI, "DeepSeek-V2", 2024, section 2.1.
    """
    dtype = one_dtype("decoding", {"q": q, "q_rope": q_rope, "kv": kv, "k_rope": k_rope}, HALF)
    batch, heads, D = has_rank("q", q, "(batch, heads, D)")
    _, _, D_rope = has_rank("q_rope", q_rope, "(batch, heads, D_rope)")
    has_shape("q_rope", q_rope, (batch, heads, D_rope), "(batch, heads, D_rope)")
    count, page, _ = has_rank("kv", kv, "(pages, page, D)")
    has_shape("kv", kv, (count, page, D), "(pages, page, D)")
    has_shape("k_rope", k_rope, (count, page, D_rope), "(pages, page, D_rope)")
    _, table = has_rank("pages", pages, "(batch, blocks)")
    has_shape("pages", pages, (batch, table), "(batch, blocks)")
    has_shape("lengths", lengths, (batch,), "(batch,)")
    for name, tensor in (("pages", pages), ("lengths", lengths)):
        has_dtype(name, tensor, "int32")
    longest = table * page
    tiles = mla_tiles(D + D_rope, page, target)
    parts = mla_parts(batch, heads, longest, page, target, tiles[0])
    kernel = ready(mla_decoding, target, batch, count, longest, heads, D, D_rope, parts, dtype, *tiles, scale)
    return kernel(q, q_rope, kv, k_rope, pages, lengths)
