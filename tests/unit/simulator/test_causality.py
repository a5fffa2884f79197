"""Data that CTAs pass on through device memory: right programs are accepted, and one order, fence or barrier less is a
race, named by the lines of both accesses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tests.unit.simulator.mutants import Mutant
from tilelang_mlir import knobs
from tilelang_mlir.errors import ProxyFenceError, RaceError
from tilelang_mlir.isa.nvidia import memory
from tilelang_mlir.jit.simulated import SimulatedKernel
from tilelang_mlir.mlir import ir

WIDTH = 64  # threads: two warps
X = np.random.default_rng(0).random((3, WIDTH)).astype(np.float32)


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def last_block() -> Any:
    """The block that comes last adds what all have written."""

    @T.prim_func
    def main(
        A: T.Tensor((3, WIDTH), "float32"), P: T.Tensor((3, WIDTH), "float32"), N: T.Tensor((1,), "int32"),
        Y: T.Tensor((WIDTH,), "float32"),
    ):  # fmt: skip
        with T.Kernel(3, threads=WIDTH) as bx:
            i = T.get_thread_binding()
            arrived = T.alloc_shared((1,), "int32")
            P[bx, i] = A[bx, i]
            T.sync_threads()
            if i == 0:
                arrived[0] = T.atomic_add(N[0], 1, "acq_rel", return_prev=True)
            T.sync_threads()
            if arrived[0] == 2:
                Y[i] = P[0, WIDTH - 1 - i] + P[1, WIDTH - 1 - i] + P[2, WIDTH - 1 - i]

    return main


def relay() -> Any:
    """Block 0 writes, block 1 only passes on that it has, block 2 reads."""

    @T.prim_func
    def main(
        A: T.Tensor((3, WIDTH), "float32"), P: T.Tensor((WIDTH,), "float32"), F: T.Tensor((2,), "int32"),
        Y: T.Tensor((WIDTH,), "float32"),
    ):  # fmt: skip
        with T.Kernel(3, threads=WIDTH) as bx:
            i = T.get_thread_binding()
            if bx == 0:
                P[i] = A[0, i]
                T.sync_threads()
                if i == 0:
                    T.atomic_store(F[0], 1, "release")
            elif bx == 1:
                if i == 0:
                    while T.atomic_load(F[0], "acquire") == 0:
                        T.evaluate(0)
                    T.atomic_store(F[1], 1, "release")
            else:
                if i == 0:
                    while T.atomic_load(F[1], "acquire") == 0:
                        T.evaluate(0)
                T.sync_threads()
                Y[i] = P[WIDTH - 1 - i]

    return main


def slot() -> Any:
    """Block 0 fills a slot twice, block 1 empties it: each waits for the other."""

    @T.prim_func
    def main(
        A: T.Tensor((3, WIDTH), "float32"), P: T.Tensor((WIDTH,), "float32"), F: T.Tensor((2,), "int32"),
        Y: T.Tensor((2, WIDTH), "float32"),
    ):  # fmt: skip
        with T.Kernel(2, threads=WIDTH) as bx:
            i = T.get_thread_binding()
            if bx == 0:
                for r in T.serial(2):
                    if i == 0:
                        while T.atomic_load(F[1], "acquire") < r:
                            T.evaluate(0)
                    T.sync_threads()
                    P[i] = A[r, i]
                    T.sync_threads()
                    if i == 0:
                        T.atomic_store(F[0], r + 1, "release")
            else:
                for r in T.serial(2):
                    if i == 0:
                        while T.atomic_load(F[0], "acquire") < r + 1:
                            T.evaluate(0)
                    T.sync_threads()
                    Y[r, i] = P[WIDTH - 1 - i]
                    T.sync_threads()
                    if i == 0:
                        T.atomic_store(F[1], r + 1, "release")

    return main


PROGRAMS = {"last block": last_block, "relay": relay, "slot": slot}
WANT = {"last block": X[:, ::-1].sum(0), "relay": X[0, ::-1], "slot": X[:2, ::-1]}


@cache
def kernel(name: str) -> Any:
    return tilelang.compile(PROGRAMS[name](), target="sim:sm_90")


def run(name: str, *mutants: Mutant, seed: int = 0) -> None:
    """Run a program with changes; checks its result."""
    lowered, want = kernel(name).artifact.lowered, WANT[name]
    for mutant in mutants:
        lowered = mutant.apply(lowered)
    part = np.full((3, WIDTH) if name == "last block" else (WIDTH,), np.nan, np.float32)
    out = np.full(want.shape, np.nan, np.float32)
    with knobs.overrides({"TILELANG_SIM_SEED": seed}):
        SimulatedKernel(kernel(name).plan, lowered)(X, part, np.zeros(1 if name == "last block" else 2, np.int32), out)
    assert np.linalg.norm(out - want) < 1e-6 * np.linalg.norm(want)


def ordered(index: int, order: int, change: Callable[[ir.Operation], None] | None = None) -> Mutant:
    """The `index`-th atomic operation with another LLVM ordering (2: relaxed, 4: acquire, 5: release)."""

    def edit(op: ir.Operation) -> None:
        op.attributes["ordering"] = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), order)
        if change is not None:
            change(op)

    return Mutant(f"order {order}", "llvm.atomicrmw", index, edit)


def fence_before(op: ir.Operation) -> None:
    memory.fence("gpu")


def fence_after(op: ir.Operation) -> None:
    with ir.InsertionPoint.after(op):
        memory.fence("gpu")


def fence_of_the_block(op: ir.Operation) -> None:
    memory.fence("cta")


def without_barrier(index: int) -> Mutant:
    return Mutant("drop", "nvvm.barrier", index, lambda op: op.erase())


def narrow(index: int) -> Mutant:
    """The scope of an atomic operation is the block."""

    def edit(op: ir.Operation) -> None:
        op.attributes["syncscope"] = ir.StringAttr.get("block")

    return Mutant("narrow", "llvm.atomicrmw", index, edit)


@pytest.mark.parametrize("name", PROGRAMS)
def test_right_programs_are_accepted_in_any_order(name: str) -> None:
    for seed in range(8):
        run(name, seed=seed)


@pytest.mark.parametrize(("name", "changes"), [
    ("last block", [ordered(0, 2, lambda op: (fence_before(op), fence_after(op)) and None)]),
    ("relay", [ordered(0, 2, fence_before)]),
    ("relay", [ordered(3, 2, fence_after)]),
    ("slot", [ordered(k, 7) for k in range(4)]),
])  # fmt: skip
def test_fences_around_relaxed_operations_are_patterns_too(name: str, changes: list[Mutant]) -> None:
    run(name, *changes)


# By program: what is changed, and what the report says.
DEFECTS = [
    *(("last block", ordered(0, order), "reads byte .* of argument 1, which CTA . has written") for order in (2, 4, 5)),
    ("last block", narrow(0), "reads byte .* of argument 1, which CTA . has written"),
    ("last block", ordered(0, 2, fence_before), "reads byte .* of argument 1, which CTA . has written"),
    ("last block", ordered(0, 2, fence_after), "reads byte .* of argument 1, which CTA . has written"),
    ("last block", without_barrier(0), "reads byte .* of argument 1, which CTA . has written"),
    *(("relay", ordered(k, 2), "CTA 2 reads byte .* of argument 1, which CTA 0 has written") for k in range(4)),
    *(("relay", narrow(k), "CTA 2 reads byte .* of argument 1, which CTA 0 has written") for k in range(4)),
    ("relay", ordered(0, 2, fence_after), "CTA 2 reads byte .* of argument 1, which CTA 0 has written"),
    ("relay", ordered(0, 2, fence_of_the_block), "CTA 2 reads byte .* of argument 1, which CTA 0 has written"),
    ("relay", ordered(3, 2, fence_before), "CTA 2 reads byte .* of argument 1, which CTA 0 has written"),
    ("relay", without_barrier(0), "CTA 2 reads byte .* of argument 1, which CTA 0 has written"),
    ("relay", without_barrier(1), "CTA 2 reads byte .* of argument 1, which CTA 0 has written"),
    ("slot", ordered(0, 2), "CTA 0 writes byte .* of argument 1, which CTA 1 has read"),
    ("slot", ordered(1, 2), "CTA 1 reads byte .* of argument 1, which CTA 0 has written"),
    ("slot", ordered(2, 2), "CTA 1 reads byte .* of argument 1, which CTA 0 has written"),
    ("slot", ordered(3, 2), "CTA 0 writes byte .* of argument 1, which CTA 1 has read"),
    ("slot", without_barrier(0), "CTA 0 writes byte .* of argument 1, which CTA 1 has read"),
    ("slot", without_barrier(1), "CTA 1 reads byte .* of argument 1, which CTA 0 has written"),
    ("slot", without_barrier(2), "CTA 1 reads byte .* of argument 1, which CTA 0 has written"),
    ("slot", without_barrier(3), "CTA 0 writes byte .* of argument 1, which CTA 1 has read"),
]


def test_every_defect_is_reported_with_both_lines() -> None:
    for name, mutant, message in DEFECTS:
        with pytest.raises(RaceError, match=f"race between CTAs: .*{message}") as caught:
            run(name, mutant)
        others = [where for text, where in caught.value.notes if text == "the other access"]
        assert caught.value.location is not None and others and others[0] is not None, (name, mutant.name)


def test_atomic_updates_are_ordered_before_ordinary_reads() -> None:
    """Sums of all warps: a barrier before they are read is needed, and is enough inside of a block."""

    def sums(blocks: int, sync: bool) -> Any:
        @T.prim_func
        def main(N: T.Tensor((1,), "int32"), Y: T.Tensor((blocks,), "int32")):
            with T.Kernel(blocks, threads=WIDTH) as bx:
                T.atomic_add(N[0], 1)
                if sync:
                    T.sync_threads()
                if T.get_thread_binding() == 0:
                    Y[bx] = N[0]

        return tilelang.compile(main, target="sim:sm_80")

    n, y = np.zeros(1, np.int32), np.zeros(1, np.int32)
    sums(1, True)(n, y)
    assert y[0] == WIDTH
    with pytest.raises(RaceError, match="race: CTA 0 reads byte 0 of argument 0, which another warp has updated"):
        sums(1, False)(n, y)
    with pytest.raises(RaceError, match="race between CTAs: CTA . reads byte 0 of argument 0, which CTA . has updated"):
        sums(2, True)(n, np.zeros(2, np.int32))


@pytest.mark.parametrize("fence", [True, False])
def test_bulk_copies_of_what_another_block_has_written_need_a_proxy_fence(fence: bool) -> None:
    @T.prim_func
    def main(A: T.Tensor((32, 64), "float16"), P: T.Tensor((32, 64), "float16"), F: T.Tensor((1,), "int32"),
             Y: T.Tensor((32, 64), "float16")):  # fmt: skip
        with T.Kernel(2, threads=128) as bx:
            tile, bar = T.alloc_shared((32, 64), "float16"), T.alloc_barrier(1)
            if bx == 0:
                for i, j in T.Parallel(32, 64):
                    P[i, j] = A[i, j]
                T.sync_threads()
                if T.get_thread_binding() == 0:
                    T.atomic_store(F[0], 1, "release")
            else:
                if T.get_thread_binding() == 0:
                    while T.atomic_load(F[0], "acquire") == 0:
                        T.evaluate(0)
                    if fence:
                        T.fence_proxy_async()
                T.sync_threads()
                T.tma_copy(P[0:32, 0:64], tile, barrier=bar)
                T.mbarrier_wait_parity(bar, 0)
                T.copy(tile, Y)

    a, y = np.random.default_rng(1).random((32, 64)).astype(np.float16), np.full((32, 64), np.nan, np.float16)
    kernel = tilelang.compile(main, target="sim:sm_90a")
    if fence:
        kernel(a, np.zeros_like(a), np.zeros(1, np.int32), y)
        assert np.array_equal(y, a)
    else:
        with pytest.raises(ProxyFenceError, match="was written by ordinary accesses and is read by a bulk copy"):
            kernel(a, np.zeros_like(a), np.zeros(1, np.int32), y)


@pytest.mark.parametrize("wait", ["T.tma_store_wait(0, read=False)", "T.tma_store_wait(0)", "after"])
def test_bulk_stores_are_passed_on_when_they_are_complete(wait: str) -> None:
    """That a copy has read its source says nothing of where it goes."""
    complete = wait.endswith("read=False)")

    @T.prim_func
    def main(A: T.Tensor((32, 64), "float16"), P: T.Tensor((32, 64), "float16"), F: T.Tensor((1,), "int32"),
             Y: T.Tensor((32, 64), "float16")):  # fmt: skip
        with T.Kernel(2, threads=128) as bx:
            tile = T.alloc_shared((32, 64), "float16")
            if bx == 0:
                T.copy(A, tile)
                T.fence_proxy_async()
                T.sync_threads()
                if T.get_thread_binding() == 0:
                    T.tma_copy(tile, P[0:32, 0:64])
                    if wait != "after":
                        T.tma_store_wait(0, read=not complete)
                    T.atomic_store(F[0], 1, "release")
                    T.tma_store_wait(0, read=False)
            else:
                if T.get_thread_binding() == 0:
                    while T.atomic_load(F[0], "acquire") == 0:
                        T.evaluate(0)
                T.sync_threads()
                T.copy(P, Y, disable_tma=True)

    a, y = np.random.default_rng(1).random((32, 64)).astype(np.float16), np.full((32, 64), np.nan, np.float16)
    kernel = tilelang.compile(main, target="sim:sm_90a")
    if complete:
        kernel(a, np.zeros_like(a), np.zeros(1, np.int32), y)
        assert np.array_equal(y, a)
    else:
        with pytest.raises(RaceError, match="CTA 1 reads byte 0 of argument 1 .*which CTA 0 has written"):
            kernel(a, np.zeros_like(a), np.zeros(1, np.int32), y)


@pytest.mark.parametrize("meet", [True, False])
def test_a_barrier_of_the_cluster_orders_device_memory(meet: bool) -> None:
    @T.prim_func
    def main(
        A: T.Tensor((2, WIDTH), "float32"), P: T.Tensor((2, WIDTH), "float32"), Y: T.Tensor((2, WIDTH), "float32")
    ):  # fmt: skip
        with T.ClusterKernel(2, threads=WIDTH, cluster_dims=2) as bx:
            i = T.get_thread_binding()
            P[bx, i] = A[bx, i]
            if meet:
                T.cluster_sync()
            Y[bx, i] = P[1 - bx, WIDTH - 1 - i]

    y = np.full((2, WIDTH), np.nan, np.float32)
    kernel = tilelang.compile(main, target="sim:sm_90a")
    if meet:
        kernel(X[:2], np.zeros_like(X[:2]), y)
        assert np.array_equal(y, X[1::-1, ::-1])
    else:
        with pytest.raises(RaceError, match="race between CTAs: CTA 0 reads .*, which CTA 1 has written"):
            kernel(X[:2], np.zeros_like(X[:2]), y)
