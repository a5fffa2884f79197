"""Registers that the fragments of a program need at least."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.errors import ResourceError, TileWarning
from tilelang_mlir.passes.fragment_demand import fragment_demand


def program(columns: int, together: bool) -> Any:
    """Two tiles of `columns / 32` registers per thread, in use one after the other or at one time."""

    @T.prim_func
    def main(X: T.Tensor((columns,), "float32"), Y: T.Tensor((columns,), "float32")):
        with T.Kernel(1, threads=32):
            first, second = T.alloc_fragment((columns,), "float32"), T.alloc_fragment((columns,), "float32")
            T.copy(X, first)
            if together:
                T.fill(second, 1)
                for i in T.Parallel(columns):
                    second[i] += first[i]
            else:
                T.copy(first, Y)
                T.copy(X, second)
            T.copy(second, Y)

    return main


@pytest.mark.parametrize(("columns", "together", "most"), [(640, False, 20), (640, True, 40), (650, True, 42)])
def test_what_is_in_use_at_one_time_counts(columns: int, together: bool, most: int) -> None:
    assert fragment_demand(program(columns, together).module) == most


@pytest.mark.parametrize(("columns", "told"), [(4128, True), (4064, False)])
def test_the_assembler_is_told_of_what_must_spill(columns: int, told: bool) -> None:
    """Two tiles of 129 registers are more than 255, two of 127 are not."""
    lowered = tilelang.compile(program(columns, True), target="sim:sm_90a").ir("lowered")
    assert ("nvvm.minctasm = 1" in lowered) == told


def test_far_beyond_the_registers_it_has_to_be_asked_for() -> None:
    """Two tiles of 640 registers are more than five times 255; the simulator, which has no registers, runs them."""
    wide, told = program(20480, True), "take 5120 bytes per thread or more, its registers hold 1020"
    for compiling in (tilelang.compile, lambda func, target: tilelang.par_compile([func], target=target)):
        with pytest.raises(ResourceError, match=told):
            compiling(wide, target="sim:sm_90a")
    found = tilelang.par_compile([wide, program(640, True)], target="sim:sm_90a", ignore_error=True)
    assert [kernel is None for kernel in found] == [True, False]
    x, y = np.arange(20480, dtype=np.float32), np.zeros(20480, np.float32)
    with pytest.warns(TileWarning, match="take 5120 bytes per thread"):
        kernel = tilelang.compile(wide, target="sim:sm_90a", pass_configs={"tl.allow_register_spills": True})
    kernel(x, y)
    assert (y == x + 1).all()
