"""Attention of one new query per sequence over a cache of keys and values: flash decoding.

A single query offers no parallelism along queries, so the keys are split: every block attends to one part of the keys
of one sequence with all query heads that share a key head, and stores its normalised output with the logarithm L of its
sum of exponentials; a second kernel weighs the parts with exp2(L). The cache is read once, at the speed of memory.

The program is that of the ready operation `ops.decode` (tilelang_mlir/ops/decode.py). Shown there: run-time lengths,
parts that may be empty, a tile of queries that is only partly filled, two kernels and their workspace in one call.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from support import Run, float64

from tilelang_mlir.ops import flash_decoding


def reference(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Attention of the query heads of one group; q is (heads, D), k and v are (keys, D)."""
    scores = q @ k.T * q.shape[1] ** -0.5
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ v


def attend(run: Run, lengths: Sequence[int], S: int, heads: int, heads_kv: int, D: int, parts: int) -> None:
    batch = len(lengths)
    kernel = run.kernel(flash_decoding, batch, S, heads, heads_kv, D, parts, run.dtype)
    if run.compile_only:
        return
    q = run.random((batch, heads, D), run.dtype)
    k, v = (run.random((batch, S, heads_kv, D), run.dtype) for _ in range(2))
    where = run.on_device(np.asarray(lengths, np.int32))
    out = kernel(q, k, v, where)
    group = heads // heads_kv
    got = np.stack([float64(out[b, -group:]) for b in range(batch)])
    want = [
        reference(float64(q[b, -group:]), float64(k[b, :length, -1]), float64(v[b, :length, -1]))
        for b, length in enumerate(lengths)
    ]
    name = f"decoding B={batch} H={heads}/{heads_kv} D={D}, up to {max(lengths)} keys, {run.dtype}"
    run.check(name, got, np.stack(want))
    run.time(lambda: kernel(q, k, v, where), bytes_moved=sum(lengths) * heads_kv * D * 4)


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    small = [((130, 1, 257), 320, 4, 2, 64, 3), ((64,), 64, 2, 2, 64, 2)]
    real = [((8192,) * 16, 8192, 64, 8, 128, 4), ((32768, 20000, 1000, 31), 32768, 32, 8, 128, 16)]
    for case in run.pick(small, real):
        attend(run, *case)
    return run


if __name__ == "__main__":
    main()
