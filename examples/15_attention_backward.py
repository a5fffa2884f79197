"""Attention, backward: the gradients of queries, keys and values from that of the output.

The forward kernel keeps per query the logarithm L of its sum of exponentials, so that weights P = exp2(S - L) are
computed again instead of stored. A block of the backward kernel owns `block_N` keys of one head and walks over the
queries:

    dV += P^T dO;  dP = dO V^T;  dS = P (dP - sum(dO O));  dK += dS^T Q;  dQ += dS K

Scores are computed transposed (keys by queries), so that P^T and dS^T feed the next products from registers; dQ is
summed in device memory by atomic additions, since every block of keys contributes.

The programs are those of the ready operations `ops.attention` and `ops.attention_backward` (tilelang_mlir/ops). Shown
there: five products in one pipelined loop, two of them on the results of others, a tile that changes threads through
shared memory, vector atomics, and a causal loop that starts late.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from support import Run, float64

from tilelang_mlir.ops import AttentionTiling, attention_forward
from tilelang_mlir.ops.attention_backward import gradients, row_products, scaled


def reference(q: np.ndarray, k: np.ndarray, v: np.ndarray, do: np.ndarray, causal: bool) -> list[np.ndarray]:
    """O, dQ, dK and dV of one head; all inputs are (S, D)."""
    scale = q.shape[1] ** -0.5
    scores = q @ k.T * scale
    if causal:
        scores = np.where(np.tril(np.ones_like(scores)) > 0, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    out = weights @ v
    slopes = weights * (do @ v.T - (do * out).sum(axis=1, keepdims=True))
    return [out, slopes @ k * scale, slopes.T @ q * scale, weights.T @ do]


def attend(run: Run, batch: int, S: int, heads: int, D: int, causal: bool, ahead: Any, back: Any) -> None:
    shape, scale = (batch, S, heads, D), D**-0.5
    first = run.kernel(attention_forward, batch, S, S, heads, heads, D, D, causal, scale, run.dtype, ahead)
    kernels = [
        run.kernel(row_products, *shape, run.dtype),
        run.kernel(gradients, *shape, causal, scale, run.dtype, *back),
        run.kernel(scaled, *shape, scale, run.dtype),
    ]
    if run.compile_only:
        return
    products, main_kernel, last = kernels
    q, k, v, do = (run.random(shape, run.dtype) for _ in range(4))
    out, logarithms = first(q, k, v)

    def backward() -> list[Any]:
        deltas, sums = products(out, do)
        dk, dv = main_kernel(q, k, v, do, logarithms, deltas, sums)
        return [last(sums), dk, dv]

    name = f"{'causal' if causal else 'full'} attention B={batch} S={S} H={heads} D={D} {run.dtype}"
    got = [out, *backward()]
    want = reference(*(float64(x[-1, :, -1]) for x in (q, k, v, do)), causal)
    for what, ours, exact in zip(("O", "dQ", "dK", "dV"), got, want, strict=True):
        run.check(f"{what} of {name}", ours[-1, :, -1], exact)
    run.time(backward, flops=10 * batch * heads * S * S * D * (0.5 if causal else 1))


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    small = [(1, 128, 2, 64, True), (1, 192, 1, 64, False)]
    real = [(4, 4096, 16, 128, False), (4, 4096, 16, 128, True)]
    low, high = AttentionTiling(64, 64, 2, 128), AttentionTiling(128, 64, 2, 256)
    for case in run.pick(small, real):
        attend(run, *case, *run.pick((low, (64, 64, 2, 128)), (high, (64, 128, 2, 256))))
    return run


if __name__ == "__main__":
    main()
