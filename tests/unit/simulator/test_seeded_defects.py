"""Defects put by a script into correct kernels of warp roles: they are reported, with the right kind and line; and the
kernels themselves are not, in whatever order warps run and copies land."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import tilelang_mlir as tilelang
from tests.unit.simulator import programs
from tests.unit.simulator.mutants import Mutant
from tests.unit.simulator.rings import spared
from tests.unit.simulator.seeded import Seeded, choose, pool
from tests.unit.simulator.texts import relative_error
from tilelang_mlir import errors, knobs, ops
from tilelang_mlir.jit.simulated import SimulatedKernel
from tilelang_mlir.ops.attention_backward import gradients
from tilelang_mlir.target import Target

TARGET = "sim:sm_90a"
DEFECTS = 9  # in each kernel, and twice as many in the first one: some of every sort
SCHEDULES = 20
FEWER = 4  # of kernels whose roles and rings are those of the others


@dataclass(frozen=True)
class Case:
    """A compiled kernel, its arguments (the last is the output), what it computes, and the bytes of a stage of its
    ring."""

    kernel: Any
    args: list[np.ndarray]
    want: np.ndarray
    stage_bytes: int


def _ready(factory: Any, *args: Any) -> Any:
    """A ready kernel, with its output as the last argument."""
    return tilelang.jit(factory.func, target=TARGET).compile(*args)


def _persistent_gemm() -> Case:
    """Two CTAs walk over seven tiles; two groups of consumers take tiles by turns."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((400, 192)).astype(np.float16), rng.standard_normal((192, 64)).astype(np.float16)
    kernel = programs.compiled(programs.gemm((400, 64, 192), (64, 64, 64), 2, 128), TARGET)
    assert "scf.for" in kernel.ir("scheduled") and "tl.turn" in kernel.ir("scheduled")
    return Case(kernel, [a, b, np.zeros((400, 64), np.float32)], a.astype(np.float64) @ b.astype(np.float64), 8192)


def _attention() -> Case:
    q, k, v = np.random.default_rng(1).standard_normal((3, 1, 320, 64)).astype(np.float16)
    kernel = programs.compiled(programs.attention(1, 320, 64, (64, 64), 128), TARGET)
    return Case(kernel, [q, k, v, np.zeros_like(q)], programs.attention_reference(q, k, v, causal=False), 8192)


def _grouped_gemm() -> Case:
    rng = np.random.default_rng(2)
    experts = np.array([1, -1, 0], np.int32)
    a = rng.standard_normal((192, 384)).astype(np.float16)
    b = rng.standard_normal((2, 64, 384)).astype(np.float16)
    kernel = _ready(ops.grouped_gemm, 192, 64, 384, 2, "float16", ops.Tiling(64, 64, 64, 2, 128))
    want = np.zeros((192, 64))
    for tile, expert in enumerate(experts):
        if expert >= 0:
            rows = slice(64 * tile, 64 * tile + 64)
            want[rows] = a[rows].astype(np.float64) @ b[expert].astype(np.float64).T
    return Case(kernel, [a, b, experts, np.zeros((192, 64), np.float16)], want, 8192)


def _fp8_blocks() -> Case:
    rng = np.random.default_rng(3)
    a, b = (rng.standard_normal((rows, 512)).astype(ml_dtypes.float8_e4m3fn) for rows in (64, 64))
    scales_a, scales_b = rng.random((4, 64), np.float32), rng.random((1, 4), np.float32)
    kernel = _ready(ops.gemm_fp8_blocks, 64, 64, 512, "float8_e4m3", "float16", ops.Tiling(64, 64, 128, 2, 128))
    left = a.astype(np.float64) * scales_a.T.repeat(128, axis=1)
    want = left @ (b.astype(np.float64) * scales_b.repeat(128, axis=1)).T
    return Case(kernel, [a, scales_a, b, scales_b, np.zeros((64, 64), np.float16)], want, 8192)


def _fp8_tensor() -> Case:
    rng = np.random.default_rng(4)
    a, b = (rng.standard_normal((64, 512)).astype(ml_dtypes.float8_e4m3fn) for _ in range(2))
    scales = [np.array([scale], np.float32) for scale in (0.5, 0.125)]
    kernel = _ready(ops.gemm_fp8, 64, 64, 512, "float8_e4m3", "float16", ops.Tiling(64, 64, 128, 2, 128))
    want = a.astype(np.float64) @ b.astype(np.float64).T / 16
    return Case(kernel, [a, b, *scales, np.zeros((64, 64), np.float16)], want, 8192)


def _packed_gemm() -> Case:
    """Groups of 30, no and 70 rows, stored through maps that the warps make."""
    rng = np.random.default_rng(5)
    offsets = np.array([0, 30, 30, 100], np.int32)
    a, b = rng.standard_normal((100, 384)).astype(np.float16), rng.standard_normal((3, 64, 384)).astype(np.float16)
    kernel = _ready(ops.packed_gemm, 64, 384, 3, "float16", ops.Tiling(64, 64, 64, 2, 128))
    parts = [a[start:end].astype(np.float64) @ b[g].astype(np.float64).T
             for g, (start, end) in enumerate(zip(offsets[:-1], offsets[1:], strict=True))]  # fmt: skip
    return Case(kernel, [a, b, offsets, np.zeros((100, 64), np.float16)], np.concatenate(parts), 8192)


def _attention_backward() -> Case:
    """The gradients of keys and values, of which those of the values are looked at."""
    S, D = 256, 64
    rng = np.random.default_rng(6)
    q, k, v, grad = rng.standard_normal((4, 1, S, 1, D)).astype(np.float16)
    scores = q[0, :, 0].astype(np.float64) @ k[0, :, 0].astype(np.float64).T * D**-0.5
    logarithms = np.log2(np.exp(scores).sum(axis=1))
    weights = np.exp(scores) * 2.0 ** -logarithms[:, None]
    deltas = (grad[0, :, 0].astype(np.float64) * (weights @ v[0, :, 0].astype(np.float64))).sum(axis=1)
    kernel = _ready(gradients, 1, S, 1, D, False, D**-0.5, "float16", 64, 64, 2, 128)
    facts = [x.astype(np.float32)[None, None] for x in (logarithms, deltas)]
    args = [q, k, v, grad, *facts, np.zeros(q.shape, np.float32), np.zeros_like(k), np.zeros_like(v)]
    return Case(kernel, args, (weights.T @ grad[0, :, 0].astype(np.float64))[None, :, None], 8192)


def _decoding() -> Case:
    S, heads, D = 256, 4, 64
    rng = np.random.default_rng(7)
    q, k, v = (rng.standard_normal(shape).astype(np.float16) for shape in ((1, heads, D), *[(1, S, 1, D)] * 2))
    lengths = np.array([240], np.int32)
    kernel = _ready(ops.flash_decoding, 1, S, heads, 1, D, 1, "float16", None, 64, 2)
    want = programs.attention_reference(q, k[:, :240, 0], v[:, :240, 0], causal=False)
    return Case(kernel, [q, k, v, lengths, np.zeros_like(q)], want, 8192)


KERNELS = {
    "persistent gemm": _persistent_gemm,
    "attention": _attention,
    "grouped gemm": _grouped_gemm,
    "fp8 gemm scaled by blocks": _fp8_blocks,
    "fp8 gemm": _fp8_tensor,
    "packed gemm": _packed_gemm,
    "attention backward": _attention_backward,
    "decoding": _decoding,
}


BLOCKS = "fp8 gemm scaled by blocks"
# What is put in and changes no order that matters: these are to be accepted, and compute the right thing.
HARMLESS = {
    ("grouped gemm", "late: barrier 2"): "the buffers of the only store are written once",
    ("packed gemm", "late: barrier 2"): "the buffers of the only store are written once",
    (BLOCKS, "next barrier: mbarrier.try_wait 2"): "of two versions, the load before has waited for this one",
}


# Arrivals right after the wait before them, which something the producer waits for anyway makes up for.
EARLY = {
    # In front of the next keys comes the wait for the values of the iteration, released behind the end of that product.
    ("attention", "too early: mbarrier.arrive 1"),
    ("decoding", "too early: mbarrier.arrive 1"),
    # Scales come behind tiles of the same iteration, which every warp releases after its reads of the scales.
    (BLOCKS, "too early: mbarrier.arrive 0"),
}


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


@cache
def case(name: str) -> Case:
    """On a machine of two multiprocessors, where three tiles make a kernel persistent."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Target, "multiprocessors", property(lambda _: 2))
        return KERNELS[name]()


def report(name: str, mutant: Mutant) -> errors.SimulationError | None:
    """The report of a defect, or None."""
    kernel, args = case(name).kernel, case(name).args
    try:
        SimulatedKernel(kernel.plan, mutant.apply(kernel.artifact.lowered))(*args)
    except errors.SimulationError as error:
        return error
    return None


def fault(seeded: Seeded, error: errors.SimulationError | None) -> str:
    """What is wrong with a report; nothing when it says all it must."""
    if error is None:
        return "not reported"
    text = str(error)
    named = {where.line for where in (error.location, *(where for _, where in error.notes)) if where is not None}
    if not isinstance(error, seeded.kinds):
        return f"reported as {type(error).__name__}: {error.message}"
    if not named & seeded.lines:
        return f"line {sorted(named)}, not {sorted(seeded.lines)}: {error.message}"
    if "consumer" not in text and "producer" not in text:
        return f"no role: {text}"
    if seeded.looped and "in iteration" not in text and not isinstance(error, errors.UnfinishedError):
        return f"no iteration: {text}"
    two = (errors.RaceError, errors.DeadlockError, errors.AccumulatorError)
    alone = isinstance(error, errors.UnfinishedError)
    if isinstance(error, two) and not alone and not any(where for _, where in error.notes):
        return f"no second access: {text}"
    return ""


def _chosen(name: str) -> list[Seeded]:
    count = DEFECTS * (2 if name == "persistent gemm" else 1)
    return choose(pool(case(name).kernel.artifact.lowered, case(name).stage_bytes), count, 1)


def test_defects_are_reported_with_kind_and_line() -> None:
    chosen = {(name, s.mutant.name): s for name in KERNELS for s in _chosen(name)}
    faults = {key: fault(x, report(key[0], x.mutant)) for key, x in chosen.items() if key not in HARMLESS}
    wrong = {defect: text for defect, text in faults.items() if text}
    assert len(faults) >= 60
    assert len(wrong) <= 0.05 * len(faults), wrong
    for key in HARMLESS:
        assert report(key[0], chosen[key].mutant) is None
        assert relative_error(case(key[0]).args[-1], case(key[0]).want) < 2e-3


def test_of_releases_in_a_row_only_the_last_must_be_waited_for() -> None:
    """Backward attention releases three stages before that of the queries, which its producer waits for first."""
    name = "attention backward"
    by_name = {x.name: x for x in spared(case(name).kernel.artifact.lowered, case(name).stage_bytes)}
    waits = {x for x in by_name if x.startswith("drop: scf.while")}
    assert waits == {"drop: scf.while 6", "drop: scf.while 7", "drop: scf.while 8"}
    for mutant in (*waits, "drop: fence.proxy 4", "too early: mbarrier.arrive 0"):
        case(name).args[-1][:] = np.nan
        assert report(name, by_name[mutant]) is None, mutant
        assert relative_error(case(name).args[-1], case(name).want) < 2e-3, mutant


def test_early_releases_that_a_later_one_makes_up_for() -> None:
    """They are accepted and change no result, whatever order warps run and copies land in."""
    for name, mutant in sorted(EARLY):
        kernel, args, lowered = case(name).kernel, case(name).args, case(name).kernel.artifact.lowered
        (early,) = (x.mutant for x in pool(lowered, case(name).stage_bytes) if x.mutant.name == mutant)
        changed = SimulatedKernel(kernel.plan, early.apply(lowered))
        for seed in range(3):
            args[-1][:] = np.nan
            with knobs.overrides({"TILELANG_SIM_SEED": seed}):
                changed(*args)
            assert relative_error(args[-1], case(name).want) < 2e-3, (name, seed)


def test_defects_are_of_every_kind() -> None:
    chosen = [seeded for name in KERNELS for seeded in _chosen(name)]
    kinds = {kind for seeded in chosen for kind in seeded.kinds}
    assert kinds >= {
        errors.RaceError, errors.ProxyFenceError, errors.TransactionBytesError, errors.ArrivalCountError,
        errors.AccumulatorError, errors.InFlightError, errors.DeadlockError, errors.BarrierError,
        errors.UnfinishedError,
    }  # fmt: skip
    assert any(seeded.mutant.defect == "wrong parity" for seeded in chosen)


@pytest.mark.parametrize("name", KERNELS)
def test_the_kernels_themselves_are_accepted_in_any_order(name: str) -> None:
    kernel, args, want = case(name).kernel, case(name).args, case(name).want
    inputs, out = args[:-1], np.zeros_like(args[-1])
    for seed in range(FEWER if name in ("fp8 gemm", "packed gemm", "attention backward", "decoding") else SCHEDULES):
        out[:] = 0 if name == "grouped gemm" else np.nan  # skipped tiles are not written
        with knobs.overrides({"TILELANG_SIM_SEED": seed}):
            kernel(*inputs, out)
        assert relative_error(out, want) < (1e-5 if out.dtype == np.float32 else 2e-3), seed
