"""Buffer loads and stores against chapter 9.1 of the CDNA3 ISA document, lane by lane."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.unit.isa.kernel_builder import POINTER, build, lane, load
from tilelang_mlir.isa.amd import buffer
from tilelang_mlir.mlir import ir
from tilelang_mlir.simulator import simulate

KINDS = {"i8": 1, "i16": 2, "i32": 4, "vector<2xi32>": 8, "vector<4xi32>": 16}


@pytest.mark.parametrize("kind", KINDS)
def test_buffers(kind: str) -> None:
    """Each lane moves one unit from its own offset to another; some are partly or wholly outside, one is negative."""
    size, bytes_, pad = KINDS[kind], 40 * KINDS[kind], 8
    rng = np.random.default_rng(0)
    source = rng.integers(0, 256, bytes_ + size * pad, np.uint8)
    target = np.full(bytes_ + size * pad, 0xA5, np.uint8)
    offsets = np.stack([rng.permutation(64), rng.permutation(64)], axis=1).astype(np.int32) * size
    offsets[5], offsets[9] = (-size, 0), (0, buffer.OUTSIDE + 16)
    count = bytes_ - size // 2  # cuts the last unit

    def body(arguments: Any) -> None:
        first, second = (buffer.resource(pointer, count) for pointer in arguments[:2])
        places = [load(lane(arguments[2], 2, i)) for i in range(2)]
        buffer.store(buffer.load(first, places[0], ir.Type.parse(kind)), second, places[1])

    with ir.Context(), ir.Location.unknown():
        simulate(build(body, [POINTER] * 3, 64, warp=64), "k", (1, 1, 1), [source, target, offsets])
    want = np.full_like(target, 0xA5)
    for here, there in offsets.astype(np.int64) % 2**32:
        value = source[here : here + size] if here + size <= count else np.zeros(size, np.uint8)
        if there + size <= count:
            want[there : there + size] = value
    assert (target == want).all() and (want == 0).sum() > size and (want == 0xA5).sum() >= size * pad
