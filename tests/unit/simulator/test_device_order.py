"""Order of accesses to device memory inside a block: what no barrier, or one that waits for LDS only, leaves open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tests.unit.simulator.mutants import Mutant, mutants
from tilelang_mlir import errors, knobs
from tilelang_mlir.jit.simulated import SimulatedKernel

N = 256
AMD = ("gfx90a", "gfx942", "gfx1100", "gfx1201")
targets = pytest.mark.parametrize("target", ["sm_90a", "gfx942", "gfx1100"])


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def twice(*, barrier: bool, same: bool = False) -> Any:
    """Every element is written by a thread, then by another one."""

    @T.prim_func
    def main(A: T.Tensor((N,), "float32"), C: T.Tensor((N,), "float32")):
        with T.Kernel(1, threads=N):
            tx = T.get_thread_binding()
            C[tx] = 1.0
            if barrier:
                T.sync_threads()
            C[N - 1 - tx] = 1.0 if same else A[tx]

    return main


def either() -> Any:
    """Every element is written once, in one of two places."""

    @T.prim_func
    def main(A: T.Tensor((N,), "float32"), C: T.Tensor((N,), "float32")):
        with T.Kernel(1, threads=N):
            tile = T.alloc_shared((N,), "float32")
            tx = T.get_thread_binding()
            tile[tx] = A[tx]
            T.sync_threads()
            if A[0] > 0.0:
                C[tx] = tile[N - 1 - tx]
            else:
                C[tx] = tile[tx]

    return main


def handed_over() -> Any:
    """A tensor is written, then read by other threads."""

    @T.prim_func
    def main(A: T.Tensor((N,), "float32"), C: T.Tensor((N,), "float32"), D: T.Tensor((N,), "float32")):
        with T.Kernel(1, threads=N):
            tx = T.get_thread_binding()
            C[tx] = A[tx]
            T.sync_threads()
            D[tx] = C[N - 1 - tx]

    return main


def replaced() -> Any:
    """A tensor is read, then written by other threads."""

    @T.prim_func
    def main(A: T.Tensor((N,), "float32"), C: T.Tensor((N,), "float32")):
        with T.Kernel(1, threads=N):
            tx = T.get_thread_binding()
            C[tx] = A[N - 1 - tx]
            T.sync_threads()
            A[tx] = 1.0

    return main


def inputs(count: int = 2) -> list[np.ndarray]:
    return [np.arange(1, N + 1, dtype=np.float32) * (i + 1) for i in range(count)]


@targets
def test_two_warps_write_one_place(target: str) -> None:
    with pytest.raises(errors.RaceError) as caught:
        tilelang.compile(twice(barrier=False), target=f"sim:{target}")(*inputs())
    text = str(caught.value)
    last = N // (64 if target == "gfx942" else 32) - 1
    assert f"by warp 0 of CTA 0 is not ordered after the write of another value by warp {last}" in text
    assert "C[N - 1 - tx] =" in text and "note: " in text and "C[tx] = 1.0" in text and "T.sync_threads" in text


@targets
@pytest.mark.parametrize("how", [{"barrier": True}, {"barrier": False, "same": True}, {"barrier": True, "same": True}])
def test_in_order_or_the_same_value(target: str, how: dict[str, bool]) -> None:
    a, c = inputs()
    tilelang.compile(twice(**how), target=f"sim:{target}")(a, c)
    assert np.array_equal(c, np.ones(N, np.float32) if "same" in how else a[::-1])


@pytest.mark.parametrize("target", AMD)
@pytest.mark.parametrize(("program", "count"), [(twice(barrier=True), 2), (handed_over(), 3), (replaced(), 2)])
def test_barriers_wait_for_device_memory_where_they_must(program: Any, count: int, target: str) -> None:
    """The compiler takes the barrier that does; one that waits for LDS only is reported."""
    kernel = tilelang.compile(program, target=f"sim:{target}")
    kernel(*inputs(count))
    lowered = kernel.artifact.lowered
    (weaker,) = [m for m in mutants(lowered, 0) if m.defect == "wait for LDS only"]
    assert "is not ordered after" in str(_report(kernel, weaker, count))


@pytest.mark.parametrize("target", AMD)
def test_barriers_wait_for_lds_only_where_that_is_enough(target: str) -> None:
    kernel = tilelang.compile(either(), target=f"sim:{target}")
    a, c = inputs()
    kernel(a, c)
    assert np.array_equal(c, a[::-1])
    assert "amdgpu.lds_barrier" in kernel.ir("lowered") and "rocdl.barrier" not in kernel.ir("lowered")


def _report(kernel: Any, mutant: Mutant, count: int) -> errors.RaceError:
    with pytest.raises(errors.RaceError) as caught:
        SimulatedKernel(kernel.plan, mutant.apply(kernel.artifact.lowered))(*inputs(count))
    return caught.value
