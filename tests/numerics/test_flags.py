"""CTAs that wait for one another through device memory: flags, locks, chains; and those that wait for ever."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hopper_programs import compiled, poisoned

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import DeadlockError, RaceError


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def chain(blocks: int, *, reverse: bool = True, broken: int = -1, orders: Any = ("acquire", "release")) -> Any:
    """Each block waits for the next one's flag (or the one before), and adds its number to what that one wrote."""

    @T.prim_func
    def main(Flags: T.Tensor((blocks + 1,), "int32"), Y: T.Tensor((blocks + 1,), "int32")):
        with T.Kernel(blocks, threads=32) as bx:
            at = bx if reverse else blocks - 1 - bx
            if T.get_thread_binding() == 0:
                while T.atomic_load(Flags[at + 1], orders[0]) == 0:
                    T.evaluate(0)
                Y[at] = Y[at + 1] + at
                if at != broken:
                    T.atomic_store(Flags[at], 1, orders[1])

    return main


def run_chain(blocks: int, **options: Any) -> np.ndarray:
    flags, y = np.zeros(blocks + 1, np.int32), poisoned((blocks + 1,), "int32")
    flags[blocks], y[blocks] = 1, 0
    compiled(chain(blocks, **options))(flags, y)
    assert (flags == 1).all()
    return y


@pytest.mark.parametrize("reverse", [True, False])
@pytest.mark.parametrize("seed", [0, 3])
def test_blocks_wait_for_the_next_one(seed: int, reverse: bool) -> None:
    with knobs.overrides({"TILELANG_SIM_SEED": seed}):
        y = run_chain(6, reverse=reverse)
    assert y.tolist() == [sum(range(at, 6)) for at in range(7)]


def test_a_flag_that_nobody_sets_is_a_deadlock() -> None:
    with pytest.raises(DeadlockError, match="no thread can move: .* a loop over device memory, in CTA 2") as caught:
        run_chain(5, broken=3)
    assert caught.value.location is not None and caught.value.location.file.endswith("test_flags.py")


@pytest.mark.parametrize("orders", [("acquire", "relaxed"), ("relaxed", "release")])
def test_a_flag_that_only_one_side_orders_is_a_race(orders: tuple[str, str]) -> None:
    with pytest.raises(RaceError, match=r"race between CTAs: CTA \d (reads|writes) byte .* has (written|read)"):
        run_chain(3, orders=orders)


def test_orders_reach_the_machine_as_fences() -> None:
    """LLVM prints atomic updates of NVPTX without their order."""
    source = tilelang.compile(chain(2), target="cuda:sm_90a").get_kernel_source()
    kinds = re.findall(r"^\s*(fence\.\w+\.gpu|atom\.global\.\w+|(?:ld|st)\.global)", source, re.MULTILINE)
    wait = ["atom.global.or", "fence.acquire.gpu", "ld.global"]
    assert kinds == [*wait, "st.global", "fence.release.gpu", "atom.global.exch"]


def test_a_lock_is_taken_in_turns() -> None:
    blocks = 5

    @T.prim_func
    def main(Lock: T.Tensor((1,), "int32"), Total: T.Tensor((1,), "int32")):
        with T.Kernel(blocks, threads=32) as bx:
            if T.get_thread_binding() == 0:
                while T.atomic_max(Lock[0], 1, "acquire", return_prev=True) == 1:
                    T.evaluate(0)
                T.atomic_store(Total[0], T.atomic_load(Total[0], "relaxed") + bx + 1, "relaxed")
                T.atomic_store(Lock[0], 0, "release")

    lock, total = np.zeros(1, np.int32), np.zeros(1, np.int32)
    compiled(main)(lock, total)
    assert lock[0] == 0 and total[0] == 15


def test_loops_over_data_are_no_waits() -> None:
    """A list is walked to its end, however long."""
    length = 1500

    @T.prim_func
    def main(Next: T.Tensor((length,), "int32"), Y: T.Tensor((2,), "int32")):
        with T.Kernel(2, threads=32) as bx:
            if T.get_thread_binding() == 0:
                at = T.alloc_var("int32", init=bx)
                steps = T.alloc_var("int32", init=0)
                while Next[at] >= 0:
                    at = Next[at]
                    steps += 1
                Y[bx] = steps

    following, y = np.arange(1, length + 1, dtype=np.int32), poisoned((2,), "int32")
    following[-1] = -1
    compiled(main)(following, y)
    assert y.tolist() == [length - 1, length - 2]
