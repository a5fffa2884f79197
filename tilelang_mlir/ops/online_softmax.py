"""Online softmax as macros, for attention kernels: examples/11_flash_attention.py shows the same written out.

Per row of queries there are a running maximum `largest` of the scores and the sum `total` of exp2((score - largest) *
scale); `out` is the sum of the values with the same weights. A block of scores updates all three.
Source: Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018.
"""

from __future__ import annotations

from typing import Any

import tilelang_mlir.language as T

LOG2_E = 1.4426950408889634


@T.macro
def start_rows(out: Any, largest: Any, total: Any) -> None:
    """No keys seen yet."""
    T.clear(out)
    T.clear(total)
    T.fill(largest, -T.infinity("float32"))


@T.macro
def softmax_weights(scores: Any, largest: Any, shrink: Any, total: Any, scale: Any) -> None:
    """Turn a block of scores [rows, keys] into weights; `shrink` [rows] is what earlier sums are to be scaled by."""
    rows, keys = scores.shape
    previous = T.alloc_fragment((rows,), "float32")
    part = T.alloc_fragment((rows,), "float32")
    T.copy(largest, previous)
    T.reduce_max(scores, largest, dim=1, clear=False)
    for i in T.Parallel(rows):
        shrink[i] = T.exp2((previous[i] - largest[i]) * scale)
    for i, j in T.Parallel(rows, keys):
        scores[i, j] = T.exp2(scores[i, j] * scale - largest[i] * scale)
    T.reduce_sum(scores, part, dim=1)
    for i in T.Parallel(rows):
        total[i] = total[i] * shrink[i] + part[i]


@T.macro
def softmax_step(scores: Any, weights: Any, out: Any, largest: Any, total: Any, scale: Any) -> None:
    """Turn a block of scores [rows, keys] into weights and rescale what was summed before."""
    rows, columns = out.shape
    shrink = T.alloc_fragment((rows,), "float32")
    softmax_weights(scores, largest, shrink, total, scale)
    T.copy(scores, weights)
    for i, j in T.Parallel(rows, columns):
        out[i, j] *= shrink[i]


@T.macro
def divide_rows(out: Any, total: Any) -> None:
    """out /= total, with one division per row; rows that saw no key become zero."""
    rows, columns = out.shape
    inverse = T.alloc_fragment((rows,), "float32")
    for i in T.Parallel(rows):
        inverse[i] = T.if_then_else(total[i] > 0, 1 / total[i], 0)
    for i, j in T.Parallel(rows, columns):
        out[i, j] *= inverse[i]


@T.macro
def logarithms(largest: Any, total: Any, scale: Any) -> None:
    """Turn the maxima into the logarithm, base 2, of every row's sum of exponentials; -inf where no key was seen."""
    rows = largest.shape[0]
    for i in T.Parallel(rows):
        largest[i] = T.log2(total[i]) + largest[i] * scale


@T.macro
def merge_parts(Parts: Any, L: Any, O: Any, b: Any, head: Any) -> None:
    """O[b, head] is the mean of the Parts [batch, heads, parts, D] with weights exp2(L) [batch, heads, parts]."""
    parts, D = Parts.shape[2:]
    values = T.alloc_fragment((parts, D), "float32")
    shares = T.alloc_fragment((parts,), "float32")
    mean = T.alloc_fragment((D,), "float32")
    top = T.alloc_fragment((1,), "float32")
    share = T.alloc_fragment((1,), "float32")
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
