"""Online softmax as macros, for the attention examples: example 11 shows the same written out.

Per row of queries there are a running maximum `largest` of the scores and the sum `total` of exp2((score - largest) *
scale); `out` is the sum of the values with the same weights. A block of scores updates all three.
"""

from __future__ import annotations

from typing import Any

import tilelang_mlir.language as T


@T.macro
def start_rows(out: Any, largest: Any, total: Any) -> None:
    """No keys seen yet."""
    T.clear(out)
    T.clear(total)
    T.fill(largest, -T.infinity("float32"))


@T.macro
def softmax_step(scores: Any, weights: Any, out: Any, largest: Any, total: Any, scale: Any) -> None:
    """Turn a block of scores [rows, keys] into weights and rescale what was summed before."""
    rows, keys = scores.shape
    columns = out.shape[1]
    previous = T.alloc_fragment((rows,), "float32")
    shrink = T.alloc_fragment((rows,), "float32")
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
    T.copy(scores, weights)
    for i, j in T.Parallel(rows, columns):
        out[i, j] *= shrink[i]


@T.macro
def divide_rows(out: Any, total: Any) -> None:
    """out /= total, with one division per row."""
    rows, columns = out.shape
    inverse = T.alloc_fragment((rows,), "float32")
    for i in T.Parallel(rows):
        inverse[i] = 1 / total[i]
    for i, j in T.Parallel(rows, columns):
        out[i, j] *= inverse[i]
