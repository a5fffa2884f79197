"""Fragments of warpgroup products against the formulas of the PTX ISA, element by element; which products qualify."""

from __future__ import annotations

import numpy as np
import pytest
from level1 import expand

from tilelang_mlir.dialect import context
from tilelang_mlir.dialect.layout import Fragment
from tilelang_mlir.mlir import ir
from tilelang_mlir.passes.nvidia.wgmma_layout import GroupGrid, accumulator, operand_a, partition, uses_wgmma
from tilelang_mlir.passes.walk import nested
from tilelang_mlir.target import parse_target

HOPPER = parse_target("sm_90a")
GRIDS = [(1, 1), (2, 1), (1, 2), (3, 1), (1, 3), (2, 2), (4, 1)]


def held(layout: Fragment) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of every register (second index) of every thread (first index)."""
    threads, registers = np.arange(layout.num_threads)[:, None], np.arange(layout.num_values)[None, :]
    row, column = np.broadcast_arrays(*layout.coordinates(threads, registers))
    return row, column


def place(grid: GroupGrid, threads: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Lane, warp of the warpgroup, and the warpgroup's place along M and N: M first."""
    group = threads // 128
    return threads % 32, threads // 32 % 4, group % grid.m, group // grid.m


@pytest.mark.parametrize(("groups_m", "groups_n"), GRIDS)
@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("columns", [*range(8, 257, 24), 16, 64, 96, 128, 256])
def test_accumulator(columns: int, blocks: int, groups_m: int, groups_n: int) -> None:
    """PTX ISA 8.7, 9.7.15.5.1.1: D of m64nNk16, i is the register."""
    grid = GroupGrid(groups_m, groups_n, 64 * blocks, columns)
    layout = accumulator(grid)
    assert layout.num_threads == 128 * groups_m * groups_n
    assert layout.num_values == blocks * columns // 2
    row, column = held(layout)
    lane, warp, m, n = place(grid, np.arange(layout.num_threads)[:, None])
    block, i = np.divmod(np.arange(layout.num_values)[None, :], columns // 2)
    assert np.array_equal(row, m * grid.rows + 64 * block + 16 * warp + lane // 4 + 8 * (i // 2 % 2))
    assert np.array_equal(column, n * columns + 8 * (i // 4) + 2 * (lane % 4) + i % 2)
    seen = np.zeros((groups_m * grid.rows, groups_n * columns), int)
    np.add.at(seen, (row, column), 1)
    assert (seen == 1).all()


@pytest.mark.parametrize(("groups_m", "groups_n"), GRIDS)
@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize(("bits", "k"), [(16, 16), (16, 64), (16, 80), (8, 32), (8, 64), (8, 160)])
def test_left_operand(bits: int, k: int, blocks: int, groups_m: int, groups_n: int) -> None:
    """PTX ISA 8.7, 9.7.15.5.1.1: A in registers; i is the element of one instruction."""
    grid = GroupGrid(groups_m, groups_n, 64 * blocks, 64)
    layout = operand_a(grid, k, bits)
    pack, step = 32 // bits, 256 // bits
    assert layout.num_values == blocks * k // step * 4 * pack
    row, column = held(layout)
    lane, warp, m, _ = place(grid, np.arange(layout.num_threads)[:, None])
    instruction, i = np.divmod(np.arange(layout.num_values)[None, :], 4 * pack)
    block, along_k = np.divmod(instruction, k // step)
    upper = i // pack % 2  # words 1 and 3 hold the rows 8 further down
    right = i // (2 * pack)  # words 2 and 3 hold the second half of the columns
    assert np.array_equal(row, m * grid.rows + 64 * block + 16 * warp + lane // 4 + 8 * upper)
    assert np.array_equal(column, step * along_k + pack * (lane % 4) + i % pack + 4 * pack * right)
    seen = np.zeros((groups_m * grid.rows, k), int)
    np.add.at(seen, (row, column), 1)
    assert (seen == groups_n).all(), "warpgroups side by side hold the same rows of A"


@pytest.mark.parametrize(
    ("m", "n", "threads", "grid"),
    [
        (64, 64, 128, (1, 1, 64, 64)),
        (256, 256, 128, (1, 1, 256, 256)),
        (128, 128, 256, (2, 1, 64, 128)),
        (64, 128, 256, (1, 2, 64, 64)),
        (64, 512, 256, (1, 2, 64, 256)),
        (192, 80, 384, (3, 1, 64, 80)),
        (64, 192, 384, (1, 3, 64, 64)),
        (128, 64, 512, (2, 2, 64, 32)),
        (256, 256, 512, (2, 2, 128, 128)),  # 128 registers a thread: no instruction of 256 columns
        (256, 200, 512, (4, 1, 64, 200)),
        (192, 256, 384, (3, 1, 64, 256)),
        (512, 128, 1024, (4, 2, 128, 64)),
        (64, 264, 128, None),  # more columns than an instruction has
        (64, 8, 256, None),
        (64, 12, 128, None),
        (96, 64, 128, None),
        (64, 64, 96, None),
        (64, 64, 0, None),
    ],
)
def test_partition(m: int, n: int, threads: int, grid: tuple[int, int, int, int] | None) -> None:
    assert partition(m, n, threads) == (GroupGrid(*grid) if grid else None)


def product(
    a: str = "64x64xf16, @S", b: str = "64x64xf16, @S", c: str = "64x64xf32, @F", ta: bool = False, tb: bool = False,
    threads: int = 128, target: str = "sm_90a",
) -> bool:  # fmt: skip
    """Whether the product of buffers of these types runs on wgmma."""
    a, b, c = (f"memref<{kind}>" for kind in (a, b, c))
    text = f"""
    func.func @f(%a: {a}, %b: {b}, %c: {c}) {{
      "tl.gemm"(%a, %b, %c) {{clear = false, policy = "square", transpose_a = {str(ta).lower()},
                              transpose_b = {str(tb).lower()}}} : ({a}, {b}, {c}) -> ()
      return
    }}"""
    with context(), ir.Location.unknown():
        module = ir.Module.parse(expand(text))
        (op,) = (op for op in nested(module.operation) if op.name == "tl.gemm")
        return uses_wgmma(op, threads, parse_target(target)) is not None


@pytest.mark.parametrize("element", ["f16", "bf16", "f8E4M3FN", "f8E5M2"])
def test_operands_along_k_in_every_span(element: str) -> None:
    size = 2 if element.endswith("f16") else 1
    for span in (32, 64, 128, 256):
        tile = f"64x{span // size}x{element}, @S"
        assert product(tile, tile, tb=True)
    assert not product(f"64x{16 // size}x{element}, @S", f"64x{16 // size}x{element}, @S", tb=True)


def test_operands_along_m_or_n_in_whole_128_byte_rows() -> None:
    assert product()
    assert product(ta=True) and product(ta=True, tb=True)
    assert not product(b="64x32xf16, @S", c="64x32xf32, @F")
    assert product(b="32x64xf16, @S", c="64x32xf32, @F", tb=True)
    eight = "64x128xf8E4M3FN, @S"
    assert product(eight, eight, "64x64xf32, @F", tb=True)
    assert not product(eight, "128x64xf8E4M3FN, @S")
    assert not product("128x64xf8E4M3FN, @S", eight, ta=True, tb=True)


def test_warpgroups_side_by_side_take_whole_panels_of_b() -> None:
    assert product(b="64x128xf16, @S", c="64x128xf32, @F", threads=256)
    assert not product(b="64x192xf16, @S", c="64x192xf32, @F", threads=256)
    assert product(b="192x64xf16, @S", c="64x192xf32, @F", tb=True, threads=256)


def test_sums_of_half_precision() -> None:
    assert product(c="64x64xf16, @F")
    assert not product(c="64x64xf16, @F", target="sm_90")


def test_left_operand_in_registers() -> None:
    assert product("64x64xf16, @F")
    assert not product("64x64xf16, @F", ta=True)
    assert not product(b="64x64xf16, @F")


@pytest.mark.parametrize(
    "kinds",
    [
        {"target": "sm_80"},
        {"target": "sm_90"},
        {"target": "sm_100a"},
        {"a": "64x64xf32, @S", "b": "64x64xf32, @S"},
        {"a": "64x64xi8, @S", "b": "64x64xi8, @S", "c": "64x64xi32, @F"},
        {"a": "32x64xf16, @S", "c": "32x64xf32, @F"},
        {"threads": 64},
        {"threads": 192},
    ],
    ids=str,
)
def test_products_for_other_instructions(kinds: dict[str, object]) -> None:
    assert product() and not product(**kinds)  # type: ignore[arg-type]
