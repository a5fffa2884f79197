"""Kernels whose CTAs meet (`T.sync_grid`), in the simulator against numpy in float64."""

from __future__ import annotations

import linecache
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import errors, knobs
from tilelang_mlir.compiler.toolchain.code_object import metadata


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def normalise(blocks: int, rounds: int, meet: bool = True, width: int = 64) -> Any:
    """Each CTA sums its part; after the barrier all read all sums, as often as `rounds`."""

    @T.prim_func
    def kernel(
        A: T.Tensor((blocks, width), "float32"), S: T.Tensor((blocks,), "float32"),
        C: T.Tensor((blocks, width), "float32"),
    ):
        with T.Kernel(blocks, threads=width) as block:
            row = T.alloc_fragment((width,), "float32")
            total = T.alloc_fragment((1,), "float32")
            sums = T.alloc_fragment((blocks,), "float32")
            T.copy(A[block, 0], row)
            for _ in T.serial(rounds):
                T.reduce_sum(row, total, dim=0)
                T.copy(total, S[block])
                if meet:
                    T.sync_grid()
                T.copy(S, sums)
                T.reduce_sum(sums, total, dim=0)
                for i in T.Parallel(width):
                    row[i] = row[i] / total[0] + 1.0
                if meet:
                    T.sync_grid()
            T.copy(row, C[block, 0])

    return kernel


@pytest.mark.parametrize(("blocks", "rounds", "arch"), [
    (1, 1, "sm_80"), (7, 1, "sm_80"), (33, 3, "sm_80"), (7, 2, "gfx942"), (7, 2, "gfx1201"),
])  # fmt: skip
def test_sums_of_all_ctas(blocks: int, rounds: int, arch: str) -> None:
    kernel = tilelang.compile(normalise(blocks, rounds), target=f"sim:{arch}")
    a = np.random.default_rng(blocks).random((blocks, 64)).astype(np.float32)
    want = a.astype(np.float64)
    for _ in range(rounds):
        want = want / want.sum() + 1.0
    got, sums = np.full((blocks, 64), np.nan, np.float32), np.full(blocks, np.nan, np.float32)
    kernel(a, sums, got)
    assert np.linalg.norm(got - want) <= 1e-5 * np.linalg.norm(want)
    assert "tl.cooperative" in kernel.ir("lowered")
    assert kernel.plan.kernels[0].cooperative


@pytest.mark.parametrize("arch", ["sm_80", "gfx942"])
def test_without_the_barrier_it_is_a_race(arch: str) -> None:
    kernel = tilelang.compile(normalise(4, 1, meet=False), target=f"sim:{arch}")
    a = np.ones((4, 64), np.float32)
    with pytest.raises(errors.RaceError, match="race between CTAs"):
        kernel(a, np.zeros(4, np.float32), np.zeros((4, 64), np.float32))


def test_a_part_of_the_ctas_never_meets() -> None:
    @T.prim_func
    def half(A: T.Tensor((64,), "float32")):
        with T.Kernel(2, threads=32) as block:
            if block == 0:
                T.sync_grid()
            A[block] = 1.0

    kernel = tilelang.compile(half, target="sim:sm_80")
    with pytest.raises(errors.DeadlockError, match="barrier of the grid: 1 of 2 CTAs have come, not CTA 1") as caught:
        kernel(np.zeros(64, np.float32))
    where = caught.value.location
    assert where is not None and linecache.getline(where.file, where.line).strip() == "T.sync_grid()"


def _parting(blocks: int, tiles: int, meet: bool = True) -> Any:
    """CTAs take turns at the tiles, so that some have one more; the first one meets the others elsewhere."""

    @T.prim_func
    def kernel(
        A: T.Tensor((tiles, 64), "float32"), S: T.Tensor((tiles,), "float32"), C: T.Tensor((blocks,), "float32"),
    ):
        with T.Kernel(blocks, threads=64) as block:
            part = T.alloc_shared((64,), "float32")
            row, total = T.alloc_fragment((64,), "float32"), T.alloc_fragment((1,), "float32")
            sums = T.alloc_fragment((tiles,), "float32")
            for tile in T.serial(T.ceildiv(tiles - block, blocks)):
                T.copy(A[tile * blocks + block, 0], part)
                T.sync_threads()
                for i in T.Parallel(64):
                    row[i] = part[63 - i]
                T.reduce_sum(row, total, dim=0)
                T.copy(total, S[tile * blocks + block])
                T.sync_threads()
            if block == 0:
                T.sync_grid()
                T.copy(S, sums)
                T.reduce_sum(sums, total, dim=0)
                C[0] = total[0]
                if meet:
                    T.sync_grid()
            else:
                T.sync_grid()
                if meet:
                    T.sync_grid()
                C[block] = C[0] * (block + 1)

    return kernel


@pytest.mark.parametrize(("blocks", "tiles", "arch"), [(3, 7, "sm_80"), (5, 3, "sm_90a"), (2, 5, "gfx942")])
def test_ctas_that_part_ways_meet(blocks: int, tiles: int, arch: str) -> None:
    a = np.random.default_rng(tiles).standard_normal((tiles, 64)).astype(np.float32)
    sums, got = np.full(tiles, np.nan, np.float32), np.full(blocks, np.nan, np.float32)
    tilelang.compile(_parting(blocks, tiles), target=f"sim:{arch}")(a, sums, got)
    want = a.astype(np.float64).sum() * (np.arange(blocks) + 1)
    assert np.linalg.norm(got - want) <= 1e-5 * np.linalg.norm(want)
    if arch == "sm_80":
        with pytest.raises(errors.RaceError, match="race between CTAs: CTA 0 writes byte 0 of argument 2, which CTA 2"):
            tilelang.compile(_parting(blocks, tiles, meet=False), target=f"sim:{arch}")(a, sums, got)


@pytest.mark.parametrize("arch", ["sm_75", "sm_90a"])
def test_machine_code(arch: str) -> None:
    kernel = tilelang.compile(normalise(4, 2), target=f"cuda:{arch}")
    ptx = kernel.get_kernel_source()
    assert ".global .align 4 .u32 tilelang_grid_barrier" in ptx
    assert ptx.count("atom.add.acq_rel.gpu.global.u32") == 2
    assert "ld.global.nc.f32" not in ptx.split("atom.add", 1)[1]
    assert kernel.artifact.binary


@pytest.mark.parametrize(("arch", "release", "acquire"), [
    ("gfx90a", "s_waitcnt vmcnt(0)", "buffer_wbinvl1"), ("gfx942", "buffer_wbl2 sc1", "buffer_inv sc1"),
    ("gfx1100", "s_waitcnt_vscnt null, 0x0", "buffer_gl1_inv"),
    ("gfx1201", "s_wait_storecnt 0x0", "global_inv scope:SCOPE_DEV"),
])  # fmt: skip
def test_code_objects(arch: str, release: str, acquire: str) -> None:
    """Every wave waits for its writes in front of the addition, and has empty caches behind the loop that waits."""
    kernel = tilelang.compile(normalise(4, 1, width=128), target=f"hip:{arch}")
    text = kernel.ir("amdgcn")
    before, _, behind = text.partition("global_atomic_add")
    signal = "s_barrier_signal" if arch == "gfx1201" else "s_barrier\n"
    assert release in before.rsplit(signal, 1)[0].rsplit("global_store", 1)[1]
    loop, _, rest = behind.partition(signal)
    assert "s_sleep 1" in loop and acquire in rest.partition("global_load")[0]
    names = [a[".value_kind"] for a in metadata(kernel.artifact.binary)["amdhsa.kernels"][0][".args"]]
    assert "hidden_block_count_x" in names and text.count("global_atomic_add") == 2
    assert kernel.plan.kernels[0].cooperative
