"""What ptxas says of kernels for sm_90a: they compile, keep everything in registers, and draw no advice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hopper_programs import Gemm

import tilelang_mlir as tilelang
from tilelang_mlir import knobs
from tilelang_mlir.compiler.resources import Resources

SIZE = (4096, 4096, 4096)


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_DISABLE_CACHE": True}):
        yield


def resources(case: Gemm, **configs: bool) -> Resources:
    program = case.program()
    kernel = tilelang.compile(program, target="cuda:sm_90a", pass_configs={f"tl.{k}": v for k, v in configs.items()})
    (found,) = dict(kernel.resources).values()
    return found


@pytest.mark.parametrize(
    "case",
    [
        Gemm(SIZE, (128, 128, 64), 4, 128, out="float16"),
        Gemm(SIZE, (128, 256, 64), 4, 256, out="float16", transpose_B=True),
        Gemm(SIZE, (256, 128, 64), 3, 256),
        # Two groups take tiles by turns, with one product in flight:
        Gemm(SIZE, (128, 192, 64), 4, 128, out="float16", transpose_B=True),
        Gemm(SIZE, (128, 208, 64), 4, 128, out="bfloat16", dtype="bfloat16", transpose_B=True),
        Gemm(SIZE, (128, 192, 128), 4, 128, dtype="float8_e4m3", out="bfloat16", transpose_B=True),
        Gemm(SIZE, (192, 192, 64), 3, 384, out="float16"),
        Gemm(SIZE, (128, 128, 128), 4, 256, dtype="float8_e4m3", transpose_B=True),
        # Instructions too wide for two CTAs a multiprocessor, and for three warpgroups with a producer:
        Gemm(SIZE, (64, 256, 64), 2, 128, transpose_B=True),
        Gemm(SIZE, (64, 208, 64), 2, 128, transpose_B=True),
        Gemm(SIZE, (192, 256, 64), 3, 384, out="float16"),
        Gemm(SIZE, (192, 208, 64), 3, 384, transpose_B=True),
    ],
    ids=lambda case: f"{'x'.join(map(str, case.tiles))}-{case.threads}-{case.dtype}",
)
def test_products_with_roles(case: Gemm) -> None:
    found = resources(case)
    assert (found.spills, found.stack, found.advice) == (0, 0, ())


def test_products_within_the_warps() -> None:
    found = resources(Gemm(SIZE, (128, 128, 64), 4, 256), disable_warp_specialized=True)
    assert (found.spills, found.stack, found.advice) == (0, 0, ())


def test_four_warpgroups_share_the_columns_of_a_wide_product() -> None:
    """Instructions of 256 columns would not compile with 128 registers a thread (C7602)."""
    assert resources(Gemm(SIZE, (256, 256, 64), 2, 512)).registers == 128
