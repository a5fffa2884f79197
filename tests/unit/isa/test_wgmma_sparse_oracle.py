"""wgmma.mma_async.sp element by element, from PTX ISA 8.7, section 9.7.15.6: every kind, A in memory and in registers.

Operands lie in core matrices of 8 rows x 16 bytes as in `test_wgmma_oracle`; a row of A has 32 bytes, of B 64.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.unit.isa.kernel_builder import POINTER, build, lane, load, offset, smem, store
from tests.unit.isa.test_wgmma_oracle import TYPES
from tilelang_mlir.dialect import context as new_context
from tilelang_mlir.errors import SimulationError
from tilelang_mlir.isa.instruction import constant, create
from tilelang_mlir.isa.nvidia import barrier, tma, wgmma_product
from tilelang_mlir.mlir import ir
from tilelang_mlir.simulator import simulate

N, LEADING = 16, 128
B_PLACE, BYTES = 2048, 2048 + 1024


def _place(x: np.ndarray, stride: int) -> np.ndarray:
    """The bytes of a K-major operand whose core matrices follow each other along K."""
    rows = x.view(np.uint8).reshape(len(x), -1)
    memory = np.zeros(rows.size, np.uint8)
    for row in range(rows.shape[0]):
        for byte in range(rows.shape[1]):
            memory[row // 8 * stride + byte // 16 * LEADING + row % 8 * 16 + byte % 16] = rows[row, byte]
    return memory


def _kernel(kinds: tuple[str, str], registers: bool, cleared: bool | None) -> ir.Module:
    element = "i32" if kinds[0] in ("s8", "u8") else "f32"
    i32 = ir.IntegerType.get_signless(32)

    def descriptor(start: int, stride: int) -> wgmma_product.Descriptor:
        address = create("llvm.ptrtoint", [offset(smem(), start, "i8")], [i32])
        units = create("arith.shrui", [address, constant(4)], [i32])
        low = create("arith.ori", [units, constant(LEADING >> 4 << 16)], [i32])
        return wgmma_product.Descriptor(low, wgmma_product.high_word(stride, 16), (0,))

    def body(a: Sequence[ir.Value]) -> None:
        for k in range(BYTES // 512):
            store(load(lane(a[0], BYTES // 512, k)), lane(smem(), BYTES // 512, k))
        tma.fence_shared()
        barrier.emit()
        left = [[load(lane(a[2], 4, q)) for q in range(4)]] if registers else descriptor(0, 256)
        sums = [load(lane(a[3], N // 2, k), element) for k in range(N // 2)]
        word = load(lane(a[1], 1))
        right = descriptor(B_PLACE, 512)
        clear = False if cleared is None else constant(2 * cleared)
        for k, value in enumerate(wgmma_product.product(sums, left, right, N, kinds, clear=clear, metadata=[word])):
            store(value, lane(a[3], N // 2, k))

    return build(body, [POINTER] * 4, 128, BYTES)


def _codes(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Places of the two kept elements of every group, (64, groups, 2); of the one kept element twice for tf32."""
    if kind == "tf32":
        return np.repeat(rng.integers(0, 2, (64, 8, 1)), 2, -1)
    groups = 8 if kind in ("f16", "bf16") else 16
    return np.sort(np.argsort(rng.random((64, groups, 4)), -1)[..., :2], -1)


def _words(kind: str, codes: np.ndarray) -> np.ndarray:
    """9.7.15.6.1: which bits of which thread's word describe a group of a row, with sparsity selector 0."""
    words = np.zeros(128, np.uint32)
    for row in range(64):
        for group in range(codes.shape[1]):
            first, second = (int(x) for x in codes[row, group])
            bits = (0b0100, 0b1110)[first] if kind == "tf32" else first | second << 2
            thread = 32 * (row // 16) + 4 * (row % 8)
            if kind in ("f16", "bf16", "tf32"):
                thread, at = thread + group // 4, 16 * (row % 16 // 8) + 4 * (group % 4)
            else:
                thread, at = thread + 2 * (group // 8) + row % 16 // 8, 4 * (group % 8)
            words[thread] |= np.uint32(bits << at)
    return words


def _fragment(stored: np.ndarray) -> np.ndarray:
    """Registers of A, (128, 4): those of a dense A of half the depth."""
    out, each = np.zeros((128, 16), np.uint8), stored.view(np.uint8).reshape(64, 32)
    for thread in range(128):
        for byte in range(16):
            row = 16 * (thread // 32) + thread % 32 // 4 + (8 if byte // 4 % 2 else 0)
            out[thread, byte] = each[row, 4 * (thread % 4) + byte % 4 + (16 if byte >= 8 else 0)]
    return out


def _run(kinds: tuple[str, str], registers: bool, spoil: bool = False, cleared: bool | None = None) -> None:
    rng = np.random.default_rng(5)
    codes = _codes(kinds[0], rng)
    size = np.dtype(TYPES[kinds[0]]).itemsize
    low, high = {"s8": (-128, 128), "u8": (0, 256)}.get(kinds[0], (-4, 5))
    stored = rng.integers(low, high, (64, 32 // size)).astype(TYPES[kinds[0]])
    b = rng.integers(-4 if kinds[1] != "u8" else 0, 5, (N, 64 // size)).astype(TYPES[kinds[1]])
    group, kept = (2, 1) if kinds[0] == "tf32" else (4, 2)
    dense = np.zeros((64, 64 // size), np.int64)
    for row in range(64):
        for g in range(codes.shape[1]):
            for i in range(kept):
                dense[row, g * group + codes[row, g, i]] = int(stored[row, g * kept + i])
    sums = np.random.default_rng(6).integers(-9, 9, (128, N // 2)).astype(
        np.int32 if kinds[0] in ("s8", "u8") else np.float32
    )
    start, words = sums.copy(), _words(kinds[0], codes)
    if spoil:
        words[0] = 0
    memory = np.concatenate([_place(stored, 256), _place(b, 512)])
    with new_context(), ir.Location.unknown():
        simulate(_kernel(kinds, registers, cleared), "k", (1, 1, 1), [memory, words, _fragment(stored), sums])
    full = dense @ b.astype(np.int64).T
    for t in range(128):
        for i in range(N // 2):
            row = 16 * (t // 32) + (t % 32) // 4 + (8 if (i // 2) % 2 else 0)
            assert sums[t, i] == full[row, 8 * (i // 4) + 2 * (t % 4) + i % 2] + (0 if cleared else start[t, i]), (t, i)


@pytest.mark.parametrize("registers", [False, True], ids=["memory", "registers"])
@pytest.mark.parametrize("kinds", [("f16", "f16"), ("bf16", "bf16"), ("tf32", "tf32"), ("e4m3", "e5m2"), ("s8", "u8")],
                         ids="-".join)  # fmt: skip
def test_products(kinds: tuple[str, str], registers: bool) -> None:
    _run(kinds, registers)


@pytest.mark.parametrize("cleared", [False, True])
def test_scale_d_at_run_time(cleared: bool) -> None:
    """9.7.15.5.2: where the predicate scale-d is false, D = A * B."""
    _run(("s8", "u8"), False, cleared=cleared)


def test_places_ascend() -> None:
    with pytest.raises(SimulationError, match="not in ascending order"):
        _run(("f16", "f16"), registers=False, spoil=True)
