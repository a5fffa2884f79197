"""Products on sm_90a in the simulator, into outputs that held NaN, against float64; and the form each is lowered to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hopper_programs import HOPPER, Gemm, check_gemm, form

from tilelang_mlir import knobs

SIZE = (72, 136, 136)  # whole 16-byte rows, no whole tiles
TILES = (64, 64, 64)


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


@pytest.mark.parametrize("transposes", [(False, False), (False, True), (True, False), (True, True)])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bit_operands_take_every_transpose(dtype: str, transposes: tuple[bool, bool]) -> None:
    ta, tb = transposes
    kernel = check_gemm(Gemm(SIZE, TILES, dtype=dtype, out=dtype, transpose_A=ta, transpose_B=tb))
    assert form(kernel) == HOPPER


@pytest.mark.parametrize("transposes", [(False, False), (False, True), (True, False), (True, True)])
@pytest.mark.parametrize("dtype", ["float8_e4m3", "float8_e5m2"])
def test_8_bit_operands_run_on_wgmma_along_k_only(dtype: str, transposes: tuple[bool, bool]) -> None:
    ta, tb = transposes
    kernel = check_gemm(Gemm((80, 144, 144), TILES, dtype=dtype, transpose_A=ta, transpose_B=tb))
    assert form(kernel) == (HOPPER if (ta, tb) == (False, True) else {"mma", "cp.async"})


@pytest.mark.parametrize("tb", [False, True])
@pytest.mark.parametrize(
    "size", [(64, 64, 64), (1, 8, 8), (65, 72, 72), (63, 56, 40), (200, 8, 264)], ids=lambda s: "x".join(map(str, s))
)
def test_tails(size: tuple[int, int, int], tb: bool) -> None:
    whole_tile_along_k = size[2] <= 32
    assert (form(check_gemm(Gemm(size, (64, 64, 32), stages=3, transpose_B=tb))) == HOPPER) != whole_tile_along_k


@pytest.mark.parametrize("size", [(33, 35, 37), (64, 60, 128), (64, 64, 65)], ids=lambda s: "x".join(map(str, s)))
def test_rows_that_are_no_multiples_of_16_bytes_are_copied_by_the_threads(size: tuple[int, int, int]) -> None:
    found = form(check_gemm(Gemm(size, TILES)))
    assert "wgmma" in found and not found & {"roles", "bulk load", "bulk store"}


@pytest.mark.parametrize(
    ("tiles", "threads", "tb", "wgmma"),
    [
        ((64, 80, 32), 128, True, True),
        ((64, 176, 32), 128, True, True),
        ((64, 176, 32), 256, True, True),  # 88 columns per warpgroup
        ((64, 8, 64), 128, True, True),
        ((64, 256, 16), 128, True, True),  # rows of 32 bytes
        ((64, 64, 16), 128, False, True),
        ((256, 64, 32), 128, True, True),  # four blocks of 64 rows per warpgroup
        ((192, 64, 64), 384, False, True),
        ((64, 192, 64), 384, False, True),  # 64 columns per warpgroup
        ((64, 128, 64), 256, False, True),
        ((64, 64, 64), 256, False, False),  # 32 columns per warpgroup are half a swizzled row of B
        ((64, 192, 64), 256, False, False),
        ((64, 64, 64), 256, True, True),
        ((64, 80, 32), 128, False, True),  # rows of 160 bytes, in a swizzle of 32
        ((64, 32, 64), 128, False, False),
        ((32, 64, 64), 128, True, False),
        ((96, 64, 64), 128, True, False),
        ((64, 64, 64), 64, True, False),
    ],
    ids=str,
)
def test_tiles(tiles: tuple[int, int, int], threads: int, tb: bool, wgmma: bool) -> None:
    kernel = check_gemm(Gemm((200, 184, 72), tiles, threads=threads, transpose_B=tb))
    assert ("wgmma" in form(kernel), "mma" in form(kernel)) == (wgmma, not wgmma)
    assert ("roles" in form(kernel)) == wgmma


@pytest.mark.parametrize("threads", [128, 256, 384])
@pytest.mark.parametrize("stages", [1, 2, 3, 4])
def test_stages(stages: int, threads: int) -> None:
    case = Gemm((200, 72, 328), (threads // 2, 64, 64), stages=stages, threads=threads, out="float16")
    assert form(check_gemm(case)) == HOPPER


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("configs", [{}, {"disable_warp_specialized": True}], ids=["roles", "within the warps"])
def test_any_order_of_landing(configs: dict[str, bool], seed: int) -> None:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True, "TILELANG_SIM_SEED": seed}):
        check_gemm(Gemm((136, 64, 328), TILES, stages=3), **configs)
        check_gemm(Gemm((136, 128, 328), (128, 128, 32), stages=2, threads=256, transpose_B=True), **configs)


@pytest.mark.parametrize(
    ("configs", "expected"),
    [
        ({}, HOPPER),
        ({"disable_warp_specialized": True}, {"wgmma", "bulk load"}),
        ({"disable_tma_lower": True}, {"wgmma", "cp.async"}),
        ({"disable_tma_lower": True, "enable_async_copy": False}, {"wgmma"}),
        ({"disable_wgmma": True}, {"mma", "cp.async"}),
        ({"disable_warp_specialized": True, "disable_wgmma": True}, {"mma", "cp.async"}),
        ({"disable_shared_memory_reuse": True}, HOPPER),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_pass_configs(configs: dict[str, bool], expected: set[str]) -> None:
    assert form(check_gemm(Gemm(SIZE, TILES, stages=3), **configs)) == expected


def test_one_tile_along_k() -> None:
    """A loop of one iteration is no loop any more: nothing to overlap."""
    assert form(check_gemm(Gemm((64, 64, 64), TILES))) == {"wgmma"}
    assert form(check_gemm(Gemm((64, 64, 40), TILES))) == {"wgmma"}


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (Gemm((64, 64, 72), (64, 64, 32), dtype="float32"), {"mma", "cp.async"}),
        (Gemm((64, 64, 160), TILES, dtype="int8", sums="int32", out="int32"), {"mma", "cp.async"}),
        (Gemm((64, 64, 160), TILES, sums="float16", out="float16"), HOPPER),
        (Gemm((64, 64, 160), TILES, disable_tma=True), {"wgmma", "cp.async"}),
        (Gemm((64, 64, 160), TILES, stages=0), {"wgmma"}),
        (Gemm((128, 128, 160), (128, 128, 64), threads=512), {"wgmma", "bulk load"}),  # no registers left to load
        (Gemm((320, 64, 160), (320, 64, 64)), {"wgmma", "bulk load", "bulk store", "roles"}),  # two boxes
    ],
    ids=["tf32", "int8", "float16 sums", "disable_tma", "no stages", "512 threads", "320 rows"],
)
def test_other_forms(case: Gemm, expected: set[str]) -> None:
    assert form(check_gemm(case)) == expected
