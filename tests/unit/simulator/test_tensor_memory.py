"""What the simulator reports of kernels that misuse tensor memory, at the Python line and with a hint."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tests.unit.simulator.mutants import mutants
from tilelang_mlir import errors, knobs
from tilelang_mlir.jit.simulated import SimulatedKernel


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def compiled(*, clear: bool = True, wait: bool = True, overwrite: bool = False) -> Any:
    @T.prim_func
    def main(A: T.Tensor((128, 64), "float16"), B: T.Tensor((64, 64), "float16"), C: T.Tensor((128, 64), "float32")):
        with T.Kernel(1, threads=128):
            a, b = T.alloc_shared((128, 64), "float16"), T.alloc_shared((64, 64), "float16")
            c, mbar = T.alloc_tmem((128, 64), "float32"), T.alloc_barrier(1)
            T.copy(A, a)
            T.copy(B, b)
            T.tcgen05_gemm(a, b, c, transpose_B=True, mbar=mbar, clear_accum=clear)
            if overwrite:
                T.fill(a, 0)
            if wait:
                T.mbarrier_wait_parity(mbar, 0)
            T.copy(c, C)

    return tilelang.compile(main, target="sim:sm_100a")


def arguments() -> list[np.ndarray]:
    return [np.ones((128, 64), np.float16), np.ones((64, 64), np.float16), np.zeros((128, 64), np.float32)]


def test_the_kernel_itself() -> None:
    args = arguments()
    compiled()(*args)
    assert (args[2] == 64).all()


@pytest.mark.parametrize(
    ("options", "kind", "texts"),
    [
        ({"wait": False}, errors.RaceError, [
            r"race: read of tensor memory column 0, lanes 0 to 15, of CTA 0 by warp 0 comes while an asynchronous "
            r"operation there is not complete", r"T\.copy\(c, C\)", "hint: tcgen05.commit to an mbarrier and wait",
        ]),
        ({"clear": False}, errors.UninitializedReadError, [
            "a read of tensor memory lane 0, column 0, which nothing has written", "hint: .*clear_accum=True",
        ]),
        ({"overwrite": True}, errors.RaceError, [
            r"race: write of shared byte \d+ of CTA 0 by warp \d is not ordered after the read by an asynchronous",
            r"T\.fill\(a, 0\)",
        ]),
    ],
    ids=["read too early", "sum not cleared", "operand overwritten"],
)  # fmt: skip
def test_wrong_programs(options: dict[str, bool], kind: type[errors.TileError], texts: list[str]) -> None:
    with pytest.raises(kind) as caught:
        compiled(**options)(*arguments())
    for text in texts:
        assert re.search(text, str(caught.value)), str(caught.value)


@pytest.mark.parametrize(
    ("mutant", "text"),
    [
        ("drop: tcgen05.dealloc 0", "the kernel ends with 64 columns of tensor memory allocated"),
        ("drop: tcgen05.alloc 0", "uses the mbarrier|which nothing has written|which are not in one allocation"),
        ("drop: tcgen05.commit 0", "deadlock"),
    ],
)
def test_defects(mutant: str, text: str) -> None:
    kernel = compiled()
    lowered = kernel.artifact.lowered
    (chosen,) = [m for m in mutants(lowered, 16384) if m.name == mutant]
    with pytest.raises(errors.TileError, match=text):
        SimulatedKernel(kernel.plan, chosen.apply(lowered))(*arguments())


def test_missing_fence_is_named() -> None:
    """Which fence is missing follows from what is known: the wait has been, the fence behind it has not."""
    kernel = compiled()
    lowered = kernel.artifact.lowered
    hints: set[str] = set()
    for chosen in [m for m in mutants(lowered, 16384) if m.name.startswith("drop: tcgen05.fence")]:
        try:
            SimulatedKernel(kernel.plan, chosen.apply(lowered))(*arguments())
        except errors.RaceError as error:
            hints.add(error.hint or "")
    assert "tcgen05.fence::after_thread_sync after the threads synchronise" in hints
    assert "tcgen05.fence::before_thread_sync before the threads synchronise" in hints

