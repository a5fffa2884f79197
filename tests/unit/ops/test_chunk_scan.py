"""`ops.chunk_scan` in the simulator against float64, in both of its forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tilelang_mlir import errors, ops
from tilelang_mlir.ops.chunk_scan import chunk_scan_heads, chunk_scan_rows, scan_form
from tilelang_mlir.ops.ready import ready

TARGET = "sim:sm_90a"


def inputs(random: Any, batch: int, chunks: int, L: int, heads: int, groups: int, P: int, N: int) -> list[np.ndarray]:
    stream = np.random.default_rng(5)
    dt = (stream.random((batch, heads, chunks, L)) * 0.1).astype(np.float32)
    a = np.cumsum(-dt * 1.2, axis=-1, dtype=np.float32)
    cb, x = random(batch, chunks, groups, L, L), random(batch, chunks * L, heads, P)
    c, states = random(batch, chunks * L, groups, N), random(batch, chunks, heads, P, N) * np.float16(N**-0.5)
    return [cb, x, dt, a, c, states.astype(np.float16), random(heads, kind=np.float32)]


def exact(cb: Any, x: Any, dt: Any, a: Any, c: Any, states: Any, d: Any) -> np.ndarray:
    cb, x, dt, a, c, states = (v.astype(np.float64) for v in (cb, x, dt, a, c, states))
    (batch, chunks, groups, L, _), heads, out = cb.shape, x.shape[2], np.zeros_like(x)
    for b, k, h in np.ndindex(batch, chunks, heads):
        here, g, s, t = slice(k * L, (k + 1) * L), h // (heads // groups), a[b, h, k], dt[b, h, k]
        decay = np.exp(np.minimum(s[:, None] - s[None, :], 0)) * t[None, :]
        state = np.exp(s)[:, None] * (c[b, here, g] @ states[b, k, h].T)
        out[b, here, h] = state + np.tril(cb[b, k, g] * decay) @ x[b, here, h] + d[h] * x[b, here, h]
    return out


@pytest.mark.parametrize(
    ("sizes", "target", "form"),
    [
        ((1, 1, 256, 2, 1, 16, 64), TARGET, chunk_scan_heads),
        ((2, 1, 128, 2, 2, 16, 128), TARGET, chunk_scan_heads),
        ((1, 2, 72, 2, 1, 32, 64), TARGET, chunk_scan_rows),
        ((1, 1, 128, 2, 1, 64, 64), "sim:sm_80", chunk_scan_rows),
    ],
)
def test_outputs(random: Any, error_of: Any, sizes: tuple[int, ...], target: str, form: Any) -> None:
    batch, chunks, L, *rest = sizes
    assert scan_form((batch, chunks * L, L, *rest), target)[0] is form
    arguments = inputs(random, *sizes)
    assert error_of(ops.chunk_scan(*arguments, target=target), exact(*arguments)) < 2e-3


def test_large_heads_are_loaded_by_a_role_of_their_own() -> None:
    sizes = 1, 1024, 256, 32, 1, 64, 128
    factory, together = scan_form(sizes, "cuda:sm_90a")
    kernel = ready(factory, "cuda:sm_90a", *sizes, "bfloat16", together)
    assert together == 16 and kernel.n_spills == 0 and "tl.specialize" in kernel.ir("scheduled")
    assert "mma.sync" not in kernel.get_kernel_source()


def test_steps_fill_their_chunks(random: Any) -> None:
    arguments = inputs(random, 1, 1, 64, 2, 1, 16, 16)
    arguments[1] = arguments[1][:, :60]
    with pytest.raises(errors.TileValueError, match="60 steps in 1 chunks of 64, and 2 heads in 1 groups"):
        ops.chunk_scan(*arguments, target=TARGET)
