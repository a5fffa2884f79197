"""Which online softmax gets a lagging maximum, and that results do not change with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hopper_programs import check, compiled, f64, poisoned, random

import tilelang_mlir.language as T
from tilelang_mlir import knobs

ROWS, KEYS, DIM, BLOCK = 64, 192, 64, 64
SCALE = 0.18033688


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


@T.macro
def _join(change: str, s: Any, top: Any, before: Any) -> Any:
    """The maxima of the rows and of the scores."""
    if change in ("reset and joined", "another join"):
        T.fill(top, -T.infinity("float32"))
        T.reduce_max(s, top, dim=1, clear=False)
        for i in T.Parallel(ROWS):
            top[i] = T.max(top[i], before[i]) if change == "reset and joined" else top[i] + before[i] * 0
    elif change == "cleared and joined":
        T.reduce_max(s, top, dim=1, clear=True)
        for i in T.Parallel(ROWS):
            top[i] = T.max(before[i], top[i])
    else:
        T.reduce_max(s, top, dim=1, clear=False)


@T.macro
def _raise(change: str, s: Any, top: Any, before: Any, factor: Any) -> Any:
    """What has been added up shrinks by `factor`; scores to weights."""
    for i in T.Parallel(ROWS):
        if change == "distributed":
            factor[i] = T.exp2(before[i] * SCALE - top[i] * SCALE)
        elif change == "factors of another base":
            factor[i] = T.exp((before[i] - top[i]) * np.float32(SCALE * np.log(2)))
        elif change == "fast exponentials":
            factor[i] = T.__exp((before[i] - top[i]) * np.float32(SCALE * np.log(2)))
        elif change == "another scale":
            factor[i] = T.exp2((before[i] - top[i]) * (2 * SCALE))
        elif change == "negative scale":
            factor[i] = T.exp2((before[i] - top[i]) * -SCALE)
        else:
            factor[i] = T.exp2((before[i] - top[i]) * SCALE)
    for i, j in T.Parallel(ROWS, BLOCK):
        if change == "negative scale":
            s[i, j] = T.exp2((s[i, j] - top[i]) * -SCALE)
        elif change == "fast exponentials":
            s[i, j] = T.__exp((s[i, j] - top[i]) * np.float32(SCALE * np.log(2)))
        elif change == "guarded":
            s[i, j] = T.if_then_else(s[i, j] > -1e30, T.exp2(s[i, j] * SCALE - top[i] * SCALE), 0)
        else:
            s[i, j] = T.exp2(s[i, j] * SCALE - top[i] * SCALE)


@T.macro
def _add(change: str, total: Any, factor: Any, part: Any) -> Any:
    for i in T.Parallel(ROWS):
        if change == "part counted twice":
            total[i] = total[i] * factor[i] + part[i] + part[i]
        elif change == "distributed":
            total[i] = part[i] + factor[i] * total[i]
        else:
            total[i] = total[i] * factor[i] + part[i]


@T.macro
def _store_rows(change: str, Rows: Any, top: Any, total: Any, factor: Any) -> Any:
    for i in T.Parallel(ROWS):
        if change == "maximum stored":
            Rows[i] = top[i]
        elif change == "sum stored":
            Rows[i] = total[i]
        elif change == "logarithm":
            Rows[i] = T.log2(total[i]) + top[i] * SCALE
        elif change == "natural logarithm":
            Rows[i] = T.log(total[i]) + top[i] * np.float32(SCALE * np.log(2))
        elif change == "fast logarithm":
            Rows[i] = T.__log2(total[i]) + top[i] * SCALE
        elif change == "fast natural logarithm":
            Rows[i] = T.__log(total[i]) + top[i] * np.float32(SCALE * np.log(2))
        elif change == "decimal logarithm":
            Rows[i] = T.log10(total[i]) + top[i] * np.float32(SCALE * np.log10(2))
        elif change == "fast logarithm of another scale":
            Rows[i] = T.__log10(total[i]) + top[i] * SCALE
        elif change == "logarithm of another scale":
            Rows[i] = T.log2(total[i]) + top[i] * (2 * SCALE)
        elif change == "factor read behind the loop":
            Rows[i] = factor[i]
        elif change == "sink":
            total[i] += T.exp2(0.5 - top[i] * SCALE)


@T.macro
def _store(change: str, Out: Any, out: Any, total: Any) -> Any:
    if change == "accumulators stored":
        T.copy(out, Out)
    elif change == "sums rounded to halves":
        rounded = T.alloc_fragment((ROWS, DIM), "float16")
        T.copy(out, rounded)
        for i, j in T.Parallel(ROWS, DIM):
            Out[i, j] = rounded[i, j] / total[i]
    else:
        for i, j in T.Parallel(ROWS, DIM // 2 if change == "half of the sums divided" else DIM):
            out[i, j] = out[i, j] / total[i]
        T.copy(out, Out)


def program(change: str = "", weights: str = "float16") -> Any:
    """Attention of one block of queries; `change` says what is different from the plain form."""

    @T.prim_func
    def main(
        Q: T.Tensor((ROWS, DIM), "float16"), K: T.Tensor((KEYS, DIM), "float16"), V: T.Tensor((KEYS, DIM), "float16"),
        Out: T.Tensor((ROWS, DIM), "float32"), Rows: T.Tensor((ROWS,), "float32"),
    ):  # fmt: skip
        with T.Kernel(1, threads=128):
            Qs, Ks = T.alloc_shared((ROWS, DIM), "float16"), T.alloc_shared((BLOCK, DIM), "float16")
            Vs = T.alloc_shared((BLOCK, DIM), "float16")
            s, p = T.alloc_fragment((ROWS, BLOCK), "float32"), T.alloc_fragment((ROWS, BLOCK), weights)
            out, top = T.alloc_fragment((ROWS, DIM), "float32"), T.alloc_fragment((ROWS,), "float32")
            before, factor = T.alloc_fragment((ROWS,), "float32"), T.alloc_fragment((ROWS,), "float32")
            part, total = T.alloc_fragment((ROWS,), "float32"), T.alloc_fragment((ROWS,), "float32")
            T.copy(Q, Qs)
            T.clear(out)
            T.clear(total)
            T.fill(top, -T.infinity("float32"))
            if change == "factor read behind the loop":
                T.fill(factor, 1)
            for k in T.Pipelined(KEYS // BLOCK, num_stages=2):
                T.copy(K[k * BLOCK, 0], Ks)
                T.copy(V[k * BLOCK, 0], Vs)
                T.clear(s)
                T.gemm(Qs, Ks, s, transpose_B=True, policy=T.GemmWarpPolicy.FullRow)
                T.copy(top, before)
                _join(change, s, top, before)
                if change == "scores capped behind the maximum":
                    for i, j in T.Parallel(ROWS, BLOCK):
                        s[i, j] = T.min(s[i, j], 30)
                _raise(change, s, top, before, factor)
                T.reduce_sum(s, part, dim=1)
                _add(change, total, factor, part)
                if change == "weights stored":
                    for i, j in T.Parallel(ROWS, BLOCK):
                        Out[i, j] = s[i, j]
                T.copy(s, p)
                for i, j in T.Parallel(ROWS, DIM):
                    out[i, j] *= factor[i]
                if change == "sums touched":
                    for i in T.Parallel(ROWS):
                        total[i] += 1
                if weights == "float16":
                    T.gemm(p, Vs, out, policy=T.GemmWarpPolicy.FullRow)
                else:
                    half = T.alloc_fragment((ROWS, BLOCK), "float16")
                    T.copy(p, half)
                    T.gemm(half, Vs, out, policy=T.GemmWarpPolicy.FullRow)
            _store_rows(change, Rows, top, total, factor)
            _store(change, Out, out, total)

    return main


def exact(q: np.ndarray, k: np.ndarray, v: np.ndarray, change: str) -> tuple[np.ndarray, np.ndarray | None]:
    s = q @ k.T * SCALE
    top = s.max(1)
    weights = np.exp2(s - top[:, None])
    total, out = weights.sum(1), weights @ v
    sink = np.exp2(0.5 - top) if change == "sink" else 0.0
    rows = {"logarithm": np.log2(total) + top, "natural logarithm": np.log(total) + top * np.log(2)}
    rows |= {"fast logarithm": rows["logarithm"], "fast natural logarithm": rows["natural logarithm"]}
    rows |= {"decimal logarithm": (np.log2(total) + top) * np.log10(2)}
    rows |= {"maximum stored": top / SCALE, "sum stored": total}
    divisor = np.repeat((total + sink)[:, None], DIM, 1)
    if change == "half of the sums divided":
        divisor[:, DIM // 2 :] = 1
    return (out if change == "accumulators stored" else out / divisor), rows.get(change)


def inputs(kind: str) -> tuple[np.ndarray, ...]:
    q, k, v = (random(shape, "float16", seed) for shape, seed in (((ROWS, DIM), 1), ((KEYS, DIM), 2), ((KEYS, DIM), 3)))
    sizes = {"plain": np.ones(KEYS), "rising": np.linspace(0.1, 8, KEYS), "falling": np.linspace(8, 0.1, KEYS)}[kind]
    return q, (k * sizes[:, None]).astype(np.float16), v


def run(change: str, kind: str = "plain", **configs: bool) -> tuple[bool, Any]:
    """Whether the maximum lags; the output is checked."""
    kernel = compiled(program(change), **configs)
    q, k, v = inputs(kind)
    out, rows = poisoned((ROWS, DIM), "float32"), np.zeros(ROWS, np.float32)
    kernel(q, k, v, out, rows)
    want, want_rows = exact(f64(q), f64(k), f64(v), change)
    check(out, want, "float16")  # weights have 16 bits
    if want_rows is not None:
        check(rows, want_rows, "float16")
    return "tl.outgrows" in kernel.ir("scheduled"), kernel


SAME = ["", "distributed", "reset and joined", "cleared and joined", "factors of another base", "logarithm",
        "natural logarithm", "fast logarithm", "fast natural logarithm", "decimal logarithm", "fast exponentials",
        "sink"]  # fmt: skip


@pytest.mark.parametrize(("change", "kind"), [*((change, "rising") for change in SAME), ("", "plain"), ("", "falling")])
def test_lags(change: str, kind: str) -> None:
    lags, _ = run(change, kind)
    # exp(x c ln 2) is exp2(x c) only up to rounding of the constant: then nothing is rewritten.
    assert lags == (change != "factors of another base")


def test_rescales_where_the_maximum_rises() -> None:
    """The rare branch does run: without it exponentials would overflow the weights."""
    q, k, _ = (f64(x) for x in inputs("rising"))
    s = q @ k.T * SCALE
    assert (s[:, BLOCK:].max(1) - s[:, :BLOCK].max(1)).max() > 16
    assert run("", "rising")[0]


def test_switched_off() -> None:
    assert not run("", disable_lagging_maximum=True)[0]


@pytest.mark.parametrize(
    "change",
    ["maximum stored", "sum stored", "accumulators stored", "half of the sums divided", "sums rounded to halves"],
)
def test_what_is_stored_keeps_the_exact_maximum(change: str) -> None:
    assert not run(change)[0]


@pytest.mark.parametrize(
    "change",
    [
        "another scale", "negative scale", "guarded", "part counted twice", "weights stored", "sums touched",
        "another join", "logarithm of another scale", "fast logarithm of another scale",
        "factor read behind the loop",
        "scores capped behind the maximum",
    ],
)  # fmt: skip
def test_near_misses(change: str) -> None:
    kernel = compiled(program(change))
    assert "tl.outgrows" not in kernel.ir("scheduled")


def test_weights_of_32_bits_keep_the_exact_maximum() -> None:
    assert "tl.outgrows" not in compiled(program("", "float32")).ir("scheduled")
