"""Attention over sequences of different lengths, packed one behind the other: no padding is stored or computed.

The program is that of the ready operation `ops.attention_varlen` (tilelang_mlir/ops/varlen.py). Shown there: run-time
offsets in copies and loop bounds, a mask at run-time positions, rows that are stored only where they belong to the
sequence, and a dimension whose size is known when the kernel is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from support import Run, float64

from tilelang_mlir.ops import attention_varlen_forward, varlen_tiles
from tilelang_mlir.target import Feature


def reference(q: np.ndarray, k: np.ndarray, v: np.ndarray, causal: bool) -> np.ndarray:
    """Attention of one head of one sequence; q, k, v are (length, D)."""
    scores = q @ k.T * q.shape[1] ** -0.5
    if causal:
        scores = np.where(np.tril(np.ones_like(scores)) > 0, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ v


def attend(run: Run, lengths: Sequence[int], heads: int, heads_kv: int, D: int, causal: bool, blocks: Any) -> None:
    kernel = run.kernel(
        attention_varlen_forward, len(lengths), max(lengths), heads, heads_kv, D, causal, run.dtype, *blocks
    )
    if run.compile_only:
        return
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    tokens = int(offsets[-1])
    q = run.random((tokens, heads, D), run.dtype)
    k, v = (run.random((tokens, heads_kv, D), run.dtype) for _ in range(2))
    places = run.on_device(offsets)
    out = kernel(q, k, v, places)
    head, got, want = heads - 1, [], []
    for start, end in zip(offsets[:-2], offsets[1:-1], strict=True):  # the last one is long in real runs
        inputs = (float64(x[start:end, h]) for x, h in ((q, head), (k, heads_kv - 1), (v, heads_kv - 1)))
        want.append(reference(*inputs, causal))
        got.append(float64(out[start:end, head]))
    name = f"{'causal' if causal else 'full'} attention over {len(lengths)} sequences, {tokens} tokens, {run.dtype}"
    run.check(name, np.concatenate(got), np.concatenate(want))
    work = sum(length**2 for length in lengths) * (0.5 if causal else 1)
    run.time(lambda: kernel(q, k, v, places), flops=4 * heads * D * work)


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    small = [((70, 1, 129, 64), 2, 1, 64, True), ((33, 65, 40), 2, 2, 64, False)]
    real = [((300, 1717, 4096, 511, 2048, 64, 1025, 6623), 32, 8, 128, True)]
    wide = run.target.supports(Feature.WGMMA)
    for case in run.pick(small, real):
        tiles = (128, 64, 2, 256) if wide else varlen_tiles(case[3], max(case[0]), run.target)
        attend(run, *case, run.pick((64, 64, 2, 128), tiles))
    return run


if __name__ == "__main__":
    main()
