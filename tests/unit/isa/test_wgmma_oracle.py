"""wgmma.mma_async element by element, from PTX ISA 8.7, section 9.7.15: every kind, every width, signs, scale-d.

Operands lie in core matrices of 8 rows x 16 bytes (9.7.15.5.1.2, no swizzle): the leading offset is between core
matrices along K, the stride offset between those along M or N.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.unit.isa.kernel_builder import POINTER, build, lane, load, offset, smem, store
from tilelang_mlir.dialect import context as new_context
from tilelang_mlir.isa.instruction import constant, create
from tilelang_mlir.isa.nvidia import barrier, tma, wgmma
from tilelang_mlir.mlir import ir
from tilelang_mlir.simulator import simulate

TYPES: dict[str, Any] = {
    "f16": np.float16, "bf16": ml_dtypes.bfloat16, "tf32": np.float32, "e4m3": ml_dtypes.float8_e4m3fn,
    "e5m2": ml_dtypes.float8_e5m2, "s8": np.int8, "u8": np.uint8,
}  # fmt: skip
KINDS = [
    *(("f16", "f16"), ("bf16", "bf16"), ("tf32", "tf32")),
    *((a, b) for a in ("e4m3", "e5m2") for b in ("e4m3", "e5m2")),
    *((a, b) for a in ("s8", "u8") for b in ("s8", "u8")),
]
WIDTHS = {"floats": range(8, 257, 8), "integers": [8, 16, 24, 32, *range(48, 257, 16)]}


@pytest.fixture
def context() -> Iterator[None]:
    with new_context(), ir.Location.unknown():
        yield


def _elements(kind: str, rows: int, seed: int) -> np.ndarray:
    """(rows, k of one instruction): 32 bytes per row; integers in floats too, so that sums are exact."""
    rng, columns = np.random.default_rng(seed), 32 // np.dtype(TYPES[kind]).itemsize
    low, high = {"s8": (-128, 128), "u8": (0, 256)}.get(kind, (-4, 5))
    return rng.integers(low, high, (rows, columns)).astype(TYPES[kind])


def _place(x: np.ndarray, leading: int, stride: int, size: int) -> np.ndarray:
    """The bytes of a K-major operand."""
    memory, rows = np.zeros(size, np.uint8), x.view(np.uint8).reshape(len(x), 32)
    for row in range(len(x)):
        for byte in range(32):
            memory[row // 8 * stride + byte // 16 * leading + row % 8 * 16 + byte % 16] = rows[row, byte]
    return memory


def _words_per_thread(n: int) -> int:
    """What each of 128 threads copies of the two operands."""
    return -(-(64 + n) * 8 // 128)


def _kernel(n: int, kinds: tuple[str, str], leading: int, stride: int, options: dict[str, bool]) -> ir.Module:
    each = _words_per_thread(n)
    i64 = ir.IntegerType.get_signless(64)
    element = "i32" if kinds[0] in ("s8", "u8") else "f32"

    def descriptor(start: int) -> ir.Value:
        address = create("llvm.ptrtoint", [offset(smem(), start, "i8")], [ir.IntegerType.get_signless(32)])
        low = create("arith.extui", [create("arith.shrui", [address, constant(4)], [address.type])], [i64])
        return create("arith.ori", [low, constant(leading >> 4 << 16 | stride >> 4 << 32, 64)], [i64])

    def body(a: Sequence[ir.Value]) -> None:
        for k in range(each):
            store(load(lane(a[0], each, k)), lane(smem(), each, k))
        tma.fence_shared()
        barrier.emit()
        sums = wgmma.pack([load(lane(a[1], n // 2, k), element) for k in range(n // 2)])
        wgmma.fence()
        sums = wgmma.emit(sums, descriptor(0), descriptor(2048), n, *kinds, **options)
        wgmma.commit()
        for k, value in enumerate(wgmma.wait(0, sums, n // 2)):
            store(value, lane(a[2], n // 2, k))

    return build(body, [POINTER] * 3, 128, each * 512)


def _check(n: int, kinds: tuple[str, str], sign: int = 1, old: int = 1, leading: int = 128, **options: bool) -> None:
    """`sign` times the product, plus `old` times what the accumulator held."""
    left, right = _elements(kinds[0], 64, 1), _elements(kinds[1], n, 2)
    stride = 256 if leading == 128 else 128
    start = np.random.default_rng(3).integers(-9, 9, (128, n // 2))
    sums = np.int32 if kinds[0] in ("s8", "u8") else np.float32
    sizes = 2048, _words_per_thread(n) * 512 - 2048
    parts = [_place(x, leading, stride, size) for x, size in zip((left, right), sizes, strict=True)]
    got = np.full((128, n // 2), -77, sums)
    simulate(
        _kernel(n, kinds, leading, stride, options), "k", (1, 1, 1), [np.concatenate(parts), start.astype(sums), got]
    )
    full = left.astype(np.int64) @ right.astype(np.int64).T
    for t in range(128):
        for i in range(n // 2):  # 9.7.15.5.1.1
            row = 16 * (t // 32) + (t % 32) // 4 + (8 if (i // 2) % 2 else 0)
            column = 8 * (i // 4) + 2 * (t % 4) + i % 2
            assert got[t, i] == sign * full[row, column] + old * start[t, i], (t, i)


by_kind: Callable[..., Any] = pytest.mark.parametrize("kinds", KINDS, ids="-".join)


@by_kind
def test_kinds(kinds: tuple[str, str], context: None) -> None:
    _check(16, kinds)


@pytest.mark.parametrize("family", WIDTHS)
def test_widths(family: str, context: None) -> None:
    kinds = ("s8", "u8") if family == "integers" else ("e5m2", "e4m3")
    assert [n for n in range(1, 300) if wgmma.allows(kinds[0], n)] == list(WIDTHS[family])
    for n in list(WIDTHS[family])[:: 1 if family == "integers" else 2]:
        _check(n, kinds)


@pytest.mark.parametrize("negated", [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("kinds", [("f16", "f16"), ("tf32", "tf32"), ("e4m3", "e5m2")], ids="-".join)
def test_signs(kinds: tuple[str, str], negated: tuple[bool, bool], context: None) -> None:
    _check(8, kinds, sign=-1 if negated[0] != negated[1] else 1, negate_a=negated[0], negate_b=negated[1])


@by_kind
def test_start_from_zero(kinds: tuple[str, str], context: None) -> None:
    _check(8, kinds, old=0, accumulate=False)


def test_offsets_are_not_exchanged(context: None) -> None:
    """The other order of core matrices: leading offset of 64 rows."""
    _check(64, ("f16", "f16"), leading=1024)
