"""Pictures of layouts: the text exactly, the image files by their form."""

from __future__ import annotations

import builtins
import xml.etree.ElementTree as xml
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
from tilelang_mlir.dialect.layout import Digit, Fragment, row_major, swizzled
from tilelang_mlir.errors import TileTypeError, TileValueError, ToolchainError
from tilelang_mlir.layout import make_fully_replicated_layout_fragment, make_mma_accumulator_fragment
from tilelang_mlir.tools import plot_layout
from tilelang_mlir.tools.plot_layout import grid_of, layout_text

PNG = b"\x89PNG\r\n\x1a\n"


def test_text_of_a_fragment() -> None:
    layout = Fragment((2, 4), (Digit(2, 1, 2), Digit(2, 0, 1)), (Digit(2, 1, 1),))
    assert layout_text(layout).splitlines() == [
        "fragment [2, 4] threads (2@1*2, 2@0*1) registers (2@1*1): thread:register",
        "  |    0    1    2    3",
        "0 | T0:0 T0:1 T1:0 T1:1",
        "1 | T2:0 T2:1 T3:0 T3:1",
    ]


def test_text_of_registers() -> None:
    layout = Fragment((3,), (Digit(2, 0, 1),), (Digit(2, 0, 2),))
    assert layout_text(layout, view="output").splitlines()[1:] == ["  | 0 1", "0 | 0 2", "1 | 1 -"]


def test_text_of_replicas() -> None:
    lines = layout_text(make_fully_replicated_layout_fragment((2,), 4)).splitlines()
    assert "each element in 4 threads" in lines[0]
    assert lines[2] == "0 | T0+3:0 T0+3:1"


def test_text_of_banks() -> None:
    assert layout_text(row_major((2, 3), pad=1)).splitlines()[1:] == ["  | 0 1 2", "0 | 0 1 2", "1 | 4 5 6"]
    halves = layout_text(row_major((2, 4)), element_bits=16).splitlines()
    assert halves[2:] == ["0 | 0 0 1 1", "1 | 2 2 3 3"]


def test_banks_of_a_swizzle() -> None:
    """Eight rows of one 16-byte column lie in 32 different banks."""
    grid = grid_of(swizzled((8, 64), 16, 128), "input", None, 16)
    assert sorted(set(grid.colors[:, 0:8].reshape(-1).tolist())) == list(range(32))
    np.testing.assert_array_equal(grid.colors[:, 0], [0, 4, 8, 12, 16, 20, 24, 28])


def test_memory_order() -> None:
    grid = grid_of(row_major((2, 2), pad=1), "output", (1, 6), 32)
    assert grid.labels == [["0,0", "0,1", "-", "1,0", "1,1", "-"]]
    with pytest.raises(TileValueError, match="too small"):
        grid_of(row_major((4, 4)), "output", (2, 2), 32)


def test_more_dimensions_are_folded_into_rows() -> None:
    assert grid_of(row_major((2, 3, 4)), "input", None, 32).colors.shape == (6, 4)


@pytest.mark.parametrize("view", ["input", "output"])
def test_files(tmp_path: Path, view: str, capsys: pytest.CaptureFixture[str]) -> None:
    files = plot_layout(
        make_mma_accumulator_fragment(16, 8), tmp_path / "new", "acc", formats="png, svg,txt", view=view, verbose=True
    )
    assert [f.name for f in files] == ["acc.png", "acc.svg", "acc.txt"]
    assert files[0].read_bytes().startswith(PNG)
    assert xml.parse(files[1]).getroot().tag.endswith("svg")
    assert files[2].read_text() == capsys.readouterr().out


def test_shared_picture_with_another_colormap(tmp_path: Path) -> None:
    (file,) = plot_layout(swizzled((8, 32), 16, 64), tmp_path, formats=["pdf"], colormap="viridis", element_bits=16)
    assert file.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"formats": "gif"}, TileValueError, "unknown format 'gif'"),
    ({"view": "side"}, TileValueError, "unknown view 'side'"),
    ({"layout": 3}, TileTypeError, "needs a layout, got int"),
])  # fmt: skip
def test_wrong_arguments(tmp_path: Path, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        plot_layout(**{"layout": row_major((2, 2)), "save_directory": tmp_path, **options})
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_text_works_and_pictures_say_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert plot_layout(row_major((2, 2)), tmp_path, formats="txt")[0].exists()
    with pytest.raises(ToolchainError, match=r"needs matplotlib[\s\S]*formats=\"txt\""):
        plot_layout(row_major((2, 2)), tmp_path, formats="png")


def test_the_package_has_it() -> None:
    assert tilelang.tools.plot_layout is plot_layout
    assert callable(plot_layout)
