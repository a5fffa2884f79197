"""The chunk scan of Mamba-2: outputs of a selective state space model from the states at the starts of chunks.

With a[l] the running sum of dt * A within a chunk of L steps, row m of a head's output is

    out[m] = exp(a[m]) C[m] S^T + sum over l <= m of CB[m, l] exp(a[m] - a[l]) dt[l] x[l] + D x[m]

where S (head_dim, state) is the state at the start of the chunk, CB = C B^T is shared by the heads of a group, and x
(L, head_dim) is the head's input.

The programs are those of the ready operation `ops.chunk_scan` (tilelang_mlir/ops/chunk_scan.py). Shown there: operands
that stay in registers for many heads, a product into an accumulator that is then rescaled by row, a left operand made
in registers with factors by row and by column, and a pipelined loop in a loop, whose length depends on the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from support import Run, float64

from tilelang_mlir.ops.chunk_scan import chunk_scan_rows, scan_form


def reference(
    cb: np.ndarray, x: np.ndarray, dt: np.ndarray, a: np.ndarray, c: np.ndarray, state: np.ndarray, d: float
) -> np.ndarray:
    """One chunk of one head in float64: cb (L, L), x (L, P), dt and a (L), c (L, N), state (P, N)."""
    decay = np.exp(np.minimum(a[:, None] - a[None, :], 0)) * dt[None, :]
    return np.exp(a)[:, None] * (c @ state.T) + np.tril(cb * decay) @ x + d * x


def scan(run: Run, sizes: tuple[int, ...], form: tuple[Any, ...]) -> None:
    batch, S, L, heads, groups, P, N = sizes
    factory, *arguments = form or scan_form(sizes, run.target)
    kernel = run.kernel(factory, *sizes, run.dtype, *arguments)
    if run.compile_only:
        return
    chunks, rng = S // L, np.random.default_rng(2)
    steps = (rng.random((batch, heads, chunks, L)) * 0.1).astype(np.float32)
    sums = np.cumsum(-steps * (rng.random((1, heads, 1, 1)) + 0.5), axis=-1, dtype=np.float32)
    gains = rng.standard_normal(heads).astype(np.float32)
    cb = run.random((batch, chunks, groups, L, L), run.dtype)
    x, c = run.random((batch, S, heads, P), run.dtype), run.random((batch, S, groups, N), run.dtype)
    states = run.random((batch, chunks, heads, P, N), run.dtype, N**-0.5)
    inputs = cb, x, run.on_device(steps), run.on_device(sums), c, states, run.on_device(gains)
    out = kernel(*inputs)
    got, want = [], []
    for b, k, h in {(0, 0, 0), (batch - 1, chunks - 1, heads - 1), (0, chunks // 2, heads // 2)}:
        here, group = slice(k * L, (k + 1) * L), h // (heads // groups)
        parts = [float64(v) for v in (cb[b, k, group], x[b, here, h])]
        ends = [float64(v) for v in (c[b, here, group], states[b, k, h])]
        want.append(reference(*parts, steps[b, h, k].astype(float), sums[b, h, k].astype(float), *ends, gains[h]))
        got.append(float64(out[b, here, h]))
    run.check(f"chunk_scan B={batch} S={S} L={L} H={heads} P={P} N={N}", np.stack(got), np.stack(want))
    flops = batch * S * heads * P * (2 * N + L)
    moved = 2 * (2 * batch * S * heads * P + batch * chunks * (groups * L * L + heads * P * N) + batch * S * groups * N)
    run.time(lambda: kernel(*inputs), flops=flops)
    run.time(lambda: kernel(*inputs), bytes_moved=moved)


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    blocks = (chunk_scan_rows, 64, 32, 2, 128)
    small = [((1, 128, 64, 2, 1, 64, 64), blocks), ((2, 144, 72, 2, 2, 64, 64), blocks)]
    # Mamba-2 2.7B and Mamba-Codestral 7B.
    real = [((8, 4096, 256, 80, 1, 64, 128), ()), ((1, 32768, 256, 128, 8, 64, 128), ())]
    for sizes, form in run.pick(small, real):
        scan(run, sizes, form)
    return run


if __name__ == "__main__":
    main()
