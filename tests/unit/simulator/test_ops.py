"""arith, math and vector ops against Python's own numbers: varying, mixed and uniform operands."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.unit.simulator.texts import Text, poisoned
from tilelang_mlir import errors

_BITS = {"i8": 8, "i16": 16, "i32": 32, "i64": 64}
_NUMPY: dict[str, Any] = {
    "i8": np.int8,
    "i16": np.int16,
    "i32": np.int32,
    "i64": np.int64,
    "f16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "f32": np.float32,
    "f64": np.float64,
}


def _wrap(value: int, bits: int) -> int:
    return (value + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


def _truncated(x: int, y: int) -> int:
    return abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)


def _u(x: int, bits: int) -> int:
    return x % (1 << bits)


INTEGER: dict[str, Callable[[int, int, int], int]] = {
    "addi": lambda x, y, b: x + y,
    "subi": lambda x, y, b: x - y,
    "muli": lambda x, y, b: x * y,
    "andi": lambda x, y, b: x & y,
    "ori": lambda x, y, b: x | y,
    "xori": lambda x, y, b: x ^ y,
    "divsi": lambda x, y, b: _truncated(x, y),
    "remsi": lambda x, y, b: x - _truncated(x, y) * y,
    "floordivsi": lambda x, y, b: x // y,
    "ceildivsi": lambda x, y, b: -(-x // y),
    "divui": lambda x, y, b: _u(x, b) // _u(y, b),
    "remui": lambda x, y, b: _u(x, b) % _u(y, b),
    "ceildivui": lambda x, y, b: -(-_u(x, b) // _u(y, b)),
    "maxsi": lambda x, y, b: max(x, y),
    "minsi": lambda x, y, b: min(x, y),
    "maxui": lambda x, y, b: max(_u(x, b), _u(y, b)),
    "minui": lambda x, y, b: min(_u(x, b), _u(y, b)),
    "shli": lambda x, y, b: x << y % b,
    "shrsi": lambda x, y, b: x >> y % b,
    "shrui": lambda x, y, b: _u(x, b) >> y % b,
}
COMPARE: dict[str, Callable[[int, int, int], bool]] = {
    "eq": lambda x, y, b: x == y,
    "ne": lambda x, y, b: x != y,
    "slt": lambda x, y, b: x < y,
    "sle": lambda x, y, b: x <= y,
    "sgt": lambda x, y, b: x > y,
    "sge": lambda x, y, b: x >= y,
    "ult": lambda x, y, b: _u(x, b) < _u(y, b),
    "ule": lambda x, y, b: _u(x, b) <= _u(y, b),
    "ugt": lambda x, y, b: _u(x, b) > _u(y, b),
    "uge": lambda x, y, b: _u(x, b) >= _u(y, b),
}


def _samples(kind: str, count: int) -> list[int]:
    bits = _BITS[kind]
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    rng = np.random.default_rng(bits)
    edges = [0, 1, -1, low, high, 7, -7, 2, 16]
    return edges + [int(v) for v in rng.integers(low, high, count - len(edges), endpoint=True)]


@pytest.mark.parametrize("kind", list(_BITS))
def test_integer_ops(kind: str) -> None:
    """Every op on varying x varying, varying x uniform and uniform x uniform operands."""
    bits, lanes = _BITS[kind], 64
    xs, ys = _samples(kind, lanes), list(reversed(_samples(kind, lanes)))
    names = list(INTEGER) + list(COMPARE)
    t = Text(f"%x: !llvm.ptr<1>, %y: !llvm.ptr<1>, %z: !llvm.ptr<1>, %u: {kind}, %w: {kind}", lanes)
    tid = t.sreg("tid.x")
    x, y = t.load(t.at("%x", tid, kind), kind), t.load(t.at("%y", tid, kind), kind)
    slot = 0
    for left, right in ((x, y), (x, "%w"), ("%u", y), ("%u", "%w")):
        for name in names:
            shift = name.startswith("sh")
            rhs = t.op("andi", right, bits - 1, kind) if shift else right
            if name in INTEGER:
                value = t.op(name, left, rhs, kind)
            else:
                value = t.let(f"arith.extui {t.cmp(name, left, rhs, kind)} : i1 to {kind}")
            t.store(value, t.at("%z", t.add(t.mul(tid, 4 * len(names)), slot), kind), kind)
            slot += 1
    out = poisoned((lanes, 4, len(names)), _NUMPY[kind])
    u, w = xs[20], -5
    t.run(1, np.array(xs, _NUMPY[kind]), np.array(ys, _NUMPY[kind]), out, u, w)
    for lane in range(lanes):
        for case, (a, b) in enumerate(((xs[lane], ys[lane]), (xs[lane], w), (u, ys[lane]), (u, w))):
            for k, name in enumerate(names):
                if "div" in name or "rem" in name:
                    overflow = a == -(1 << bits - 1) and b == -1
                    if b == 0 or overflow:
                        continue
                b_used = b & (bits - 1) if name.startswith("sh") else b
                want = _wrap(int((INTEGER.get(name) or COMPARE[name])(a, b_used, bits)), bits)
                assert int(out[lane, case, k]) == want, (name, a, b)


FLOAT = {
    "addf": lambda x, y: x + y,
    "subf": lambda x, y: x - y,
    "mulf": lambda x, y: x * y,
    "maxnumf": max,
    "minnumf": min,
    "maximumf": max,
    "minimumf": min,
}


@pytest.mark.parametrize("kind", ["f16", "bf16", "f32", "f64"])
def test_float_arithmetic_rounds_once(kind: str) -> None:
    dtype = _NUMPY[kind]
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal(64).astype(dtype) for _ in range(2))
    t = Text(f"%x: !llvm.ptr<1>, %y: !llvm.ptr<1>, %z: !llvm.ptr<1>, %u: {kind}", 64)
    tid = t.sreg("tid.x")
    a, b = t.load(t.at("%x", tid, kind), kind), t.load(t.at("%y", tid, kind), kind)
    for k, name in enumerate(FLOAT):
        t.store(t.op(name, a, b, kind), t.at("%z", t.add(t.mul(tid, 16), 2 * k), kind), kind)
        t.store(t.op(name, a, "%u", kind), t.at("%z", t.add(t.mul(tid, 16), 2 * k + 1), kind), kind)
    t.store(t.op("divf", a, b, kind), t.at("%z", t.add(t.mul(tid, 16), 14), kind), kind)
    t.store(t.op("addf", "%u", "%u", kind), t.at("%z", t.add(t.mul(tid, 16), 15), kind), kind)
    out = poisoned((64, 16), dtype)
    t.run(1, x, y, out, float(y[0]))
    wide_x, wide_y = x.astype(np.float64), y.astype(np.float64)
    for lane in range(64):
        for k, function in enumerate(FLOAT.values()):
            assert out[lane, 2 * k] == dtype(function(wide_x[lane], wide_y[lane]))
            assert out[lane, 2 * k + 1] == dtype(function(wide_x[lane], wide_y[0]))
        assert out[lane, 14] == (x[lane] / y[lane] if kind != "bf16" else dtype(wide_x[lane] / wide_y[lane]))
        assert out[lane, 15] == dtype(2 * wide_y[0])


def test_fused_multiply_add_rounds_once() -> None:
    t = Text("%x: !llvm.ptr<1>, %z: !llvm.ptr<1>", 32)
    tid = t.sreg("tid.x")
    a, b, c = (t.load(t.at("%x", t.add(t.mul(tid, 3), k))) for k in range(3))
    t.store(t.let(f"math.fma {a}, {b}, {c} : f32"), t.at("%z", tid))
    rng = np.random.default_rng(1)
    x = rng.standard_normal((32, 3)).astype(np.float32)
    x[0] = 1 + 2.0**-12, 1 + 2.0**-12, 2.0**-60  # the sum through float64 alone rounds to the wrong neighbour
    out = poisoned(32)
    t.run(1, x, out)
    from fractions import Fraction

    for row, got in zip(x, out, strict=True):
        exact = Fraction(float(row[0])) * Fraction(float(row[1])) + Fraction(float(row[2]))
        neighbours = [np.nextafter(got, np.float32(-np.inf)), got, np.nextafter(got, np.float32(np.inf))]
        distance = [abs(Fraction(float(n)) - exact) for n in neighbours]
        assert distance[1] == min(distance)


MATH = {
    "exp": math.exp,
    "exp2": lambda v: 2.0**v,
    "sin": math.sin,
    "cos": math.cos,
    "tanh": math.tanh,
    "floor": math.floor,
    "ceil": math.ceil,
    "trunc": math.trunc,
    "roundeven": round,
    "absf": abs,
    "erf": math.erf,
    "atan": math.atan,
}


@pytest.mark.parametrize("kind", ["f16", "bf16", "f32"])
def test_math(kind: str) -> None:
    dtype = _NUMPY[kind]
    x = (np.random.default_rng(2).standard_normal(32) * 3).astype(dtype)
    t = Text("%x: !llvm.ptr<1>, %z: !llvm.ptr<1>", 32)
    tid = t.sreg("tid.x")
    value = t.load(t.at("%x", tid, kind), kind)
    positive = t.let(f"math.absf {value} : {kind}")
    names = [*MATH, "sqrt", "rsqrt", "log", "log2"]
    for k, name in enumerate(names):
        result = t.let(f"math.{name} {positive if k >= len(MATH) else value} : {kind}")
        t.store(result, t.at("%z", t.add(t.mul(tid, len(names)), k), kind), kind)
    out = poisoned((32, len(names)), dtype)
    t.run(1, x, out)
    functions = [*MATH.values(), math.sqrt, lambda v: 1 / math.sqrt(v), math.log, math.log2]
    tolerance = {"f16": 2e-3, "bf16": 1e-2, "f32": 1e-6}[kind]
    for k, function in enumerate(functions):
        want = np.array([function(abs(float(v)) if k >= len(MATH) else float(v)) for v in x])
        assert np.allclose(out[:, k].astype(np.float64), want, rtol=tolerance, atol=tolerance), names[k]


CASTS = [
    ("extsi", "i8", "i32", lambda v: v),
    ("extui", "i8", "i64", lambda v: v % 256),
    ("trunci", "i32", "i8", lambda v: _wrap(v, 8)),
    ("sitofp", "i32", "f32", float),
    ("uitofp", "i32", "f64", lambda v: float(v % 2**32)),
    ("sitofp", "i32", "f16", float),
    ("sitofp", "i32", "bf16", float),
]


@pytest.mark.parametrize(("op", "source", "target", "function"), CASTS)
def test_integer_casts(op: str, source: str, target: str, function: Callable[[int], Any]) -> None:
    x = np.array(_samples(source, 32), _NUMPY[source])
    t = Text(f"%x: !llvm.ptr<1>, %z: !llvm.ptr<1>, %u: {source}", 32)
    tid = t.sreg("tid.x")
    value = t.load(t.at("%x", tid, source), source)
    t.store(t.let(f"arith.{op} {value} : {source} to {target}"), t.at("%z", tid, target), target)
    t.store(t.let(f"arith.{op} %u : {source} to {target}"), t.at("%z", t.add(tid, 32), target), target)
    out = poisoned(64, _NUMPY[target])
    t.run(1, x, out, -100)
    with np.errstate(over="ignore"):
        want = np.array([function(int(v)) for v in [*x, *[-100] * 32]]).astype(_NUMPY[target])
    assert np.array_equal(out, want)


@pytest.mark.parametrize("target", ["f16", "bf16"])
@pytest.mark.parametrize("source", ["f32", "f64"])
def test_float_narrowing_rounds_to_nearest_even(source: str, target: str) -> None:
    rng = np.random.default_rng(3)
    x = np.concatenate(
        [
            rng.standard_normal(100),
            [
                1 + 2.0**-9,
                1 + 2.0**-9 + 2.0**-40,
                1 + 3 * 2.0**-9,
                1e5,
                -1e30,
                np.inf,
                np.nan,
                1 + 2.0**-11,
                1 + 2.0**-11 + 2.0**-40,
                2.0**-25,
                0.0,
                -0.0,
            ],
        ]
    )
    x = np.concatenate([x, np.zeros(128 - len(x))]).astype(_NUMPY[source])
    t = Text("%x: !llvm.ptr<1>, %z: !llvm.ptr<1>", 128)
    tid = t.sreg("tid.x")
    value = t.load(t.at("%x", tid, source), source)
    t.store(t.let(f"arith.truncf {value} : {source} to {target}"), t.at("%z", tid, target), target)
    out = poisoned(128, _NUMPY[target])
    t.run(1, x, out)
    exponent, digits = {"f16": (-24, 11), "bf16": (-133, 8)}[target]
    for value, got in zip(x.astype(np.float64), out.astype(np.float64), strict=True):
        if not np.isfinite(value):
            assert np.array_equal(got, value, equal_nan=True)
            continue
        unit = 2.0 ** max(math.frexp(value)[1] - digits, exponent)
        want = round(value / unit) * unit
        assert got == (
            want if abs(want) <= float(ml_dtypes.finfo(_NUMPY[target]).max) else math.copysign(math.inf, value)
        )


def test_float_to_integer_saturates() -> None:
    x = np.array([1.9, -1.9, 3e9, -3e9, np.nan, np.inf, 2147483520.0, 0.0], np.float32)
    t = Text("%x: !llvm.ptr<1>, %z: !llvm.ptr<1>", 8)
    tid = t.sreg("tid.x")
    value = t.load(t.at("%x", tid))
    t.store(t.let(f"arith.fptosi {value} : f32 to i32"), t.at("%z", tid, "i32"), "i32")
    t.store(t.let(f"arith.fptoui {value} : f32 to i32"), t.at("%z", t.add(tid, 8), "i32"), "i32")
    out = poisoned(16, np.int32)
    t.run(1, x, out)
    assert out[:8].tolist() == [1, -1, 2**31 - 1, -(2**31), 0, 2**31 - 1, 2147483520, 0]
    assert out[8:].view(np.uint32).tolist() == [1, 0, 3000000000, 0, 0, 2**32 - 1, 2147483520, 0]


def test_vectors() -> None:
    t = Text("%x: !llvm.ptr<1>, %z: !llvm.ptr<1>", 32)
    tid = t.sreg("tid.x")
    v = t.load(t.at("%x", tid, "vector<4xf32>"), "vector<4xf32>")
    first = t.let(f"vector.extract {v}[0] : f32 from vector<4xf32>")
    swapped = t.let(f"vector.shuffle {v}, {v} [3, 6, 1, 0] : vector<4xf32>, vector<4xf32>")
    put = t.let(f"vector.insert {first}, {swapped}[2] : f32 into vector<4xf32>")
    pair = t.let(
        f"vector.extract_strided_slice {put} {{offsets = [1], sizes = [2], strides = [1]}} "
        ": vector<4xf32> to vector<2xf32>"
    )
    last = t.let(f"vector.extract {pair}[1] : f32 from vector<2xf32>")
    total = t.let(f"vector.reduction <add>, {v} : vector<4xf32> into f32")
    spread = t.let(f"vector.broadcast {total} : f32 to vector<4xf32>")
    built = t.let(f"vector.from_elements {first}, {last}, {total}, {first} : vector<4xf32>")
    t.store(
        t.op("addf", t.op("mulf", put, spread, "vector<4xf32>"), built, "vector<4xf32>"),
        t.at("%z", tid, "vector<4xf32>"),
        "vector<4xf32>",
    )
    narrow = t.let(f"arith.truncf {v} : vector<4xf32> to vector<4xbf16>")
    words = t.let(f"vector.bitcast {narrow} : vector<4xbf16> to vector<2xi32>")
    t.store(words, t.at("%z", t.add(tid, 64), "i64"), "vector<2xi32>")
    x = np.random.default_rng(4).standard_normal((32, 4)).astype(np.float32)
    z = poisoned((48, 4))
    t.run(1, x, z)
    put_want = np.stack([x[:, 3], x[:, 2], x[:, 0], x[:, 0]], axis=1)
    total_want = ((x[:, 0] + x[:, 1]) + x[:, 2]) + x[:, 3]
    built_want = np.stack([x[:, 0], x[:, 0], total_want, x[:, 0]], axis=1)
    assert np.array_equal(z[:32], put_want * total_want[:, None] + built_want)
    assert np.array_equal(
        z[32:].reshape(-1).view(ml_dtypes.bfloat16).reshape(32, 4)[:, :4], x.astype(ml_dtypes.bfloat16)
    )


def test_unknown_types_and_kernels_are_named() -> None:
    t = Text("%x: i32", 32)
    with pytest.raises(errors.ArgumentError, match="takes 1 arguments, got 0"):
        t.run(1)
    with pytest.raises(errors.ArgumentError, match="argument 0 of kernel k is a scalar, got an array"):
        t.run(1, np.zeros(3))
    t.let("arith.constant 1 : i4")
    with pytest.raises(errors.UnsupportedError, match="no values of type i4"):
        t.run(1, 0)
