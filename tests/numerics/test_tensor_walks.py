"""Plain products on tcgen05 whose blocks walk over output tiles: one is computed while the one before is stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hopper_programs import check, f64, poisoned, random
from tensor_programs import compiled

import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.target import Target

M, N, K = 300, 264, 136


def product(end: str, tiles: tuple[int, int, int], threads: int, stages: int, out: str, rows: Any = M) -> Any:
    """C = A B^T, with what `end` says done to a finished tile."""
    bm, bn, bk = tiles

    @T.prim_func
    def main(A: T.Tensor((rows, K), "float16"), B: T.Tensor((N, K), "float16"), V: T.Tensor((N,), "float32"),
             C: T.Tensor((rows, N), out), S: T.Tensor((rows,), "float32")):  # fmt: skip
        with T.Kernel(T.ceildiv(N, bn), T.ceildiv(rows, bm), threads=threads) as (bx, by):
            a, b = T.alloc_shared((bm, bk), "float16"), T.alloc_shared((bn, bk), "float16")
            c, total = T.alloc_fragment((bm, bn), "float32"), T.alloc_fragment((bm,), "float32")
            tile = T.alloc_shared((bm, bn), out)
            T.clear(c)
            for k in T.Pipelined(T.ceildiv(K, bk), num_stages=stages):
                T.copy(A[by * bm, k * bk], a)
                T.copy(B[bx * bn, k * bk], b)
                T.gemm(a, b, c, transpose_B=True)
            if end == "bias":
                for i, j in T.Parallel(bm, bn):
                    c[i, j] = T.max(c[i, j] + T.if_then_else(bx * bn + j < N, V[bx * bn + j], 0.0), 0.0)
            if end == "sums":
                T.reduce_sum(c, total, dim=1)
                for i in T.Parallel(bm):
                    if by * bm + i < rows:
                        T.atomic_add(S[by * bm + i], total[i])
            if end == "tile":
                T.copy(c, tile)
                T.copy(tile, C[by * bm, bx * bn])
            else:
                T.copy(c, C[by * bm, bx * bn])

    return main


@pytest.mark.parametrize(
    ("end", "tiles", "threads", "stages", "out", "seed"),
    [
        ("", (128, 256, 32), 128, 4, "float16", 0), ("bias", (128, 128, 64), 256, 3, "float32", 1),
        ("tile", (128, 96, 64), 128, 3, "float16", 2), ("sums", (128, 192, 32), 128, 4, "float32", 0),
        ("bias", (64, 128, 64), 128, 4, "float16", 1),
    ],
)  # fmt: skip
def test_walk(
    end: str, tiles: tuple[int, int, int], threads: int, stages: int, out: str, seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """On a machine of two multiprocessors; the rows of one program are counted at run time."""
    monkeypatch.setattr(Target, "multiprocessors", property(lambda _: 2))
    a, b, v = random((M, K), "float16", 1), random((N, K), "float16", 2), random((N,), "float32", 3)
    c, s = poisoned((M, N), out), np.zeros((M,), np.float32)
    rows = T.dynamic("rows") if end == "tile" else M
    with knobs.overrides({"TILELANG_SIM_SEED": seed, "TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        kernel = compiled(product(end, tiles, threads, stages, out, rows))
        kernel(a, b, v, c, s)
    scheduled = kernel.ir("scheduled")
    assert "persistent = 2" in scheduled and "repeated}" in scheduled
    assert f"2x{tiles[0]}x{tiles[1]}xf32, #tl.scope<\"tmem\">" in scheduled
    lowered = kernel.ir("lowered")
    assert "nvvm.cp.async.bulk.tensor.global" in lowered
    assert "nvvm.minctasm = 1" in lowered  # without it, ptxas spills for blocks that tensor memory has no room for
    want = f64(a) @ f64(b).T
    check(c, np.maximum(want + f64(v), 0) if end == "bias" else want, out)
    if end == "sums":
        check(s, want.sum(1), "float32")
