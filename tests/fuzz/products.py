"""`python -m tests.fuzz.products --count N --seed S --target sm_100a`: random products of large tiles, with what
becomes of a finished tile, on a machine of few multiprocessors, against numpy in float64.

The tiles are as large as instructions of a warpgroup or of tensor memory want them; those of `generate` are not.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from unittest.mock import PropertyMock, patch

import ml_dtypes
import numpy as np

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tests.fuzz.campaign import campaign
from tests.fuzz.state import features
from tests.util.operands import copy_operands
from tilelang_mlir import knobs
from tilelang_mlir.errors import LayoutError, ResourceError, UnsupportedError
from tilelang_mlir.target import Target

ENDS = ("plain", "plain", "bias", "tile", "sums", "residual", "two", "atomic", "rows", "max")
_TOLERANCE = {"float32": 1e-5, "float16": 2e-3, "bfloat16": 1e-2}


@dataclass(frozen=True)
class Case:
    """A product [M, K] x [K, N] in tiles, and what happens to a tile at its end."""

    target: str
    size: tuple[int, int, int]
    tiles: tuple[int, int, int]
    threads: int
    stages: int
    dtype: str
    sums: str
    out: str
    transposed: tuple[bool, bool]
    end: str
    dynamic: str  # letters of the sizes that are known at run time only
    swizzle: int
    multiprocessors: int
    seed: int

    def shapes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        M, N, K = self.size
        a, b = (M, K), (K, N)
        return (a[::-1] if self.transposed[0] else a), (b[::-1] if self.transposed[1] else b)


def case_of(seed: int, target: str) -> Case:
    """The case of a seed."""
    rng = random.Random(seed)
    dtype, sums = rng.choice([pair for pair in features(target).gemm if pair[0] != "float64"])
    bits = {"float32": 32, "float16": 16, "bfloat16": 16}.get(dtype, 8)
    bm, bn = rng.choice((64, 128, 128, 128, 192, 256)), rng.choice((16, 32, 48, 64, 64, 96, 128, 128, 192, 256))
    bk = rng.choice((256, 512, 512, 1024)) // bits
    while (bm + bn) * bk * bits // 8 > 24 << 10 or bm * bn > 16384 and target.startswith("gfx"):
        bm, bn, bk = max(bm // 2, 64), max(bn // 2, 16), max(bk // 2, 256 // bits)
    tiles_m, tiles_n = rng.choice((1, 2, 3)), rng.choice((1, 2))
    step = rng.choice((1, 16 * 8 // bits))
    M, N = tiles_m * bm - rng.choice((0, 1, 17, bm // 2)), tiles_n * bn - rng.choice((0, 0, 8, 3))
    K = max(rng.choice((1, 2, 4, 5)) * bk - rng.choice((0, 0, step, 3 * step)), step)
    out = sums if sums in ("int32", "float16") else rng.choice(("float32", "float16", "bfloat16"))
    return Case(
        target, (M, N, K), (bm, bn, bk), rng.choice((128, 128, 256)), rng.choice((0, 1, 2, 3, 4)), dtype, sums, out,
        (rng.random() < 0.3, rng.random() < 0.6), rng.choice(ENDS), rng.choice(("", "", "M", "MN", "K", "MNK")),
        rng.choice((0, 0, 2)), rng.choice((1, 2, 1000)), seed,
    )  # fmt: skip


def program(case: Case) -> Any:
    """The T program: A, B, V [N], D [M, N], C [M, N], S [M]."""
    sizes = [T.dynamic(name) if name in case.dynamic else n for name, n in zip("MNK", case.size, strict=True)]
    M, N, K = sizes
    (bm, bn, bk), (ta, tb), end = case.tiles, case.transposed, case.end
    dtype, sums, out = case.dtype, case.sums, case.out
    shape_a, shape_b = ((K, M) if ta else (M, K)), ((N, K) if tb else (K, N))

    @T.prim_func
    def main(A: T.Tensor(shape_a, dtype), B: T.Tensor(shape_b, dtype), V: T.Tensor((N,), "float32"),
             D: T.Tensor((M, N), "float32"), C: T.Tensor((M, N), out), S: T.Tensor((M,), sums)):  # fmt: skip
        with T.Kernel(T.ceildiv(N, bn), T.ceildiv(M, bm), threads=case.threads) as (bx, by):
            a = T.alloc_shared((bk, bm) if ta else (bm, bk), dtype)
            b = T.alloc_shared((bn, bk) if tb else (bk, bn), dtype)
            c, tile = T.alloc_fragment((bm, bn), sums), T.alloc_shared((bm, bn), out)
            d, v = T.alloc_fragment((bm, bn), "float32"), T.alloc_fragment((bn,), "float32")
            row = T.alloc_fragment((bm,), sums)
            if case.swizzle:
                T.use_swizzle(case.swizzle)
            T.clear(c)
            for k in T.Pipelined(T.ceildiv(K, bk), num_stages=case.stages):
                copy_operands(A, B, a, b, (by * bm, bx * bn, k * bk), (ta, tb))
                T.gemm(a, b, c, transpose_A=ta, transpose_B=tb)
            if end == "bias":
                T.copy(V[bx * bn], v)
                for i, j in T.Parallel(bm, bn):
                    c[i, j] = T.max(c[i, j] + T.cast(v[j], sums), 0)
            if end == "residual":
                T.copy(D[by * bm, bx * bn], d)
                for i, j in T.Parallel(bm, bn):
                    c[i, j] = c[i, j] * 2 + T.cast(d[i, j], sums)
            if end in ("sums", "max"):
                if end == "sums":
                    T.reduce_sum(c, row, dim=1)
                else:
                    T.reduce_max(c, row, dim=1)
                for i in T.Parallel(bm):
                    if by * bm + i < M:
                        if end == "sums":
                            T.atomic_add(S[by * bm + i], row[i])
                        else:
                            T.atomic_max(S[by * bm + i], row[i])
            if end == "rows":
                T.reduce_absmax(c, row, dim=1)
                for i, j in T.Parallel(bm, bn):
                    c[i, j] = c[i, j] - row[i]
            if end == "two":
                T.copy(c, D[by * bm, bx * bn])
                for i, j in T.Parallel(bm, bn):
                    c[i, j] = c[i, j] + c[i, j]
            if end == "tile":
                T.copy(c, tile)
                T.copy(tile, C[by * bm, bx * bn])
            elif end == "atomic":
                T.atomic_add(C[by * bm, bx * bn], c)
            else:
                T.copy(c, C[by * bm, bx * bn])

    return main


def _operand(shape: tuple[int, int], dtype: str, rng: np.random.Generator) -> np.ndarray:
    if dtype == "int8":
        return rng.integers(-8, 8, shape).astype(np.int8)
    value = rng.standard_normal(shape)
    if dtype == "float32":
        value = np.round(value * 8) / 8  # products of tf32 are exact
    return value.astype(getattr(ml_dtypes, dtype, None) or dtype)


def run(case: Case) -> str:
    """`ok`, `rejected: ..` or what is wrong."""
    rng = np.random.default_rng(case.seed)
    M, N, _ = case.size
    shape_a, shape_b = case.shapes()
    a, b = _operand(shape_a, case.dtype, rng), _operand(shape_b, case.dtype, rng)
    v, d = (np.round(rng.standard_normal(s) * 4).astype(np.float32) for s in ((N,), (M, N)))
    kind = np.dtype(getattr(ml_dtypes, case.out, None) or case.out)
    c = np.full((M, N), 99, kind) if case.end != "atomic" else np.zeros((M, N), kind)
    s = np.full((M,), -(2**20) if case.end == "max" and case.sums != "float16" else 0, case.sums)
    settings = {"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True, "TILELANG_SIM_SEED": case.seed % 3}
    with patch.object(Target, "multiprocessors", PropertyMock(return_value=case.multiprocessors)):
        with knobs.overrides(settings):
            try:
                kernel = tilelang.compile(program(case), target=f"sim:{case.target}")
            except (LayoutError, UnsupportedError, ResourceError) as error:
                return f"rejected: {str(error).splitlines()[0].split(': ', 1)[-1][:110]}"
            before = d.astype(np.float64)
            kernel(a, b, v, d, c, s)
    want = _product(case, a, b)
    found = [("C", c, _finished(case, want, v.astype(np.float64), before))]
    found += [("D", d, want)] if case.end == "two" else []
    found += [("S", s, want.sum(1))] if case.end == "sums" else []
    if case.end == "max" and case.sums != "float16":  # a last tile that is not whole has columns of zeros
        found.append(("S", s, np.maximum(want.max(1), 0) if N % case.tiles[1] else want.max(1)))
    for name, got, expected in found:
        allowed = max(_TOLERANCE.get(got.dtype.name, 0.0), 2e-2 if case.sums == "float16" else 0.0)
        error = np.linalg.norm(got.astype(np.float64) - expected) / max(np.linalg.norm(expected), 1e-30)
        if not error <= allowed:
            return f"mismatch of {name}: {error:.2e}"
    return "ok"


def _product(case: Case, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    left, right = a.astype(np.float64), b.astype(np.float64)
    return (left.T if case.transposed[0] else left) @ (right.T if case.transposed[1] else right)


def _finished(case: Case, want: np.ndarray, v: np.ndarray, d: np.ndarray) -> np.ndarray:
    """What becomes of C; a maximum over the columns of a tile covers that tile's columns only."""
    if case.end == "bias":
        return np.maximum(want + v, 0)
    if case.end == "residual":
        return want * 2 + d
    if case.end == "two":
        return want * 2
    if case.end == "rows":
        bn = case.tiles[1]
        starts = range(0, want.shape[1], bn)
        return np.hstack([want[:, s : s + bn] - np.abs(want[:, s : s + bn]).max(1, keepdims=True) for s in starts])
    return want


def main(arguments: Sequence[str] | None = None) -> int:
    return campaign("products", __doc__, case_of, run, arguments)


if __name__ == "__main__":
    sys.exit(main())
