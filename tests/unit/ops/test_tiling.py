"""The choice of tiles: what fits the machine, and what decides between candidates."""

from __future__ import annotations

import math

import pytest

from tilelang_mlir import ops
from tilelang_mlir.ops import Tiling, choose
from tilelang_mlir.target import parse_target

SHARED = 227 * 1024
MULTIPROCESSORS = 132


def shared_bytes(tiling: Tiling, bits: int) -> int:
    """The ring and two buffers of 8 KiB for each of two warpgroups."""
    stage = (tiling.block_M + tiling.block_N) * tiling.block_K * bits // 8
    return tiling.stages * stage + 4 * 8192


def use(tiling: Tiling, M: int, N: int) -> float:
    """The useful part of the waves."""
    tiles = math.ceil(M / tiling.block_M) * math.ceil(N / tiling.block_N)
    return M * N / (math.ceil(tiles / MULTIPROCESSORS) * MULTIPROCESSORS * tiling.block_M * tiling.block_N)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("trans_B", [False, True])
@pytest.mark.parametrize(
    "size", [(1, 8, 8), (64, 8192, 8192), (1024, 1024, 1024), (4096, 2112, 7168), (8192, 8192, 256), (333, 17000, 72)]
)
def test_a_choice_fits_the_machine(size: tuple[int, int, int], trans_B: bool, bits: int) -> None:
    tiling = choose(*size, bits, trans_B=trans_B)
    assert shared_bytes(tiling, bits) + 1024 <= SHARED and tiling.stages >= 3
    assert tiling.block_K * bits == 1024, "a row of a stage is one swizzle span"
    assert trans_B or tiling.block_N % 64 == 0
    accumulators = tiling.block_M * tiling.block_N // tiling.threads
    assert accumulators <= (208 if tiling.threads == 128 else 128)


def test_the_choice_depends_on_nothing_else() -> None:
    assert len({choose(4096, 4096, 4096) for _ in range(3)}) == 1


def test_tiles_fill_the_waves() -> None:
    assert use(choose(4096, 2112, 7168), 4096, 2112) > 0.95, "176 columns divide 2112"
    assert use(choose(4096, 4096, 4096), 4096, 4096) > 0.95
    assert use(choose(8192, 8192, 8192), 8192, 8192) > 0.95


def test_short_sums_alternate() -> None:
    """The store of a tile then takes a good part of its time: one warpgroup stores while the other one computes."""
    assert choose(8192, 8192, 1024).threads == 128


@pytest.mark.parametrize("M", [1, 8, 17, 40])
@pytest.mark.parametrize("trans_B", [False, True])
def test_few_rows_become_columns_of_the_instructions(M: int, trans_B: bool) -> None:
    """Tiles of A then have no rows behind its end."""
    tiling = choose(M, 4096, 7168, trans_B=trans_B)
    assert tiling.swapped and M <= tiling.block_M < M + 16


def test_tiles_lie_across_where_they_divide_the_rows() -> None:
    """320 rows are two halves of 160 columns, and no multiple of the 64 or 128 rows of an instruction."""
    tiling = choose(320, 8192, 4096, trans_B=False)
    assert tiling.swapped and tiling.block_M == 160 and use(tiling, 320, 8192) > 0.95
    assert not choose(320, 8192, 4096, trans_A=True).block_M % 64, "across K a tile comes in whole swizzle spans"


def test_turned_tiles_of_odd_rows_fit_the_machine() -> None:
    """They are stored by threads, without a tile in shared memory beside the ring."""
    assert choose(960, 8190, 512).swapped
    assert ops.gemm(960, 8190, 512, target="sm_90a").shared_bytes <= SHARED


def test_scales_of_tensors_leave_k_whole() -> None:
    assert choose(64, 576, 7168, 8).parts > 1 and choose(64, 576, 7168, 8, split=False).parts == 1


def test_few_rows_take_low_tiles_that_keep_the_machine_busy() -> None:
    tiling = choose(64, 8192, 8192)
    assert tiling.block_M == 64 and 8192 // tiling.block_N >= 100


@pytest.mark.parametrize("size", [(64, 576, 7168), (512, 512, 8192), (1, 64, 65536)])
def test_few_tiles_split_k_as_far_as_the_machine_goes(size: tuple[int, int, int]) -> None:
    tiling = choose(*size)
    tiles = math.ceil(size[0] / tiling.block_M) * math.ceil(size[1] / tiling.block_N)
    assert tiling.parts > 1 and tiles * tiling.parts <= MULTIPROCESSORS
    assert size[2] >= tiling.parts * 8 * tiling.block_K, "every part fills its pipeline"


def test_two_parts_are_added_by_their_ctas_and_many_by_a_second_kernel() -> None:
    few, many = choose(1024, 1024, 16384), choose(64, 576, 7168)
    assert few.parts == 2 and few.fused and many.parts > 4 and not many.fused
    assert not choose(1024, 1024, 16384, machine=parse_target("sm_100a")).fused
    kernel = ops.gemm(1024, 1024, 16384, target="sm_90a")
    assert [spec.grid for spec in kernel.plan.kernels] == [(64, 1, 1), (8, 8, 2)]
    assert "fence.release.gpu" in kernel.get_kernel_source() and kernel.n_spills == 0


@pytest.mark.parametrize("size", [(64, 8192, 8192), (4096, 2112, 7168), (8192, 8192, 16384), (64, 576, 512)])
def test_k_stays_whole_where_tiles_abound_or_it_is_short(size: tuple[int, int, int]) -> None:
    assert choose(*size).parts == 1


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_89", "sm_120a", "gfx90a", "gfx942", "gfx1100"])
def test_other_machines_get_tiles_that_fit_their_shared_memory(arch: str) -> None:
    machine = parse_target(arch)
    tiling = choose(4096, 4096, 4096, machine=machine)
    assert tiling.threads in (128, 256) and tiling.stages >= 2
    assert tiling.stages * (tiling.block_M + tiling.block_N) * tiling.block_K * 2 <= machine.max_shared_bytes


@pytest.mark.parametrize("arch", ["sm_80", "sm_100a", "gfx942", "gfx1100"])
def test_kernels_of_large_sizes_compile(arch: str) -> None:
    for kernel in (ops.gemm(4096, 4096, 4096, target=arch), ops.gemm(64, 4096, 512, "bfloat16", target=arch)):
        assert kernel.n_spills == 0


def test_shared_memory_is_counted_once() -> None:
    """A code object reserves its LDS itself; on other machines the launch adds it."""
    for arch in ("gfx942", "sm_80"):
        kernel, tiling = ops.gemm(256, 256, 256, target=arch), choose(256, 256, 256, machine=parse_target(arch))
        stage = (tiling.block_M + tiling.block_N) * tiling.block_K * 2
        assert kernel.shared_bytes in (stage, tiling.stages * stage), f"{arch}: {kernel.shared_bytes}"
