"""Defects put into kernels for AMD and for Blackwell, a sample of each: they are reported, with the right kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.unit.simulator import programs
from tests.unit.simulator.mutants import Mutant, by_key, mutants
from tests.unit.simulator.texts import relative_error
from tests.util.tensor_programs import example
from tilelang_mlir import errors, knobs
from tilelang_mlir.dialect import context
from tilelang_mlir.jit.simulated import SimulatedKernel
from tilelang_mlir.mlir import ir

Kinds = tuple[type[errors.SimulationError], ...]
SAMPLE = 5  # of each kernel

_EARLY: Kinds = (errors.InFlightError, errors.UninitializedReadError, errors.RaceError)
_ASTRAY: Kinds = (*_EARLY, errors.OutOfBoundsError)
_BYTES: Kinds = (errors.TransactionBytesError, errors.InFlightError)
_HANGS: Kinds = (errors.DeadlockError, errors.BarrierError)
# By the start of the op's name and the defect, "" for all others of the op.
KINDS: dict[tuple[str, str], Kinds] = {
    ("amdgpu.lds_barrier", ""): (errors.RaceError,),
    ("rocdl.s.waitcnt", ""): (errors.InFlightError,),
    ("rocdl.raw.ptr.buffer.load.lds", "drop"): (errors.UninitializedReadError,),
    ("rocdl.raw.ptr.buffer.load.lds", "before the barrier"): (errors.RaceError,),
    ("rocdl.raw.ptr.buffer.load.lds", ""): _ASTRAY,
    ("rocdl.ds.read.tr", ""): _EARLY,
    ("nvvm.tcgen05.fence", ""): (errors.RaceError,),
    ("nvvm.tcgen05.commit", "early"): _EARLY,
    ("nvvm.tcgen05.commit", ""): (*_HANGS, errors.RaceError),
    ("nvvm.tcgen05.mma", ""): _ASTRAY,
    ("nvvm.tcgen05.cp", ""): _ASTRAY,
    ("nvvm.fence.proxy", ""): (errors.ProxyFenceError,),
    ("nvvm.fence.mbarrier", ""): (errors.RaceError,),
    ("nvvm.cluster", ""): (*_HANGS, errors.RaceError),
    ("mbarrier.arrive.cluster", ""): _HANGS,
    ("mbarrier.expect_tx.cluster", ""): _BYTES,
    ("nvvm.mbarrier.expect_tx", ""): _BYTES,
    ("nvvm.mbarrier.arrive.expect_tx", "next barrier"): (*_BYTES, *_HANGS, errors.RaceError),
    ("nvvm.mbarrier.arrive.expect_tx", ""): _BYTES,
    ("cp.async.bulk.tensor.pair", ""): _BYTES,
    ("nvvm.clusterlaunchcontrol", ""): _BYTES,
    ("nvvm.cp.async.mbarrier.arrive", ""): _HANGS,
    ("nvvm.cp.async.shared", ""): _EARLY,
}


@dataclass(frozen=True)
class Case:
    """A kernel for a target, its arguments (the last is the output) and what it computes. `harmless` are the defects
    that change no order that matters, by name, with the reason."""

    kernel: Any
    args: list[np.ndarray]
    want: np.ndarray
    stage_bytes: int
    harmless: dict[str, str] = field(default_factory=dict)


def _defects(op: str, numbers: tuple[int, ...], *kinds: str) -> list[str]:
    return [f"{kind}: {op} {number}" for kind in kinds for number in numbers]


def _gemm(arch: str, block_k: int, stage_bytes: int) -> Case:
    rng = np.random.default_rng(0)
    size = (64, 64, 4 * block_k)
    a, b = rng.standard_normal((size[0], size[2])), rng.standard_normal((size[2], size[1]))
    kernel = programs.compiled(programs.gemm(size, (64, 64, block_k), 2, 128), f"sim:{arch}")
    a, b = a.astype(np.float16), b.astype(np.float16)
    return Case(kernel, [a, b, np.zeros(size[:2], np.float32)], a.astype(np.float64) @ b, stage_bytes)


def _attention(arch: str, rows: int, harmless: dict[str, str]) -> Case:
    q, k, v = np.random.default_rng(1).standard_normal((3, 1, 3 * rows, 64))
    k *= np.linspace(0.5, 16, 3 * rows)[:, None]  # the maximum rises, so that sums are rescaled
    q, k, v = (x.astype(np.float16) for x in (q, k, v))
    kernel = programs.compiled(programs.attention(1, 3 * rows, 64, (rows, 64), 128), f"sim:{arch}")
    want = programs.attention_reference(q, k, v, causal=False)
    return Case(kernel, [q, k, v, np.zeros_like(q)], want, 8192, harmless)


def _transposed(name: str, size: tuple[int, int, int], harmless: dict[str, str], **options: int) -> Case:
    """A product A B^T of examples/blackwell."""
    rng = np.random.default_rng(2)
    (m, n, k) = size
    a, b = (rng.standard_normal(shape).astype(np.float16) for shape in ((m, k), (n, k)))
    kernel = programs.compiled(getattr(example(name), name)(m, n, k, **options), "sim:sm_100a")
    return Case(kernel, [a, b, np.zeros((m, n), np.float16)], a.astype(np.float64) @ b.T, 16384, harmless)


def _blockscaled() -> Case:
    rng = np.random.default_rng(3)
    n, k = 128, 512
    a, b = (rng.standard_normal((n, k)).astype(ml_dtypes.float8_e4m3fn) for _ in range(2))
    factors = [rng.integers(125, 130, (n, k // 32)).astype(np.uint8) for _ in range(2)]
    scales = [(2.0 ** (s - 127.0)).repeat(32, 1) for s in factors]
    left, right = (x.astype(np.float64) * s for x, s in zip((a, b), scales, strict=True))
    kernel = programs.compiled(example("gemm_blockscaled").gemm_blockscaled(n, n, k), "sim:sm_100a")
    args = [a, b, *(s.view(np.uint32) for s in factors), np.zeros((n, n), np.float32)]
    harmless = {
        **dict.fromkeys(_defects("tcgen05.fence", tuple(range(1, 20)), "drop", "late"), "others stand around the same"),
        **dict.fromkeys(_defects("barrier", (3, 5, 7, 9), "drop", "late"), "so does the barrier of the next part"),
        **dict.fromkeys(_defects("cp.async.bulk.commit.group", (0, 1, 2), "drop"), "the next store closes the group"),
        **dict.fromkeys(
            (
                *_defects("mbarrier.arrive", (0,), "drop", "arrive twice", "too early"),
                *("one arrival more: mbarrier.init 5", "drop: scf.while 2"),
            ),
            "the sum is freed for a next tile, and there is none",
        ),
        "early: tcgen05.dealloc 0": "the barrier before the last store comes after the loads, too",
    }
    return Case(kernel, args, left @ right.T, 16384, harmless)


_FIRST = "the first barrier of the loop orders the tile of Q, too"
_ALREADY = "one of the other fences of tensor memory stands on the same way"
CASES: dict[str, Callable[[], Case]] = {
    "gemm gfx90a": lambda: _gemm("gfx90a", 32, 4096),
    "gemm gfx942": lambda: _gemm("gfx942", 32, 4096),
    "gemm gfx950": lambda: _gemm("gfx950", 64, 8192),
    "gemm gfx1100": lambda: _gemm("gfx1100", 32, 4096),
    "gemm gfx1201": lambda: _gemm("gfx1201", 32, 4096),
    "attention gfx950": lambda: _attention(
        "gfx950", 64, dict.fromkeys(_defects("amdgpu.lds_barrier", (0,), "drop", "early", "late"), _FIRST)
    ),
    "attention gfx1201": lambda: _attention(
        "gfx1201",
        64,
        {
            **dict.fromkeys(_defects("amdgpu.lds_barrier", (0,), "drop", "early", "late"), _FIRST),
            "late: amdgpu.lds_barrier 2": "what is read first in the loop is the tile of Q",
        },
    ),
    "attention sm_100a": lambda: _attention(
        "sm_100a",
        128,
        {
            **dict.fromkeys(_defects("fence.mbarrier.init", (0, 1, 2), "drop"), "a later fence follows them all"),
            **dict.fromkeys(_defects("barrier", (1, 2, 3), "drop", "late"), "so does a later barrier"),
            **dict.fromkeys(_defects("tcgen05.fence", (0, 1, 2, 3, 6, 7), "drop", "late"), _ALREADY),
            **dict.fromkeys(_defects("tcgen05.mma", (0, 1, 2, 3), "next stage"), "other rows of Q, in order"),
            **dict.fromkeys(
                ("drop: scf.while 5", "before the wait: cp.async.bulk.tensor.shared.cluster.global 4"),
                "where sums are rescaled, they have been waited for before",
            ),
        },
    ),
    "pairs": lambda: _transposed(
        "gemm_pairs",
        (256, 136, 328),
        dict.fromkeys(_defects("tcgen05.fence", (0, 1, 2), "drop", "late"), "what is waited for is in shared memory"),
        num_stages=2,
    ),
    "launch control": lambda: _transposed(
        "gemm_launch_control",
        (264, 136, 136),
        {
            **dict.fromkeys(
                _defects("tcgen05.fence", (*range(12), 14, 15, 16), "drop", "late"), _ALREADY
            ),
            **dict.fromkeys(_defects("mbarrier.arrive", (3, 4), "too early"), "what the warp asks comes after its own"),
            **dict.fromkeys(_defects("fence.proxy", tuple(range(24)), "drop", "late"), "others stand beside it"),
        },
        num_stages=2,
    ),
    "block scales": _blockscaled,
}


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


@cache
def case(name: str) -> Case:
    return CASES[name]()


def kinds_of(mutant: Mutant) -> Kinds:
    """The reports that are right; an empty tuple where the tests of Hopper say that."""
    found = [
        (len(op), bool(defect), kinds)
        for (op, defect), kinds in KINDS.items()
        if mutant.op.startswith(op) and defect in ("", mutant.defect)
    ]
    return max(found, key=lambda entry: entry[:2])[2] if found else ()


def chosen(name: str, seed: int = 1) -> list[Mutant]:
    """Defects of a kernel that have to be reported, one of each sort before a second one of any."""
    found = mutants(case(name).kernel.artifact.lowered, case(name).stage_bytes)
    sorts: dict[tuple[str, str], list[Mutant]] = {}
    for mutant in found:
        if kinds_of(mutant) and mutant.name not in case(name).harmless:
            sorts.setdefault((mutant.defect, mutant.op), []).append(mutant)
    rng = np.random.default_rng(seed)
    groups = [sorts[key] for key in sorted(sorts)]
    order = [groups[i] for i in rng.permutation(len(groups))]
    rounds = [group[step] for step in range(SAMPLE) for group in order if step < len(group)]
    return rounds[:SAMPLE]


def report(name: str, mutant: Mutant) -> errors.SimulationError | None:
    kernel, args = case(name).kernel, case(name).args
    args[-1][:] = np.nan
    try:
        SimulatedKernel(kernel.plan, mutant.apply(kernel.artifact.lowered))(*args)
    except errors.SimulationError as error:
        return error
    return None


@pytest.mark.parametrize("name", CASES)
def test_defects_are_reported(name: str) -> None:
    found = {mutant.name: (mutant, report(name, mutant)) for mutant in chosen(name)}
    wrong = {key: repr(error) for key, (mutant, error) in found.items() if not isinstance(error, kinds_of(mutant))}
    assert found and not wrong
    assert all(error is not None and error.location is not None for _, error in found.values())


def test_what_follows_a_commit_is_not_part_of_it() -> None:
    """The warp of products reads the answer behind its commit: who waits for the products knows nothing of that."""
    lowered = case("launch control").kernel.artifact.lowered
    context().allow_unregistered_dialects = True
    with context():
        module = ir.Module.parse(lowered)
        blocks = [op.block for op in by_key(module)["nvvm.fence.proxy"]]
        firsts = [i for i, block in enumerate(blocks) if block not in blocks[:i]]
    assert len(firsts) == 4  # of the roles that read answers
    for number in firsts:
        dropped = Mutant("drop all of a role", "nvvm.fence.proxy", number, _drop_beside)
        assert isinstance(report("launch control", dropped), errors.ProxyFenceError), number


def _drop_beside(op: ir.Operation) -> None:
    """All operations of that name in a block."""
    for other in [x.operation for x in op.block.operations if x.operation.name == op.name]:
        other.erase()


@pytest.mark.parametrize("name", ["attention gfx1201", "pairs"])
def test_what_is_harmless_changes_no_result(name: str) -> None:
    by_name = {m.name: m for m in mutants(case(name).kernel.artifact.lowered, case(name).stage_bytes)}
    assert set(case(name).harmless) <= set(by_name)
    for key in sorted(case(name).harmless)[-2:]:
        assert report(name, by_name[key]) is None, key
        assert relative_error(case(name).args[-1], case(name).want) < 2e-3, key


@pytest.mark.parametrize("name", CASES)
def test_the_kernels_themselves_are_accepted(name: str) -> None:
    for seed in range(2):
        case(name).args[-1][:] = np.nan
        with knobs.overrides({"TILELANG_SIM_SEED": seed}):
            case(name).kernel(*case(name).args)
        assert relative_error(case(name).args[-1], case(name).want) < 2e-3, seed
