"""AMD instructions against the layouts of the ISA documents, written out lane by lane.

Matrix operands are small integers, so every sum is exact and results must agree bit for bit. Loops go over lanes and
elements and use nothing of the instruction tables but names and element types.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.unit.isa.kernel_builder import POINTER, SHARED, build, load, offset, smem, store
from tilelang_mlir.errors import SimulationError, UnsupportedError
from tilelang_mlir.isa.amd import barrier, convert, lane, lds, mfma, wmma
from tilelang_mlir.isa.instruction import constant, create
from tilelang_mlir.isa.nvidia import thread
from tilelang_mlir.mlir import ir
from tilelang_mlir.simulator import simulate

STORED: dict[str, Any] = {
    "f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32, "xf32": np.float32, "f64": np.float64,
    "i8": np.int8, "fp8": ml_dtypes.float8_e4m3fn, "bf8": ml_dtypes.float8_e5m2,
    "fp8_fnuz": ml_dtypes.float8_e4m3fnuz, "bf8_fnuz": ml_dtypes.float8_e5m2fnuz,
}  # fmt: skip
SUMS: dict[str, Any] = {"f32": np.float32, "i32": np.int32, "f64": np.float64}


@pytest.fixture(autouse=True)
def context() -> Iterator[None]:
    with ir.Context(), ir.Location.unknown():
        yield


def _place(pointer: ir.Value, kind: ir.Type) -> ir.Value:
    """The place of this lane where every lane has one value of a type."""
    count = kind.shape[0] if isinstance(kind, ir.VectorType) else 1
    element = kind.element_type if isinstance(kind, ir.VectorType) else kind
    index = create("arith.muli", [thread.tid(), constant(count)], [ir.IntegerType.get_signless(32)])
    return offset(pointer, index, str(element))


def _load(pointer: ir.Value, kind: ir.Type) -> ir.Value:
    """This lane's value of a type, element by element: memory is accessed 16 bytes at a time at most."""
    place = _place(pointer, kind)
    if not isinstance(kind, ir.VectorType):
        return load(place, str(kind), 1)
    element = str(kind.element_type)
    parts = [load(offset(place, i, element), element, 1) for i in range(kind.shape[0])]
    return create("vector.from_elements", parts, [kind])


def _store(value: ir.Value, pointer: ir.Value) -> None:
    place, kind = _place(pointer, value.type), value.type
    if not isinstance(kind, ir.VectorType):
        store(value, place)
        return
    for i in range(kind.shape[0]):
        position = ir.DenseI64ArrayAttr.get([i])
        part = create("vector.extract", [value], [kind.element_type], static_position=position)
        store(part, offset(place, i, str(kind.element_type)))


def _run(
    emit: Any, kinds: tuple[ir.Type, ir.Type], wave: int, a: np.ndarray, b: np.ndarray, c: np.ndarray
) -> np.ndarray:
    """D by lane and element; inputs are by lane and element, too."""
    out = np.full_like(c, -1)

    def body(arguments: Any) -> None:
        operand, sums = kinds
        left, right, start = (_load(p, k) for p, k in zip(arguments[:3], (operand, operand, sums), strict=True))
        _store(emit(left, right, start), arguments[3])

    module = build(body, [POINTER] * 4, wave, warp=wave)
    raw = [np.ascontiguousarray(x).view(np.uint8).reshape(-1) for x in (a, b)]
    pad = [np.frombuffer(x.tobytes(), np.uint8).copy() for x in raw]
    simulate(module, "k", (1, 1, 1), [*pad, c, out])
    return out


# -- MFMA: CDNA3 ISA, chapter 7 ----------------------------------------------------------------------------------------
def _mfma_oracle(form: mfma.Form, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    if form.name == "f64.4x4x4f64":
        return _small_double_oracle(a, b, c)
    lanes = 64 // form.blocks  # of a block
    per = a.shape[1]
    out = np.empty_like(c)
    for block in range(form.blocks):
        left, right = np.zeros((form.m, form.k)), np.zeros((form.k, form.n))
        for here in range(lanes):
            for i in range(per):
                left[here % form.m, per * (here // form.m) + i] = float(a[block * lanes + here, i])
                right[per * (here // form.n) + i, here % form.n] = float(b[block * lanes + here, i])
        product = left @ right
        for here in range(lanes):
            for i in range(c.shape[1]):
                if form.a == "f64":
                    row = here // 16 + 4 * i
                elif form.m == 32:
                    row = 8 * (i // 4) + 4 * (here // 32) + i % 4
                else:  # 16 x 16, and 4 x 4 where a block has four lanes
                    row = 4 * (here // form.n) + i % 4
                out[block * lanes + here, i] = product[row, here % form.n] + c[block * lanes + here, i]
    return out


def _small_double_oracle(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Four products of 4 x 4 x 4: lane 16 k + 4 block + i has A[i][k], 16 i + 4 block + j has D[i][j]."""
    out = np.empty_like(c)
    for block in range(4):
        for i in range(4):
            for j in range(4):
                lane = 16 * i + 4 * block + j
                terms = [a[16 * k + 4 * block + i, 0] * b[16 * k + 4 * block + j, 0] for k in range(4)]
                out[lane, 0] = sum(terms) + c[lane, 0]
    return out


BROADCASTS = [(4, 0), (4, 13), (3, 5), (2, 1), (1, 1), (0, 0)]
QUARTERS = {  # BLGP 1 to 7: what lanes 0 to 15, 16 to 31, 32 to 47 and 48 to 63 read
    "bcast_first_32": (0, 1, 0, 1), "bcast_second_32": (2, 3, 2, 3), "rotate_16_right": (1, 2, 3, 0),
    "bcast_first_16": (0, 0, 0, 0), "bcast_second_16": (1, 1, 1, 1), "bcast_third_16": (2, 2, 2, 2),
    "bcast_fourth_16": (3, 3, 3, 3),
}  # fmt: skip


@pytest.mark.parametrize("name", ["f32.4x4x4f16", "f32.4x4x1f32", "i32.4x4x4i8", "f32.4x4x4bf16.1k"])
def test_broadcasts_of_a_and_patterns_of_b(name: str) -> None:
    """CDNA3 ISA, chapter 7: block ABID of every 2^CBSZ is A of all of them; BLGP exchanges quarters of B's lanes."""
    form = next(f for f in mfma.FORMS if f.name == name)
    rng = np.random.default_rng(9)
    a, b = (rng.integers(-4, 5, (64, form.elements)).astype(STORED[form.a]) for _ in range(2))
    c = rng.integers(-9, 10, (64, 4)).astype(SUMS[form.sum])
    kinds = mfma.operand_type(form), mfma.sum_type(form)
    cases = [(*pair, "none") for pair in BROADCASTS] + [(0, 0, pattern) for pattern in QUARTERS]
    cases.append((4, 7, "bcast_third_16"))
    for cbsz, abid, pattern in cases:
        modifiers = mfma.Modifiers(cbsz, abid, pattern)
        got = _run(lambda x, y, z, m=modifiers: mfma.emit(form, x, y, z, modifiers=m), kinds, 64, a, b, c)
        left, right = a.copy(), b.copy()
        for block in range(16):
            source = (block >> cbsz << cbsz) + (abid if cbsz else 0)
            left[4 * block : 4 * block + 4] = a[4 * source : 4 * source + 4]
        for quarter, source in enumerate(QUARTERS.get(pattern, (0, 1, 2, 3))):
            right[16 * quarter : 16 * quarter + 16] = b[16 * source : 16 * source + 16]
        np.testing.assert_array_equal(got, _mfma_oracle(form, left, right, c), err_msg=str(modifiers))


@pytest.mark.parametrize(("name", "modifiers", "message"), [
    ("f32.4x4x4f16", mfma.Modifiers(5, 0), "CBSZ 5 and ABID 0: it has 16 blocks"),
    ("f32.4x4x4f16", mfma.Modifiers(2, 4), "CBSZ 2 and ABID 4"),
    ("f32.16x16x16f16", mfma.Modifiers(1, 0), "it has 1 blocks"),
])  # fmt: skip
def test_broadcasts_that_an_instruction_lacks(name: str, modifiers: mfma.Modifiers, message: str) -> None:
    form = next(f for f in mfma.FORMS if f.name == name)
    a = np.zeros((64, form.elements), np.float16)
    kinds = mfma.operand_type(form), mfma.sum_type(form)
    with pytest.raises(UnsupportedError, match=message):
        _run(lambda x, y, z: mfma.emit(form, x, y, z, modifiers=modifiers), kinds, 64, a, a,
             np.zeros((64, form.sums), np.float32))  # fmt: skip


@pytest.mark.parametrize("form", mfma.FORMS, ids=lambda form: form.name)
def test_mfma(form: mfma.Form) -> None:
    rng = np.random.default_rng(len(form.name))
    per = form.m * form.k * form.blocks // 64
    a, b = (rng.integers(-4, 5, (64, per)).astype(STORED[kind]) for kind in (form.a, form.b))
    sums = form.name.partition(".")[0]
    c = rng.integers(-9, 10, (64, form.m * form.n * form.blocks // 64)).astype(SUMS[sums])
    kinds = mfma.operand_type(form), mfma.sum_type(form)
    got = _run(lambda x, y, z: mfma.emit(form, x, y, z), kinds, 64, a, b, c)
    np.testing.assert_array_equal(got, _mfma_oracle(form, a, b, c))


@pytest.mark.parametrize("kinds", [("fp8", "bf8"), ("bf8", "fp8")])
def test_mfma_with_bytes_without_negative_zero(kinds: tuple[str, str]) -> None:
    form = next(f for f in mfma.FORMS if (f.a, f.b) == kinds and f.m == 16)
    rng = np.random.default_rng(1)
    a, b = (rng.integers(-4, 5, (64, 8)).astype(STORED[f"{kind}_fnuz"]) for kind in kinds)
    c = np.zeros((64, 4), np.float32)
    types = mfma.operand_type(form), mfma.sum_type(form)
    got = _run(lambda x, y, z: mfma.emit(form, x, y, z, fnuz=True), types, 64, a, b, c)
    np.testing.assert_array_equal(got, _mfma_oracle(form, a, b, c))


@pytest.mark.parametrize("m", [16, 32])
@pytest.mark.parametrize(
    "kinds",
    [("fp8", "bf8"), ("bf8", "fp8"), ("fp4", "fp4"), ("fp8", "fp4"), ("fp4", "bf8"), ("fp6", "bf6"), ("bf6", "fp8")],
    ids="-".join,
)
def test_scaled_mfma(m: int, kinds: tuple[str, str]) -> None:
    """CDNA4 ISA, 7.2: each lane's byte of the scale register scales a block of 32 along K of one row (column)."""
    small, groups, k = [kind in ("fp4", "fp6", "bf6") for kind in kinds], 64 // m, 2048 // m
    rng = np.random.default_rng(m)
    numbers = [rng.integers(-4, 5, (64, 32)).astype(np.float64) for _ in kinds]
    scales = [rng.integers(124, 131, (64, 4)).astype(np.uint8) for _ in kinds]
    bytes_ = (1, 3)
    c = rng.integers(-9, 10, (64, m * m // 64)).astype(np.float32)
    dense = [np.zeros((m, k)), np.zeros((m, k))]
    for side in (0, 1):
        for here in range(64):
            for i in range(32):
                part = here // m
                early = i < 16
                column = 32 * part + i if small[side] else 16 * part + (i if early else 16 * groups + i - 16)
                block = column // 32
                factor = 2.0 ** (int(scales[side][here % m + m * block, bytes_[side]]) - 127)
                dense[side][here % m, column] = numbers[side][here, i] * factor
    product, want = dense[0] @ dense[1].T, np.empty_like(c)
    for here in range(64):
        for i in range(c.shape[1]):
            row = 4 * (here // 16) + i if m == 16 else 8 * (i // 4) + 4 * (here // 32) + i % 4
            want[here, i] = product[row, here % m] + c[here, i]
    stored = [_registers(x, kind) for x, kind in zip(numbers, kinds, strict=True)]
    out, operands = np.full_like(c, -1), [ir.Type.parse(f"vector<{x.shape[1]}xi32>") for x in stored]
    i32 = ir.IntegerType.get_signless(32)

    def body(arguments: Any) -> None:
        x, y, z = (_load(p, kind) for p, kind in zip(arguments, (*operands, _vector(c)), strict=False))
        words = _load(arguments[3], i32), _load(arguments[4], i32)
        _store(mfma.emit_scaled(m, x, y, z, kinds, words, bytes_), arguments[5])

    words = [x.view(np.int32).reshape(-1).copy() for x in scales]
    module = build(body, [POINTER] * 6, 64, warp=64)
    simulate(module, "k", (1, 1, 1), [*stored, c, *words, out])
    np.testing.assert_array_equal(out, want)


def _registers(numbers: np.ndarray, kind: str) -> np.ndarray:
    if kind == "fp4":
        return np.ascontiguousarray(_halves(numbers)).view(np.int32)
    if kind not in ("fp6", "bf6"):
        return numbers.astype(STORED[kind]).view(np.int32)
    code = numbers.astype(ml_dtypes.float6_e2m3fn if kind == "fp6" else ml_dtypes.float6_e3m2fn).view(np.uint8)
    out = np.zeros((64, 6), np.uint64)
    for i in range(32):  # element i in bits 6 i to 6 i + 5 of the lane's 192
        for bit in range(6):
            out[:, (6 * i + bit) // 32] |= (code[:, i].astype(np.uint64) >> np.uint64(bit) & np.uint64(1)) << np.uint64(
                (6 * i + bit) % 32
            )
    return out.astype(np.uint32).view(np.int32)


def _halves(numbers: np.ndarray) -> np.ndarray:
    """Bytes of two 4-bit floats, the first one low."""
    code = numbers.astype(ml_dtypes.float4_e2m1fn).view(np.uint8)
    return code[:, ::2] | code[:, 1::2] << 4


def _vector(value: np.ndarray) -> ir.Type:
    return ir.Type.parse(f"vector<{value.shape[1]}xf32>")


# -- WMMA: RDNA3 ISA, chapter 7.9; RDNA4 ISA, chapter 7.12 -------------------------------------------------------------
@pytest.mark.parametrize("repeated", [True, False], ids=["RDNA3", "RDNA4"])
@pytest.mark.parametrize("form", wmma.FORMS, ids=lambda form: form.name)
def test_wmma(form: wmma.Form, repeated: bool) -> None:
    rng = np.random.default_rng(3)
    per = 16 if repeated else 8
    a, b = (rng.integers(-4, 5, (32, per)).astype(STORED[kind]) for kind in (form.a, form.b))
    if repeated:
        a[16:], b[16:] = a[:16], b[:16]
    c = rng.integers(-9, 10, (32, 8)).astype(SUMS[form.sum])
    left, right = np.zeros((16, 16)), np.zeros((16, 16))
    for here in range(32):
        for i in range(per):
            k = i if repeated else 8 * (here // 16) + i
            left[here % 16, k], right[k, here % 16] = float(a[here, i]), float(b[here, i])
    product, want = left @ right, np.empty_like(c)
    for here in range(32):
        for i in range(8):
            row = 2 * i + here // 16 if repeated else 8 * (here // 16) + i
            want[here, i] = product[row, here % 16] + c[here, i]
    types = wmma.operand_type(form, repeated), ir.Type.parse(f"vector<8x{form.sum}>")
    got = _run(lambda x, y, z: wmma.emit(form, x, y, z), types, 32, a, b, c)
    np.testing.assert_array_equal(got, want)


def test_wmma_wants_its_lanes_repeated() -> None:
    form = wmma.FORMS[0]
    a = np.arange(512, dtype=np.float16).reshape(32, 16)
    types = wmma.operand_type(form, True), ir.Type.parse("vector<8xf32>")
    with pytest.raises(SimulationError, match="lanes 16 to 31 of an operand must repeat lanes 0 to 15"):
        _run(lambda x, y, z: wmma.emit(form, x, y, z), types, 32, a, a, np.zeros((32, 8), np.float32))


# -- exchange - --------------------------------------------------------------------------------------------------------
def _exchange(emit: Any, wave: int, words: int = 1) -> np.ndarray:
    """What each lane gets when lane l holds 100 + l; (lanes, words)."""
    x, out = np.arange(100, 100 + wave, dtype=np.int32), np.full((wave, words), -1, np.int32)

    def body(a: Any) -> None:
        value = load(offset(a[0], thread.tid()))
        results = emit(value)
        for position, result in enumerate(results if isinstance(results, tuple) else (results,)):
            at = create("arith.muli", [thread.tid(), constant(words)], [ir.IntegerType.get_signless(32)])
            store(result, offset(offset(a[1], at), position))

    simulate(build(body, [POINTER, POINTER], wave, warp=wave), "k", (1, 1, 1), [x, out])
    return out - 100


@pytest.mark.parametrize(("control", "source"), [
    (0b00_01_10_11, lambda lane: lane // 4 * 4 + (3, 2, 1, 0)[lane % 4]),
    (lane.ROW_ROR + 8, lambda lane: lane // 16 * 16 + (lane % 16 + 8) % 16),
    (lane.ROW_ROR + 3, lambda lane: lane // 16 * 16 + (lane % 16 + 13) % 16),
    (lane.ROW_MIRROR, lambda lane: lane // 16 * 16 + 15 - lane % 16),
    (lane.ROW_HALF_MIRROR, lambda lane: lane // 8 * 8 + 7 - lane % 8),
    (lane.ROW_XMASK + 5, lambda lane: lane // 16 * 16 + (lane % 16 ^ 5)),
])  # fmt: skip
def test_dpp(control: int, source: Any) -> None:
    got = _exchange(lambda value: lane.dpp(value, control), 64)
    assert got[:, 0].tolist() == [source(here) for here in range(64)]


@pytest.mark.parametrize("mask", [1, 16, 21, 31])
def test_swizzle(mask: int) -> None:
    got = _exchange(lambda value: lane.swizzle_xor(value, mask), 64)
    assert got[:, 0].tolist() == [here // 32 * 32 + (here % 32 ^ mask) for here in range(64)]


def test_bpermute() -> None:
    def emit(value: ir.Value) -> ir.Value:
        byte = create("arith.muli", [thread.tid(), constant(4 * 5)], [value.type])
        return lane.bpermute(byte, value)

    assert _exchange(emit, 64)[:, 0].tolist() == [5 * here % 64 for here in range(64)]
    out = np.full(32, -1, np.int32)

    def half(a: Any) -> None:
        here = thread.tid()
        place = create("arith.muli", [here, constant(8)], [here.type])
        store(lane.bpermute(place, here), offset(a[0], here))

    simulate(build(half, [POINTER], 32, warp=64), "k", (1, 1, 1), [out])  # a block of half a wave
    assert out.tolist() == [2 * here if here < 16 else 0 for here in range(32)]


def test_swaps() -> None:
    assert _exchange(lane.swap_rows, 32)[:, 0].tolist() == [(here + 16) % 32 for here in range(32)]
    pairs = _exchange(lambda value: lane.swap_halves(value, value), 64, 2)
    assert pairs.tolist() == [[here % 32, here % 32 + 32] for here in range(64)]
    pairs = _exchange(lambda value: lane.swap_odd_rows(value, value), 64, 2)
    assert pairs.tolist() == [[here // 32 * 32 + here % 16, here // 32 * 32 + here % 16 + 16] for here in range(64)]


def test_first_active_lane() -> None:
    """V_READFIRSTLANE_B32: the lowest lane with its bit set in EXEC."""
    for wave in (32, 64):
        assert set(_exchange(lane.first, wave)[:, 0].tolist()) == {0}
    out = np.zeros(64, np.int32)

    def body(a: Any) -> None:
        here = thread.tid()
        late = create("arith.cmpi", [here, constant(11)], [ir.IntegerType.get_signless(1)], predicate="5 : i64")
        branch = ir.Operation.create("scf.if", [], [late], regions=2)
        with ir.InsertionPoint(branch.regions[0].blocks.append()):
            store(lane.first(here), offset(a[0], here))
            ir.Operation.create("scf.yield")

    simulate(build(body, [POINTER], 64, warp=64), "k", (1, 1, 1), [out])
    assert out.tolist() == [0] * 11 + [11] * 53


@pytest.mark.parametrize("wave", [32, 64])
def test_ballot(wave: int) -> None:
    x, out = np.random.default_rng(4).integers(0, 2, wave).astype(np.int32), np.zeros(wave, np.int64)

    def body(a: Any) -> None:
        predicate = create("arith.trunci", [load(offset(a[0], thread.tid()))], [ir.IntegerType.get_signless(1)])
        mask = lane.ballot(predicate, wave)
        i64 = ir.IntegerType.get_signless(64)
        wide = mask if wave == 64 else create("arith.extui", [mask], [i64])
        store(wide, offset(a[1], thread.tid(), "i64"), 8)

    simulate(build(body, [POINTER, POINTER], wave, warp=wave), "k", (1, 1, 1), [x, out])
    want = sum(int(bit) << number for number, bit in enumerate(x))
    assert set(out.view(np.uint64).tolist()) == {want}


# -- 8-bit floats ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("fnuz", [False, True], ids=["OCP", "FNUZ"])
@pytest.mark.parametrize("kind", ["fp8", "bf8"])
def test_conversions(kind: str, fnuz: bool) -> None:
    name = f"{kind}_fnuz" if fnuz else kind
    limit = convert.LARGEST[name]
    rng = np.random.default_rng(5)
    x = (rng.standard_normal(64) * limit / 3).astype(np.float32).clip(-limit, limit)
    x[:8] = [0.0, -0.0, limit, -limit, 2.0**-9, -(2.0**-17), 1.0625, 1.1875]
    y, back = np.zeros(64, np.int32), np.zeros((64, 2), np.float32)

    def body(a: Any) -> None:
        value = load(offset(a[0], thread.tid(), "f32"), "f32")
        word = convert.to_bytes(value, value, kind, fnuz)
        store(word, offset(a[1], thread.tid()))
        pair = ir.Type.parse("vector<2xf32>")
        store(convert.from_bytes(word, kind, fnuz), _place(a[2], pair))

    simulate(build(body, [POINTER] * 3, 64, warp=64), "k", (1, 1, 1), [x, y, back])
    want = x.astype(STORED[name])
    assert (y & 0xFF).tolist() == (y >> 8 & 0xFF).tolist() == want.view(np.uint8).tolist()
    np.testing.assert_array_equal(back, np.stack([want, want], 1).astype(np.float32))


# -- LDS ------ --------------------------------------------------------------------------------------------------------
def test_transposing_reads() -> None:
    """CDNA4 ISA, DS_READ_B64_TR_B16: a 4 x 16 matrix for every 16 lanes, rows of 32 bytes."""
    x, out = np.arange(256, dtype=np.int16), np.full((64, 4), -1, np.int16)
    want = np.empty((64, 4), np.int16)
    for here in range(64):
        group, column = here // 16, here % 16
        for i in range(4):
            want[here, i] = x[group * 64 + i * 16 + column]

    def body(a: Any) -> None:
        four = ir.Type.parse("vector<4xi16>")
        place = _place(smem(), four)
        assert str(place.type) == SHARED
        store(load(_place(a[0], four), str(four), 8), place, 8)
        barrier.lds()
        store(lds.read_transposed(place, "i16"), _place(a[1], four), 8)

    simulate(build(body, [POINTER, POINTER], 64, 512, warp=64), "k", (1, 1, 1), [x, out])
    np.testing.assert_array_equal(out, want)


def test_transposing_reads_of_bytes() -> None:
    """DS_READ_B64_TR_B8: an 8 x 16 matrix for every 16 lanes, two of which point at the halves of a row. Lane l gets
    byte l % 8 of lanes l / 8, l / 8 + 2, .. of its group (measured by AITER and as Triton and HipKittens use it)."""
    rng = np.random.default_rng(8)
    x, out = rng.integers(-128, 128, 512).astype(np.int8), np.full((64, 2), -1, np.int32)
    want = np.empty((64, 8), np.int8)
    for here in range(64):
        group, place = here // 16, here % 16
        for i in range(8):
            source = 16 * group + 2 * i + place // 8
            want[here, i] = x[8 * source + place % 8]

    def body(a: Any) -> None:
        bytes_, two = ir.Type.parse("vector<8xi8>"), ir.Type.parse("vector<2xi32>")
        place = _place(smem(), bytes_)
        store(load(_place(a[0], bytes_), str(bytes_), 8), place, 8)
        barrier.lds()
        store(lds.read_transposed(place, "i8"), _place(a[1], two), 8)

    simulate(build(body, [POINTER, POINTER], 64, 512, warp=64), "k", (1, 1, 1), [x, out])
    np.testing.assert_array_equal(out.view(np.int8), want)
