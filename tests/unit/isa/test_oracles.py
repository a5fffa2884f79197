"""Instructions other than mma against the PTX ISA text, transcribed lane by lane in plain Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.unit.isa.kernel_builder import POINTER, build, lane, load, offset, smem, store
from tilelang_mlir.isa.instruction import bitcast, constant, create
from tilelang_mlir.isa.nvidia import atomic, convert, cp_async, ldmatrix, math, thread, warp
from tilelang_mlir.mlir import ir
from tilelang_mlir.simulator import simulate


@pytest.fixture(autouse=True)
def context() -> Iterator[None]:
    with ir.Context(), ir.Location.unknown():
        yield


def _run(body: Callable[[Sequence[ir.Value]], None], *arrays: np.ndarray, threads: int = 32, shared: int = 0) -> None:
    simulate(build(body, [POINTER] * len(arrays), threads, shared), "k", (1, 1, 1), arrays)


def _shuffle_oracle(kind: str, values: list[int], b: int, c: int) -> list[int]:
    """The pseudocode of 9.7.9.6, for all lanes."""
    out = []
    for me in range(32):
        segmask = (c >> 8) & 0x1F
        bval, cval = b & 0x1F, c & 0x1F
        max_lane = (me & segmask) | (cval & ~segmask & 0x1F)
        min_lane = me & segmask
        if kind == "up":
            j = me - bval
            p = j >= max_lane
        elif kind == "down":
            j = me + bval
            p = j <= max_lane
        elif kind == "bfly":
            j = me ^ bval
            p = j <= max_lane
        else:
            j = min_lane | (bval & ~segmask & 0x1F)
            p = j <= max_lane
        out.append(values[j if p else me])
    return out


@pytest.mark.parametrize("width", [32, 16, 8, 2])
@pytest.mark.parametrize("kind", ["bfly", "up", "down", "idx"])
def test_shuffle(kind: str, width: int) -> None:
    x = np.random.default_rng(0).integers(-(2**31), 2**31, 64).astype(np.int32)
    for step in (0, 1, 3, 9, 31):
        y = np.zeros(64, np.int32)

        def body(a: Sequence[ir.Value], step: int = step) -> None:
            store(warp.shuffle(kind, load(lane(a[0], 1)), step, width), lane(a[1], 1))

        _run(body, x, y, threads=64)
        control = (32 - width) << 8 | (0 if kind == "up" else 31)
        want = [_shuffle_oracle(kind, x[w : w + 32].tolist(), step, control) for w in (0, 32)]
        assert y.tolist() == want[0] + want[1]


def test_shuffle_with_an_index_per_lane() -> None:
    rng = np.random.default_rng(1)
    x, source, y = (
        rng.standard_normal(32).astype(np.float32),
        rng.integers(0, 32, 32).astype(np.int32),
        np.zeros(32, np.float32),
    )

    def body(a: Sequence[ir.Value]) -> None:
        store(warp.shuffle("idx", load(lane(a[0], 1), "f32"), load(lane(a[1], 1))), lane(a[2], 1))

    _run(body, x, source, y)
    assert y.tolist() == [x[s] for s in source]


@pytest.mark.parametrize("threads", [64, 40])
def test_votes_matches_and_reductions(threads: int) -> None:
    x = np.random.default_rng(2).integers(-3, 3, threads).astype(np.int32)
    x[:5] = 1
    kinds = ["add", "min", "max", "umin", "umax", "and", "or", "xor"]
    y = np.zeros((threads, 13), np.int32)
    i32 = ir.IntegerType.get_signless(32)

    def body(a: Sequence[ir.Value]) -> None:
        value = load(lane(a[0], 1))
        positive = ir.Operation.create(
            "arith.cmpi",
            results=[ir.IntegerType.get_signless(1)],
            operands=[value, constant(0)],
            attributes={"predicate": ir.Attribute.parse("4 : i64")},
        ).result
        votes = [warp.vote(kind, positive) for kind in ("ballot", "any", "all", "uni")]
        votes = [votes[0]] + [create("arith.extui", [v], [i32]) for v in votes[1:]]
        for k, out in enumerate([*votes, warp.match("any", value), *(warp.reduce(kind, value) for kind in kinds)]):
            store(out, lane(a[1], 13, k))

    _run(body, x, y, threads=threads)
    for first in range(0, threads, 32):
        lanes = x[first : first + 32]
        ballot = sum(1 << i for i, v in enumerate(lanes) if v > 0)
        unsigned = [int(v) & 0xFFFFFFFF for v in lanes]
        total = {
            "add": sum(map(int, lanes)),
            "min": min(lanes),
            "max": max(lanes),
            "umin": min(unsigned),
            "umax": max(unsigned),
        }
        for kind, function in (("and", int.__and__), ("or", int.__or__), ("xor", int.__xor__)):
            value = unsigned[0]
            for other in unsigned[1:]:
                value = function(value, other)
            total[kind] = value
        for i, v in enumerate(lanes):
            same = sum(1 << j for j, w in enumerate(lanes) if w == v)
            want = [ballot, any(lanes > 0), all(lanes > 0), len(set(lanes > 0)) == 1, same, *(total[k] for k in kinds)]
            assert [int(z) & 0xFFFFFFFF for z in y[first + i]] == [int(z) & 0xFFFFFFFF for z in want]


def test_elect_chooses_the_lowest_lane() -> None:
    y = np.zeros(64, np.int32)

    def body(a: Sequence[ir.Value]) -> None:
        store(create("arith.extui", [warp.elect()], [ir.IntegerType.get_signless(32)]), lane(a[0], 1))

    _run(body, y, threads=64)
    assert np.flatnonzero(y).tolist() == [0, 32]


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("num", [1, 2, 4])
def test_ldmatrix(num: int, transpose: bool) -> None:
    """9.7.14.5.15: rows come in any order, 16-byte aligned; two warps."""
    rng = np.random.default_rng(3)
    data = rng.integers(0, 65536, (128, 8)).astype(np.uint16)
    rows = np.concatenate([rng.permutation(64)[:32] for _ in range(2)]).astype(np.int32)
    out = np.zeros((64, num, 2), np.uint16)

    def body(a: Sequence[ir.Value]) -> None:
        for k in range(4):
            cell = create(
                "arith.addi",
                [create("arith.muli", [thread.tid(), constant(4)], [constant(0).type]), constant(k)],
                [constant(0).type],
            )
            store(load(offset(a[0], cell)), offset(smem(), cell))
        ir.Operation.create("nvvm.barrier", attributes={"operandSegmentSizes": ir.DenseI32ArrayAttr.get([0, 0])})
        row = offset(smem(), load(lane(a[1], 1)), "vector<4xi32>")
        for k, value in enumerate(ldmatrix.emit(row, num, transpose)):
            store(value, lane(a[2], num, k))

    _run(body, data, rows, out, threads=64, shared=1024)
    for t in range(64):
        for q in range(num):
            for half in range(2):
                row, column = (t % 32) // 4, 2 * ((t % 32) % 4) + half
                if transpose:
                    row, column = column, row
                assert out[t, q, half] == data[rows[t // 32 * 32 + 8 * q + row], column]


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("num", [1, 2, 4])
def test_stmatrix(num: int, transpose: bool) -> None:
    """9.7.14.5.16."""
    rng = np.random.default_rng(4)
    values = rng.integers(0, 65536, (32, num, 2)).astype(np.uint16)
    rows = rng.permutation(32).astype(np.int32)
    out = np.zeros((32, 8), np.uint16)

    def body(a: Sequence[ir.Value]) -> None:
        for k in range(4):
            store(constant(0), lane(smem(), 4, k))
        warp.sync()
        row = offset(smem(), load(lane(a[1], 1)), "vector<4xi32>")
        ldmatrix.store(row, [load(lane(a[0], num, k)) for k in range(num)], transpose)
        warp.sync()
        for k in range(4):
            store(load(lane(smem(), 4, k)), lane(a[2], 4, k))

    _run(body, values, rows, out, shared=512)
    want = np.zeros((32, 8), np.uint16)
    for t in range(32):
        for q in range(num):
            for half in range(2):
                row, column = t // 4, 2 * (t % 4) + half
                if transpose:
                    row, column = column, row
                want[rows[8 * q + row], column] = values[t, q, half]
    assert np.array_equal(out, want)


@pytest.mark.parametrize("size", [4, 8, 16])
def test_cp_async_fills_with_zeros(size: int) -> None:
    """9.7.9.25.3: bytes from src-size on are zero; with src-size 0 the source is not read."""
    data = np.random.default_rng(5).integers(1, 256, (32, 16)).astype(np.uint8)
    valid = (np.arange(32) % (size + 1)).astype(np.int32)
    out = np.zeros((32, size), np.uint8)

    def body(a: Sequence[ir.Value]) -> None:
        there = lane(smem(), 4)
        cp_async.emit(there, lane(a[0], 4), size, load(lane(a[1], 1)))
        cp_async.commit()
        cp_async.wait(0)
        for k in range(size // 4):
            store(load(lane(smem(), 4, k)), lane(a[2], size // 4, k))

    _run(body, data, valid, out, shared=512)
    for t in range(32):
        assert out[t].tolist() == [int(data[t, i]) if i < valid[t] else 0 for i in range(size)]


def test_cp_async_of_nothing_reads_nothing() -> None:
    data, out = np.ones(4, np.int32), np.full(32, -1, np.int32)

    def body(a: Sequence[ir.Value]) -> None:
        size = create(
            "arith.select",
            [
                create(
                    "arith.cmpi", [thread.tid(), constant(4)], [ir.IntegerType.get_signless(1)], predicate="6 : i64"
                ),
                constant(4),
                constant(0),
            ],
            [constant(0).type],
        )
        cp_async.emit(lane(smem(), 1), lane(a[0], 1), 4, size)
        cp_async.commit()
        cp_async.wait(0)
        store(load(lane(smem(), 1)), lane(a[1], 1))

    _run(body, data, out, shared=128)
    assert out.tolist() == [1] * 4 + [0] * 28


@pytest.mark.parametrize("kind", ["e4m3", "e5m2"])
def test_fp8_conversions(kind: str) -> None:
    """9.7.9.21: round to nearest even, satfinite: out of range becomes the largest finite, NaN becomes 0x7F."""
    dtype = {"e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2}[kind]
    top = float(ml_dtypes.finfo(dtype).max)
    rng = np.random.default_rng(6)
    bits = rng.integers(0, 2**32, 8192, dtype=np.uint64).astype(np.uint32)
    x = np.concatenate(
        [
            bits.view(np.float32),
            rng.standard_normal(8000).astype(np.float32) * 100,
            np.arange(256, dtype=np.uint8).view(dtype).astype(np.float32),
            np.array([0, -0.0, np.inf, -np.inf, np.nan, top, -top, top * 1.2, 465, 61440], np.float32),
        ]
    )
    x = np.concatenate([x, np.zeros(-len(x) % 2048, np.float32)])
    y, z = np.zeros(len(x), np.uint8), np.zeros(len(x), np.float16)

    def body(a: Sequence[ir.Value]) -> None:
        index = create(
            "arith.addi",
            [create("arith.muli", [thread.ctaid(), constant(1024)], [constant(0).type]), thread.tid()],
            [constant(0).type],
        )
        pair = [load(offset(offset(a[0], index, "i64"), k), "f32") for k in range(2)]
        packed = convert.f32x2_to_fp8x2(*pair, kind)
        store(packed, offset(a[1], index, "i16"), 2)
        store(convert.fp8x2_to_f16x2(packed, kind), offset(a[2], index))

    module = build(body, [POINTER] * 3, 1024)
    simulate(module, "k", (len(x) // 2048, 1, 1), [x, y, z])
    clipped = np.where(np.isnan(x), x, np.clip(x, -top, top)).astype(dtype)
    nan = np.isnan(x)
    assert np.array_equal(y[~nan], clipped[~nan].view(np.uint8))
    assert (y[nan] == 0x7F).all() and np.isnan(z[nan]).all()
    assert np.array_equal(z[~nan], clipped[~nan].astype(np.float16))


def test_tf32_rounds_ties_away_from_zero() -> None:
    rng = np.random.default_rng(8)
    x = np.concatenate(
        [rng.standard_normal(28).astype(np.float32), np.array([1 + 2**-11, -1 - 2**-11, np.inf, 0], np.float32)]
    )
    y = np.zeros(32, np.float32)

    def body(a: Sequence[ir.Value]) -> None:
        store(convert.f32_to_tf32(load(lane(a[0], 1), "f32")), lane(a[1], 1))

    _run(body, x, y)
    for value, got in zip(x.tolist(), y.tolist(), strict=True):
        if value in (0, np.inf):
            assert got == value
            continue
        mantissa, exponent = np.frexp(abs(value))
        want = np.floor(mantissa * 2**11 + 0.5) / 2**11 * 2.0**exponent  # 11 significant bits, half up in magnitude
        assert got == np.copysign(want, value)


def test_packed_atomics() -> None:
    rng = np.random.default_rng(9)
    for kind, dtype in (("f16", np.float16), ("bf16", ml_dtypes.bfloat16)):
        x = rng.integers(-8, 8, (32, 2)).astype(np.float32).astype(dtype)
        total, old = np.zeros((4, 2), dtype), np.zeros((32, 2), dtype)

        def body(a: Sequence[ir.Value], kind: str = kind) -> None:
            pair = bitcast(load(lane(a[0], 1)), ir.Type.parse(f"vector<2x{kind}>"))
            slot = create("arith.andi", [thread.tid(), constant(3)], [constant(0).type])
            atomic.add_pair(offset(a[1], slot), pair)
            store(atomic.fetch_add_pair(offset(a[1], slot), pair), lane(a[2], 1))

        _run(body, x, total, old)
        wide = x.astype(np.float64).reshape(8, 4, 2)
        assert np.array_equal(total.astype(np.float64), 2 * wide.sum(0))
        before = wide.sum(0) + np.concatenate([np.zeros((1, 4, 2)), wide.cumsum(0)[:-1]])
        assert np.array_equal(old.astype(np.float64).reshape(8, 4, 2), before)


def test_float_vector_atomics() -> None:
    x, y = np.arange(128, dtype=np.float32), np.zeros(4, np.float32)

    def body(a: Sequence[ir.Value]) -> None:
        atomic.add_floats(a[1], [load(lane(a[0], 4, k), "f32") for k in range(4)])

    _run(body, x, y)
    assert np.array_equal(y, x.reshape(32, 4).sum(0))


def test_approximate_math_and_flushing() -> None:
    x = np.array([*np.linspace(0.01, 3, 30), 1e-40, -1e-40], np.float32)
    names: dict[str, Any] = {
        "ex2": np.exp2,
        "lg2": np.log2,
        "rsqrt": lambda v: 1 / np.sqrt(v),
        "sin": np.sin,
        "cos": np.cos,
    }
    y = np.zeros((32, 6), np.float32)

    def body(a: Sequence[ir.Value]) -> None:
        value = load(lane(a[0], 1), "f32")
        for k, name in enumerate(names):
            store(math.emit(name, value), lane(a[1], 6, k))
        store(math.reciprocal(value), lane(a[1], 6, 5))

    _run(body, x, y)
    for k, function in enumerate([*names.values(), lambda v: 1 / v]):
        assert np.allclose(y[:30, k], function(x[:30].astype(np.float64)), rtol=1e-6, atol=1e-6)
    assert y[30:, 0].tolist() == [1, 1] and y[30, 1] == -np.inf and y[30:, 5].tolist() == [np.inf, -np.inf]


def test_thread_indices_in_three_dimensions() -> None:
    text = """module { gpu.module @kernels {
      llvm.func @k(%y: !llvm.ptr<1>) attributes {gpu.kernel, nvvm.kernel, nvvm.reqntid = array<i32: 4, 2, 3>} {
        llvm.return } } }"""
    module = ir.Module.parse(text)
    block = module.body.operations[0].regions[0].blocks[0].operations[0].regions[0].blocks[0]
    i32 = ir.IntegerType.get_signless(32)
    with ir.InsertionPoint(block.operations[0]):
        names = [f"{r}.{a}" for r in ("tid", "ctaid", "ntid", "nctaid") for a in "xyz"] + ["laneid"]
        values = {name: thread.emit(name) for name in names}

        def combine(x: ir.Value, n: ir.Value, y: ir.Value) -> ir.Value:
            return create("arith.addi", [create("arith.muli", [x, n], [i32]), y], [i32])

        inner = combine(combine(values["tid.z"], values["ntid.y"], values["tid.y"]), values["ntid.x"], values["tid.x"])
        outer = combine(
            combine(values["ctaid.z"], values["nctaid.y"], values["ctaid.y"]), values["nctaid.x"], values["ctaid.x"]
        )
        slot = combine(outer, constant(24), inner)
        for k, name in enumerate(names):
            store(values[name], offset(block.arguments[0], combine(slot, constant(len(names)), constant(k))))
    y = np.full((5 * 2 * 3 * 24, 13), -1, np.int32)
    simulate(module, "k", (5, 2, 3), [y])
    row = 0
    for cz in range(3):
        for cy in range(2):
            for cx in range(5):
                for t, (tz, ty, tx) in enumerate(np.ndindex(3, 2, 4)):
                    assert y[row].tolist() == [tx, ty, tz, cx, cy, cz, 4, 2, 3, 5, 2, 3, t]
                    row += 1
