"""`python -m tests.fuzz.chains --count N --seed S --target sm_100a`: random chains of products, such as attention and
linear attention, against numpy in float64.

A block walks over keys; a product of each block of keys passes through the threads into one or two further products.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tests.fuzz.campaign import campaign
from tilelang_mlir import knobs
from tilelang_mlir.errors import LayoutError, ResourceError, UnsupportedError

LOG2_E = 1.4426950408889634
TOLERANCE = {"float16": 4e-3, "bfloat16": 2e-2}


@dataclass(frozen=True)
class Case:
    """O[queries, width_out] = f(Q K^T) V, and with `products` of three also O2 = f(Q K^T) W."""

    target: str
    queries: int
    keys: int
    width: int
    width_out: int
    tiles: tuple[int, int]
    stages: int
    threads: int
    dtype: str
    weights: str  # what becomes of scores
    causal: bool
    products: int
    carried: bool  # weights pass through shared memory
    early: bool  # V is loaded in front of the first product
    masked_first: bool  # masks are the initial values of scores
    held: bool  # Q is in registers
    heads: int
    seed: int


def case_of(seed: int, target: str) -> Case:
    """The case of a seed."""
    rng = random.Random(seed)
    bm, bn = rng.choice((64, 64, 128, 128, 128)), rng.choice((16, 32, 48, 64, 64, 64, 80, 96, 128))
    width, width_out = rng.choice((32, 64, 64, 80, 128)), rng.choice((16, 32, 64, 64, 96, 128))
    if target.startswith("gfx"):
        bm, bn, width, width_out = 64, min(bn, 64), min(width, 64), min(width_out, 64)
    threads = rng.choice((128, 128, 256)) if bm >= 128 else 128
    return Case(
        target, rng.choice((1, 63, 100, 128, 200)), rng.choice((1, 37, 64, 130, 200, 256)), width, width_out, (bm, bn),
        rng.choice((0, 1, 2, 2, 2, 3)), threads, rng.choice(("float16", "bfloat16")),
        rng.choice(("softmax", "softmax", "softmax", "exp", "linear", "relu", "decay")), rng.random() < 0.4,
        rng.choice((2, 2, 2, 3)), rng.random() < 0.25, rng.random() < 0.5, rng.random() < 0.4, rng.random() < 0.15,
        rng.choice((1, 2)), seed,
    )  # fmt: skip


@T.macro
def _weigh(
    case: Any, scores: Any, weights: Any, rows: Any, out: Any, more: Any, row: Any, column: Any, scale: Any
) -> Any:
    """Scores to weights; the running sums in `rows` (largest, previous, shrink, part, total) follow."""
    bm, bn = case.tiles
    largest, previous, shrink, part, total = rows
    if case.weights == "softmax":
        T.copy(largest, previous)
        T.reduce_max(scores, largest, dim=1, clear=False)
        for i in T.Parallel(bm):
            shrink[i] = T.exp2((previous[i] - largest[i]) * scale)
        for i, j in T.Parallel(bm, bn):
            scores[i, j] = T.exp2(scores[i, j] * scale - largest[i] * scale)
        T.reduce_sum(scores, part, dim=1)
        for i in T.Parallel(bm):
            total[i] = total[i] * shrink[i] + part[i]
        for i, j in T.Parallel(bm, case.width_out):
            out[i, j] *= shrink[i]
        if case.products == 3:
            for i, j in T.Parallel(bm, case.width_out):
                more[i, j] *= shrink[i]
    if case.weights == "exp":
        for i, j in T.Parallel(bm, bn):
            scores[i, j] = T.exp2(scores[i, j] * scale)
        T.reduce_sum(scores, part, dim=1)
        for i in T.Parallel(bm):
            total[i] += part[i]
    if case.weights == "relu":
        for i, j in T.Parallel(bm, bn):
            scores[i, j] = T.max(scores[i, j] * scale, 0)
    if case.weights == "decay":
        for i, j in T.Parallel(bm, bn):
            scores[i, j] = scores[i, j] * scale / (1 + T.abs(T.cast(row + i - column - j, "float32")))
    T.copy(scores, weights)


def program(case: Case) -> Any:
    """The T program: Q, K, V, W, O, O2 [heads, rows, columns]."""
    (bm, bn), dtype, heads = case.tiles, case.dtype, case.heads
    M, N, D, E = case.queries, case.keys, case.width, case.width_out
    scale = D**-0.5 * LOG2_E
    out_of_range = -T.infinity("float32") if case.weights in ("softmax", "exp") else 0
    masked = case.causal or N % bn != 0
    queries, keys, values, results = ((heads, *size) for size in ((M, D), (N, D), (N, E), (M, E)))

    @T.prim_func
    def main(Q: T.Tensor(queries, dtype), K: T.Tensor(keys, dtype), V: T.Tensor(values, dtype),
             W: T.Tensor(values, dtype), O: T.Tensor(results, dtype), O2: T.Tensor(results, dtype)):  # fmt: skip
        with T.Kernel(T.ceildiv(M, bm), heads, threads=case.threads) as (bx, head):
            q, k = T.alloc_shared((bm, D), dtype), T.alloc_shared((bn, D), dtype)
            v, w = T.alloc_shared((bn, E), dtype), T.alloc_shared((bn, E), dtype)
            held, carrier = T.alloc_fragment((bm, D), dtype), T.alloc_shared((bm, bn), dtype)
            scores, weights = T.alloc_fragment((bm, bn), "float32"), T.alloc_fragment((bm, bn), dtype)
            out, more = T.alloc_fragment((bm, E), "float32"), T.alloc_fragment((bm, E), "float32")
            rows = tuple(T.alloc_fragment((bm,), "float32") for _ in range(5))
            T.copy(Q[head, bx * bm : (bx + 1) * bm, :], q)
            if case.held:
                T.copy(q, held)
            T.clear(out)
            T.clear(more)
            T.fill(rows[0], -1e30)
            T.clear(rows[4])
            last = T.min(N, (bx + 1) * bm) if case.causal else N
            for step in T.Pipelined(T.ceildiv(last, bn), num_stages=case.stages):
                T.copy(K[head, step * bn : (step + 1) * bn, :], k)
                if case.early:
                    T.copy(V[head, step * bn : (step + 1) * bn, :], v)
                if masked and case.masked_first and out_of_range != 0:
                    for i, j in T.Parallel(bm, bn):
                        seen = (step * bn + j < N) & ((bx * bm + i >= step * bn + j) | (not case.causal))
                        scores[i, j] = T.if_then_else(seen, 0, out_of_range)
                else:
                    T.clear(scores)
                T.gemm(held if case.held else q, k, scores, transpose_B=True)
                if masked and not (case.masked_first and out_of_range != 0):
                    for i, j in T.Parallel(bm, bn):
                        seen = (step * bn + j < N) & ((bx * bm + i >= step * bn + j) | (not case.causal))
                        scores[i, j] = T.if_then_else(seen, scores[i, j], out_of_range)
                _weigh(case, scores, weights, rows, out, more, bx * bm, step * bn, scale)
                if not case.early:
                    T.copy(V[head, step * bn : (step + 1) * bn, :], v)
                if case.carried:
                    T.copy(weights, carrier)
                T.gemm(carrier if case.carried else weights, v, out)
                if case.products == 3:
                    T.copy(W[head, step * bn : (step + 1) * bn, :], w)
                    T.gemm(carrier if case.carried else weights, w, more)
            if case.weights in ("softmax", "exp"):
                for i, j in T.Parallel(bm, E):
                    out[i, j] /= rows[4][i]
            T.copy(out, O[head, bx * bm : (bx + 1) * bm, :])
            if case.products == 3:
                T.copy(more, O2[head, bx * bm : (bx + 1) * bm, :])

    return main


def expected(case: Case, q: np.ndarray, k: np.ndarray, v: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """O and O2 from operands in float64."""
    scores = q @ k.transpose(0, 2, 1) * case.width**-0.5
    row, column = np.indices(scores.shape[1:])
    seen = (row >= column) | (not case.causal)
    if case.weights in ("softmax", "exp"):
        weights = np.where(seen, np.exp(scores), 0)
        total = weights.sum(2, keepdims=True)
        top = np.where(seen, scores, -np.inf).max(2, keepdims=True) if case.weights == "softmax" else 0.0
        return weights @ v / total, weights @ w * np.exp(-top)
    scores = np.where(seen, scores * LOG2_E, 0)
    if case.weights == "relu":
        scores = np.maximum(scores, 0)
    if case.weights == "decay":
        scores = scores / (1 + np.abs(row - column))
    if case.weights == "linear":
        scores = scores / LOG2_E * case.width**0.5
    return scores @ v, scores @ w


def run(case: Case) -> str:
    """`ok`, `rejected: ..` or what is wrong."""
    rng = np.random.default_rng(case.seed)
    kind = np.dtype(getattr(ml_dtypes, case.dtype, None) or case.dtype)
    made = lambda rows, columns: rng.standard_normal((case.heads, rows, columns)).astype(kind)
    M, N, D, E = case.queries, case.keys, case.width, case.width_out
    q, k, v, w = made(M, D), made(N, D), made(N, E), made(N, E)
    o, o2 = (np.full((case.heads, M, E), 99, kind) for _ in range(2))
    settings = {"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True, "TILELANG_SIM_SEED": case.seed % 3}
    with knobs.overrides(settings):
        try:
            kernel = tilelang.compile(program(case), target=f"sim:{case.target}")
        except (LayoutError, UnsupportedError, ResourceError) as error:
            return f"rejected: {str(error).splitlines()[0].split(': ', 1)[-1][:110]}"
        kernel(q, k, v, w, o, o2)
    want, want2 = expected(case, *(array.astype(np.float64) for array in (q, k, v, w)))
    pairs = [("O", o, want), ("O2", o2, want2)] if case.products == 3 else [("O", o, want)]
    for name, got, value in pairs:
        error = np.linalg.norm(got.astype(np.float64) - value) / max(np.linalg.norm(value), 1e-30)
        if not error <= TOLERANCE[case.dtype]:
            return f"mismatch of {name}: {error:.2e}"
    return "ok"


def main(arguments: Sequence[str] | None = None) -> int:
    return campaign("chains", __doc__, case_of, run, arguments)


if __name__ == "__main__":
    sys.exit(main())
