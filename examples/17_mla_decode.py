"""Decoding with multi-head latent attention over a paged cache, as in DeepSeek-V2 and -V3.

All query heads share one latent vector per key, of `D` numbers for content and `D_rope` for position: the scores are
q k + q_rope k_rope, and the latent is the value as well. Keys lie in pages; a table says which page holds the i-th
block of a sequence.

The program is that of the ready operation `ops.mla_decode` (tilelang_mlir/ops/mla.py). Shown there: a tile that feeds
two products in different orders, products whose columns two warpgroups share, and copies whose place is read from a
table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from support import Run, float64

from tilelang_mlir.ops import mla_decoding
from tilelang_mlir.ops.mla import mla_page, mla_tiles


def reference(q: np.ndarray, q_rope: np.ndarray, kv: np.ndarray, k_rope: np.ndarray) -> np.ndarray:
    """One sequence: q (heads, D), q_rope (heads, D_rope), kv (keys, D), k_rope (keys, D_rope)."""
    scores = (q @ kv.T + q_rope @ k_rope.T) * (q.shape[1] + q_rope.shape[1]) ** -0.5
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ kv


def attend(run: Run, lengths: Sequence[int], heads: int, D: int, D_rope: int, parts: int, config: Any) -> None:
    batch, longest, block_N = len(lengths), max(lengths), config[1]
    counts = [-(-length // block_N) for length in lengths]
    pages = sum(counts) + 1
    kernel = run.kernel(mla_decoding, batch, pages, longest, heads, D, D_rope, parts, run.dtype, *config)
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
    for case in run.pick(small, real):
        attend(run, *case, run.pick((64, 32, 2, 128), mla_tiles(case[2] + case[3], mla_page(run.target), run.target)))
    return run


if __name__ == "__main__":
    main()
