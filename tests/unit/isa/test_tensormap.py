"""Tensor maps made in memory: PTX ISA 8.7, sections 9.7.9.26, 9.7.13.4, 9.7.13.6; what is copied by hand from numpy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from tests.unit.isa.kernel_builder import POINTER, build, offset, smem, store
from tilelang_mlir.dialect import context as new_context
from tilelang_mlir.errors import ProxyFenceError, RaceError, SimulationError
from tilelang_mlir.isa.instruction import constant, create
from tilelang_mlir.isa.nvidia import mbarrier, tensormap, thread, tma, warp
from tilelang_mlir.mlir import ir
from tilelang_mlir.simulator import simulate

SIZES, BOX = (13, 24), (8, 16)  # rows and columns of float32; rows are 28 apart
PITCH, BARRIER, MAP = 28, 2048, 1024


@pytest.fixture(autouse=True)
def context() -> Iterator[None]:
    with new_context(), ir.Location.unknown():
        yield


def _is_first() -> ir.Value:
    return create("arith.cmpi", [thread.tid(), constant(0)], [ir.IntegerType.get_signless(1)], predicate="0 : i64")


def _fields(place: ir.Value, tensor: ir.Value, **other: int) -> None:
    """Every field of a map of `SIZES`, by lane 0."""
    address = create("llvm.ptrtoint", [tensor], [ir.IntegerType.get_signless(64)])
    tensormap.replace(place, "global_address", address)
    tensormap.replace(place, "rank", 1)
    for dim, (size, side) in enumerate(zip(SIZES[::-1], BOX[::-1], strict=True)):
        tensormap.replace(place, "global_dim", size, dim)
        tensormap.replace(place, "box_dim", side, dim)
        tensormap.replace(place, "element_stride", other.get("element_stride", 1), dim)
    tensormap.replace(place, "global_stride", 4 * PITCH, 0)
    for field in ("interleave_layout", "swizzle_mode", "fill_mode"):
        tensormap.replace(place, field, other.get(field, 0))
    tensormap.replace(place, "elemtype", tensormap.ELEMENT_TYPES["float32"])


def _kernel(space: str, leave_out: Sequence[str] = (), **other: int) -> ir.Module:
    """Loads the box at row 8, column 16 of the first argument and stores it at row 9, column 12 of the second, through
    maps made in shared memory and copied to the third, or made there; some steps may be left out."""

    def make(line: ir.Value, tensor: ir.Value) -> None:
        place = offset(smem(), MAP, "i8") if space == "shared" else line
        store(constant(0), offset(place, thread.emit("laneid")))
        warp.sync()
        branch = ir.Operation.create("scf.if", [], [_is_first()], regions=2)
        with ir.InsertionPoint(branch.regions[0].blocks.append()):
            _fields(place, tensor, **other)
            ir.Operation.create("scf.yield")
        if space == "global" and "release" not in leave_out:
            tensormap.release()
        warp.sync()
        if space == "shared":
            tensormap.copy_and_release(line, place)
        if "acquire" not in leave_out:
            tensormap.acquire(line)

    def body(a: Sequence[ir.Value]) -> None:
        lines = [offset(a[2], 128 * n, "i8") for n in range(2)]
        for line, tensor in zip(lines, a[:2], strict=True):
            make(line, tensor)
        barrier = offset(smem(), BARRIER, "i8")
        branch = ir.Operation.create("scf.if", [], [_is_first()], regions=2)
        with ir.InsertionPoint(branch.regions[0].blocks.append()):
            mbarrier.init(barrier, 1)
            mbarrier.fence_init()
            mbarrier.arrive_expect_tx(barrier, 4 * BOX[0] * BOX[1])
            tensormap.prefetch(tensormap.generic(lines[0]))
            tma.load(smem(), tensormap.generic(lines[0]), barrier, [16, 8])
            mbarrier.wait(barrier, constant(0))
            tma.store(tensormap.generic(lines[1]), smem(), [12, 9])
            tma.commit()
            if "wait" not in leave_out:
                tma.wait(0, read=False)
            ir.Operation.create("scf.yield")
        if "wait" in leave_out:
            make(lines[1], a[0])

    return build(body, [POINTER] * 3, 32, 2304)


def _run(module: ir.Module) -> tuple[np.ndarray, np.ndarray]:
    source = np.random.default_rng(0).standard_normal((SIZES[0], PITCH)).astype(np.float32)
    target = np.full((SIZES[0], PITCH), -7, np.float32)
    simulate(module, "k", (1, 1, 1), [source, target, np.full(256, 0xA5, np.uint8)])
    return source, target


@pytest.mark.parametrize("space", ["shared", "global"])
def test_boxes_are_those_of_the_map(space: str) -> None:
    source, target = _run(_kernel(space))
    want = np.full((SIZES[0], PITCH), -7, np.float32)
    for row in range(BOX[0]):
        for column in range(BOX[1]):
            value = source[8 + row, 16 + column] if 8 + row < SIZES[0] and 16 + column < SIZES[1] else 0
            if 9 + row < SIZES[0] and 12 + column < SIZES[1]:
                want[9 + row, 12 + column] = value
    assert np.array_equal(target, want)


@pytest.mark.parametrize(
    ("space", "left_out", "error", "message"),
    [
        ("shared", "acquire", ProxyFenceError, "a copy by warp 0 of CTA 0 through the tensor map at address"),
        ("global", "acquire", ProxyFenceError, "written and not acquired by this warp since"),
        ("global", "release", ProxyFenceError, "which was not released since it was written"),
        ("shared", "wait", RaceError, "changes in CTA 0 while an asynchronous copy out of shared memory through it"),
    ],
)
def test_what_makes_a_map_visible_is_checked(space: str, left_out: str, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        _run(_kernel(space, [left_out]))


@pytest.mark.parametrize(
    ("field", "message"),
    [("interleave_layout", "an interleaved"), ("fill_mode", "NaN outside"), ("element_stride", r"strides \[2, 2\]")],
)
def test_maps_that_are_not_modelled_are_refused(field: str, message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        _run(_kernel("shared", **{field: 2 if field == "element_stride" else 1}))
