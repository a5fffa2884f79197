"""Block-scaled mma.sync against PTX ISA 8.7, sections 9.7.14.3 and 9.7.14.5, written out lane by lane."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.unit.isa.kernel_builder import POINTER, build, lane, load, store
from tilelang_mlir.compiler.codegen import generate
from tilelang_mlir.isa.nvidia import mma_scaled
from tilelang_mlir.mlir import ir
from tilelang_mlir.simulator import simulate

FORMS = [
    (mma_scaled.Form("mxf8f6f4", "e4m3", "e5m2", 32), (3, 1)),
    (mma_scaled.Form("mxf8f6f4", "e4m3", "e2m1", 32), (0, 2)),
    (mma_scaled.Form("mxf8f6f4", "e2m1", "e5m2", 32), (2, 3)),
    (mma_scaled.Form("mxf8f6f4", "e2m3", "e3m2", 32), (1, 2)),
    (mma_scaled.Form("f8f6f4", "e3m2", "e2m1", 32), (0, 0)),
    (mma_scaled.Form("mxf4", "e2m1", "e2m1", 32), (2, 0)),
    (mma_scaled.Form("mxf4nvf4", "e2m1", "e2m1", 16), (0, 0)),
]
_SIXES = {"e2m3": (3, 1), "e3m2": (2, 3)}  # fraction bits, exponent bias
_TYPES = {"e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2}


def _element(word: int, i: int, kind: str, padded: bool) -> float:
    if kind == "e2m1":  # in the middle of a byte, where the other operand may have 8 bits
        nibble = word >> (8 * i + 2 if padded else 4 * i) & 15
        return (-1.0 if nibble & 8 else 1.0) * [0, 0.5, 1, 1.5, 2, 3, 4, 6][nibble & 7]
    if kind in _SIXES:  # in the lowest bits of a byte
        fraction, bias = _SIXES[kind]
        code = word >> 8 * i & 63
        exponent, rest = (code & 31) >> fraction, code & (1 << fraction) - 1
        size = rest + (1 << fraction if exponent else 0)
        return (-1.0 if code & 32 else 1.0) * size * 2.0 ** (max(exponent, 1) - bias - fraction)
    return float(np.uint8(word >> 8 * i & 255).view(_TYPES[kind]))


def _factor(word: int, byte: int, form: mma_scaled.Form) -> float:
    code = np.uint8(word >> 8 * byte & 255)
    return float(code.view(ml_dtypes.float8_e4m3fn)) if form.block == 16 else 2.0 ** (int(code) - 127)


def _oracle(form: mma_scaled.Form, bytes_: tuple[int, int], words: np.ndarray, c: np.ndarray) -> np.ndarray:
    padded = form.kind.endswith("f8f6f4")
    per = 4 if padded else 8
    a, b = np.zeros((16, form.depth)), np.zeros((form.depth, 8))
    for t in range(32):
        group, member = divmod(t, 4)
        for i in range(per):
            for register, (row, half) in enumerate(((0, 0), (8, 0), (0, 1), (8, 1))):
                place = member * per + i + half * form.depth // 2
                a[group + row, place] = _element(int(words[t, register]), i, form.a, padded)
            for register in range(2):
                place = member * per + i + register * form.depth // 2
                b[place, group] = _element(int(words[t, 4 + register]), i, form.b, padded)
    for k in range(form.depth) if form.is_scaled else ():
        part = k // form.block
        for row in range(16):  # of each four lanes the first has row g, the second row g + 8
            giver = row % 8 * 4 + (1 if row >= 8 else 0)
            a[row, k] *= _factor(int(words[giver, 6]), bytes_[0] + part, form)
        for column in range(8):
            b[k, column] *= _factor(int(words[column * 4, 7]), bytes_[1] + part, form)
    out = np.zeros((32, 4))
    for t in range(32):
        for i in range(4):
            row, column = t // 4 + (8 if i > 1 else 0), t % 4 * 2 + i % 2
            out[t, i] = c[t, i] + a[row] @ b[:, column]
    return out


def _body(form: mma_scaled.Form, bytes_: tuple[int, int]) -> Any:
    def body(arguments: Any) -> None:
        source, start, out = arguments
        words = [load(lane(source, 8, i)) for i in range(8)]
        sums = [load(lane(start, 4, i), "f32") for i in range(4)]
        factors = (words[6], words[7]) if form.is_scaled else None
        result = mma_scaled.emit(words[:4], words[4:6], sums, factors, form, bytes_)
        for i, value in enumerate(result):
            store(value, lane(out, 4, i))

    return body


@pytest.mark.parametrize(("form", "bytes_"), FORMS, ids=[f"{f.kind}-{f.a}-{f.b}" for f, _ in FORMS])
def test_values(form: mma_scaled.Form, bytes_: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    raw = rng.integers(0, 256, (32, 8, 4)).astype(np.uint8)
    raw[:, :6] &= 0x3F if form.kind.endswith("f8f6f4") else 0x77  # no NaN
    raw[:, 6:] = rng.integers(0x20, 0x50, (32, 2, 4)) if form.block == 16 else rng.integers(124, 131, (32, 2, 4))
    words, c = raw.view(np.uint32)[..., 0], rng.integers(-4, 5, (32, 4)).astype(np.float32)
    d = np.full((32, 4), np.nan, np.float32)
    with ir.Context(), ir.Location.unknown():
        module = build(_body(form, bytes_), [POINTER] * 3)
        simulate(module, "k", (1, 1, 1), [words, c, d])
    want = _oracle(form, bytes_, words, c)
    assert np.linalg.norm(d - want) < 1e-6 * np.linalg.norm(want)


@pytest.mark.parametrize(("form", "bytes_"), FORMS, ids=[f"{f.kind}-{f.a}-{f.b}" for f, _ in FORMS])
def test_reaches_ptx(form: mma_scaled.Form, bytes_: tuple[int, int]) -> None:
    with ir.Context(), ir.Location.unknown():
        code = generate(build(_body(form, bytes_), [POINTER] * 3), "sm_120a")
    assert form.spelling() in code.assembly and code.binary
