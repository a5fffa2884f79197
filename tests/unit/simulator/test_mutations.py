"""Every synchronising op of whole lowered kernels is needed, and the checker says so when one is missing or wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from tests.unit.simulator import programs
from tests.unit.simulator.mutants import Mutant, mutants
from tests.unit.simulator.texts import relative_error
from tilelang_mlir import errors, knobs
from tilelang_mlir.jit.simulated import SimulatedKernel


@dataclass(frozen=True)
class Case:
    """A kernel; `harmless` names the defects that change nothing, with the reason."""

    target: str
    stage_bytes: int
    program: tuple[Any, ...]
    least: int  # defects there must be
    harmless: dict[str, str] = field(default_factory=dict)


CASES = {
    "gemm sm_80": Case(
        "sim:sm_80",
        4096,
        ("gemm", (64, 64, 160)),
        17,
    ),
    "tiles sm_90a": Case("sim:sm_90a", 8192, ("tiles", (256, 64, 192)), 55, {}),
    "gemm sm_100a": Case(
        "sim:sm_100a",
        16384,
        ("gemm", (128, 64, 256), (128, 64, 64), 2, 128),
        55,
        {
            **dict.fromkeys(
                (
                    *("one arrival more: mbarrier.init 5", "drop: mbarrier.arrive 0"),
                    *("arrive twice: mbarrier.arrive 0", "too early: mbarrier.arrive 0", "drop: scf.while 2"),
                    *(f"{kind}: tcgen05.fence {number}" for kind in ("drop", "late") for number in (7, 8)),
                ),
                "sums are freed for a next output tile, and there is none",
            ),
            **dict.fromkeys(
                ("drop: tcgen05.fence 9", "late: tcgen05.fence 9"),
                "what is waited for there has written shared memory only",
            ),
            **dict.fromkeys(
                (f"{kind}: tcgen05.fence {i}" for kind in ("drop", "late") for i in (*range(1, 7), 10, 11)),
                "one pair of fences around one of four barriers is enough before tensor memory is freed",
            ),
            "early: tcgen05.dealloc 0": "the barrier before the last bulk store comes after the loads, too",
            **dict.fromkeys(
                (f"{kind}: barrier {number}" for kind in ("drop", "late") for number in (3, 5)),
                "the barrier before the last bulk store orders the loads, too",
            ),
            "drop: cp.async.bulk.commit.group 0": "the next store closes a group of both",
        },
    ),
    "attention sm_80": Case(
        "sim:sm_80",
        8192,
        ("attention", 1, 128, 64),
        40,
        {
            "drop: barrier 0": "the first barrier of the loop orders the tile of Q, too",
            "late: barrier 0": "the first barrier of the loop orders the tile of Q, too",
        },
    ),
}
# Roles: what is reported of them is in test_seeded_defects, the texts are here.
WITH_ROLES = Case("sim:sm_90a", 16384, ("gemm", (128, 128, 384), (128, 128, 64), 3, 256), 0)
by_case = pytest.mark.parametrize("name", list(CASES))


def _kernel(case: Case) -> tuple[Any, list[np.ndarray], np.ndarray]:
    """The compiled kernel, its arguments and what it computes."""
    kind, *details = case.program
    kernel = programs.compiled(getattr(programs, kind)(*details), case.target)
    rng = np.random.default_rng(0)
    if kind in ("gemm", "tiles"):
        m, n, k = details[0]
        a, b = rng.standard_normal((m, k)).astype(np.float16), rng.standard_normal((k, n)).astype(np.float16)
        return kernel, [a, b, np.zeros((m, n), np.float32)], a.astype(np.float64) @ b.astype(np.float64)
    q, k, v = rng.standard_normal((3, *details[:3])).astype(np.float16)
    return kernel, [q, k, v, np.zeros_like(q)], programs.attention_reference(q, k, v, causal=False)


@by_case
def test_defects_are_reported(name: str) -> None:
    case = CASES[name]
    kernel, args, _ = _kernel(case)
    lowered = kernel.artifact.lowered
    found = mutants(lowered, case.stage_bytes)
    silent = [m.name for m in found if not _is_reported(kernel.plan, m, lowered, args)]
    assert set(silent) == set(case.harmless), "silent, or harmless according to the list"
    assert len(found) - len(silent) >= case.least


def _is_reported(plan: Any, mutant: Mutant, lowered: bytes, args: list[np.ndarray]) -> bool:
    try:
        SimulatedKernel(plan, mutant.apply(lowered))(*args)
    except errors.SimulationError as error:
        assert "the simulator failed" not in error.message, (mutant.name, error.message)
        return True
    return False


@by_case
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_the_kernels_themselves_are_accepted(name: str, seed: int) -> None:
    """Under any order of warps and of asynchronous copies."""
    kernel, args, want = _kernel(CASES[name])
    args[-1][:] = np.nan
    with knobs.overrides({"TILELANG_SIM_SEED": seed}):
        kernel(*args)
    assert relative_error(args[-1], want) < (1e-5 if args[-1].dtype == np.float32 else 2e-3)


def _report(name: str, mutant: str) -> errors.SimulationError:
    case = CASES.get(name, WITH_ROLES)
    kernel, args, _ = _kernel(case)
    (chosen,) = [m for m in mutants(kernel.artifact.lowered, case.stage_bytes) if m.name == mutant]
    with pytest.raises(errors.SimulationError) as caught:
        SimulatedKernel(kernel.plan, chosen.apply(kernel.artifact.lowered))(*args)
    return caught.value


@pytest.mark.parametrize(
    ("name", "mutant", "texts"),
    [
        (
            "gemm sm_80",
            "drop: barrier 0",
            [
                r"race: read of shared byte \d+ of CTA 0 by warp 0 is not ordered after the write by warp 1",
                r"T\.gemm\(a, b, c\)",
                r"note: .*the write by warp 1",
                r"T\.copy\([AB]\[",
            ],
        ),
        (
            "gemm sm_90a",
            "drop: fence.proxy 0",
            [
                r"written by ordinary stores of warp 4 \(consumer, threads 128 to 255\) and is read by an asynchronous",
                r"fence\.proxy\.async after the stores",
            ],
        ),
        (
            "gemm sm_90a",
            "16 bytes more: mbarrier.arrive.expect_tx 0",
            [
                r"deadlock, copies bring other than the expected bytes: consumer, threads 0 to 127 wait on parity 0 of "
                r"the mbarrier at \d+: phase 0, 0 of 1 arrivals missing, 16 bytes missing, "
                r"arrived so far: producer, thread 256",
                r"producer, thread 256 waits on parity 0 .* 8 of 8 arrivals missing, 0 bytes missing",
                r"in iteration ko = 3",
                r"wait-for graph: consumer, threads 0 to 127 -> producer, thread 256",
                r"T\.copy\(A\[",
                r"T\.gemm\(a, b, c\)",
            ],
        ),
        (
            "gemm sm_90a",
            "one arrival more: mbarrier.init 3",
            [r"deadlock, arrivals do not match what is waited for", r"1 of 9 arrivals missing"],
        ),
        (
            "gemm sm_90a",
            "too early: mbarrier.arrive 0",
            [
                r"asynchronous copy of shared byte 0 of CTA 0 by warp 8 \(producer, thread 256\) is not ordered after "
                r"the read by warp 0 \(consumer",
                r"T\.copy\(A\[",
                r"T\.gemm\(a, b, c\)",
                r"note: producer, thread 256, in iteration ko = 3",
            ],
        ),
        (
            "gemm sm_90a",
            "no wait: wgmma.product 0",
            [
                r"a wgmma accumulator is read before wgmma\.wait_group",
                r"note: .*: the product",
                r"consumer, threads 0 to 127, in iteration ko = 0",
            ],
        ),
        (
            "gemm sm_90a",
            "drop: cp.async.bulk.commit.group 3",
            [r"the kernel ends before an asynchronous copy out of shared memory by consumer, threads \d+"],
        ),
        (
            "gemm sm_90a",
            "drop: barrier 0",
            [r"warp \d+ \((consumer|producer).* uses the mbarrier .* whose initialisation is not ordered before"],
        ),
    ],
)
def test_messages(name: str, mutant: str, texts: list[str]) -> None:
    """They name both roles, both lines and the iteration."""
    text = str(_report(name, mutant))
    for part in texts:
        assert re.search(part, text), text
