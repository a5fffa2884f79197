"""Pictures of layouts, as text, PNG, SVG or PDF.

    tilelang.tools.plot_layout(make_mma_accumulator_fragment(16, 8), formats="png,svg")
    print(layout_text(make_swizzled_layout(A_shared), element_bits=16))

A fragment shows the thread and register of each element, coloured by thread; a shared tile the bank of each element,
coloured by bank (32 banks of 4 bytes). `view="output"` shows the other side: the elements in each thread's registers,
or in memory order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tilelang_mlir.dialect.layout import Fragment, SharedLayout
from tilelang_mlir.errors import TileTypeError, TileValueError, ToolchainError

BANKS = 32
BANK_BYTES = 4
MAX_LABELS = 16384  # cells; more would be unreadable and take minutes
_PICTURES = ("png", "svg", "pdf")

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """Cells with a text and a colour number each; `colors` numbers are below `count`, -1 marks an empty cell."""

    title: str
    labels: list[list[str]]
    colors: IntArray
    count: int

    def text(self) -> str:
        """The cells in columns under their numbers."""
        width = max(len(label) for row in self.labels for label in row)
        lead = len(str(len(self.labels) - 1))
        head = " ".join(str(column).rjust(width) for column in range(len(self.labels[0])))
        rows = [
            f"{str(number).rjust(lead)} | " + " ".join(label.rjust(width) for label in row)
            for number, row in enumerate(self.labels)
        ]
        return "\n".join([self.title, f"{' ' * lead} | {head}", *rows])


def plot_layout(
    layout: Any,
    save_directory: str | Path = ".",
    name: str = "layout",
    colormap: str | None = None,
    verbose: bool = False,
    formats: str | Sequence[str] = "png",
    view: str = "input",
    grid_shape: tuple[int, int] | None = None,
    element_bits: int = 32,
) -> list[Path]:
    """Draw a layout into `save_directory/name.FORMAT` for each of `formats` (txt, png, svg, pdf), and return the files.

    Args:
        layout: a `Layout` or `Fragment`, or the compiler's form of one. Dimensions before the last two are folded into
            rows.
        colormap: a name matplotlib knows.
        verbose: print the text form, too.
        view: `input` shows the tile, `output` the registers or the memory.
        grid_shape: rows and columns of an output view of memory (default: rows of 128 bytes).
        element_bits: width of an element, for the banks of a shared tile.

    Raises:
        TileTypeError: what is given is no layout.
        TileValueError: an unknown format or view.
        ToolchainError: a picture is asked for and matplotlib is not installed.
    """
    wanted = formats.split(",") if isinstance(formats, str) else list(formats)
    wanted = [text.strip().lstrip(".").lower() for text in wanted]
    unknown = [text for text in wanted if text not in ("txt", *_PICTURES)]
    if unknown:
        raise TileValueError(f"unknown format {unknown[0]!r}", hint=f"one of txt, {', '.join(_PICTURES)}")
    grid = grid_of(layout, view, grid_shape, element_bits)
    if verbose:
        print(grid.text())
    folder = Path(save_directory)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.{text}" for text in wanted]
    for file in files:
        if file.suffix == ".txt":
            file.write_text(grid.text() + "\n")
        else:
            _draw(grid, file, colormap)
    return files


def layout_text(layout: Any, view: str = "input", element_bits: int = 32) -> str:
    """The text form of a layout's picture; see `plot_layout`."""
    return grid_of(layout, view, None, element_bits).text()


def grid_of(layout: Any, view: str, grid_shape: tuple[int, int] | None, element_bits: int) -> Grid:
    """The cells of a layout's picture; see `plot_layout`."""
    if view not in ("input", "output"):
        raise TileValueError(f"unknown view {view!r}", hint="input or output")
    value = getattr(layout, "layout", layout)
    if isinstance(value, Fragment):
        return _fragment_tile(value) if view == "input" else _fragment_registers(value)
    if isinstance(value, SharedLayout):
        return _shared_tile(value, element_bits) if view == "input" else _shared_memory(value, element_bits, grid_shape)
    raise TileTypeError(f"plot_layout needs a layout, got {type(layout).__name__}")


def _indices(shape: Sequence[int]) -> list[IntArray]:
    return [index.astype(np.int64) for index in np.indices(tuple(shape))]


def _folded(table: IntArray) -> IntArray:
    """A table of any rank as rows and columns."""
    return table.reshape(-1, table.shape[-1])


def _fragment_tile(layout: Fragment) -> Grid:
    indices = _indices(layout.shape)
    threads, registers = _folded(layout.thread_of(indices)), _folded(layout.value_of(indices))
    more = f"+{layout.replication - 1}" if layout.replication > 1 else ""
    labels = [[f"T{t}{more}:{r}" for t, r in zip(*row, strict=True)] for row in zip(threads, registers, strict=True)]
    note = f", each element in {layout.replication} threads" if more else ""
    title = f"{layout}: thread:register{note}"
    return Grid(title, labels, threads, layout.num_threads)


def _fragment_registers(layout: Fragment) -> Grid:
    threads = np.arange(layout.num_threads, dtype=np.int64)[:, None]
    places = layout.coordinates(threads, np.arange(layout.num_values, dtype=np.int64)[None, :])
    full = [np.broadcast_to(p, (layout.num_threads, layout.num_values)) for p in places]
    inside = np.logical_and.reduce([p < size for p, size in zip(full, layout.shape, strict=True)])
    labels = [
        [_element([int(p[t, v]) for p in full]) if inside[t, v] else "-" for v in range(layout.num_values)]
        for t in range(layout.num_threads)
    ]
    colors = np.where(inside, np.broadcast_to(threads, inside.shape), -1)
    return Grid(
        f"{layout}: element in each register (columns) of each thread (rows)", labels, colors, layout.num_threads
    )


def _element(place: Sequence[int]) -> str:
    return ",".join(map(str, place))


def _banks(offsets: IntArray, element_bits: int) -> IntArray:
    return offsets * element_bits // 8 // BANK_BYTES % BANKS


def _shared_tile(layout: SharedLayout, element_bits: int) -> Grid:
    offsets = np.asarray(layout.offset(_indices(layout.shape)), np.int64)
    banks = _folded(_banks(np.broadcast_to(offsets, layout.shape), element_bits))
    labels = [[str(bank) for bank in row] for row in banks]
    return Grid(f"{layout}: bank of each {element_bits}-bit element", labels, banks, BANKS)


def _shared_memory(layout: SharedLayout, element_bits: int, grid_shape: tuple[int, int] | None) -> Grid:
    per_row = max(1, BANKS * BANK_BYTES * 8 // element_bits)
    rows, columns = grid_shape or (-(-layout.size // per_row), per_row)
    if rows * columns < layout.size:
        raise TileValueError(f"a grid of {rows}x{columns} is too small for {layout.size} elements")
    labels = [["-"] * columns for _ in range(rows)]
    colors = np.full((rows, columns), -1, np.int64)
    for place in np.ndindex(layout.shape):
        offset = int(layout.offset(place))
        labels[offset // columns][offset % columns] = _element(place)
        colors[offset // columns, offset % columns] = int(_banks(np.asarray(offset), element_bits))
    return Grid(f"{layout}: element at each place in memory, {columns} per row", labels, colors, BANKS)


def _draw(grid: Grid, file: Path, colormap: str | None) -> None:
    """Write a picture; cells are coloured squares with their text."""
    try:
        import matplotlib
    except ImportError as error:
        raise ToolchainError(
            f"drawing {file.name} needs matplotlib, which is not installed",
            hint='pip install "tilelang_mlir[plot]", or formats="txt"',
        ) from error
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, columns = grid.colors.shape
    longest = max(len(label) for row in grid.labels for label in row)
    cell = 0.12 * max(3, longest)
    figure = Figure(figsize=(min(200.0, columns * cell + 1), min(200.0, rows * 0.3 + 1)), dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    colors = matplotlib.colormaps[colormap or "Spectral"].with_extremes(bad="white")
    axes.imshow(
        np.ma.masked_less(grid.colors, 0), cmap=colors, vmin=0, vmax=max(1, grid.count - 1), aspect="auto", alpha=0.7
    )
    if rows * columns <= MAX_LABELS:
        for row, labels in enumerate(grid.labels):
            for column, label in enumerate(labels):
                axes.text(column, row, label, ha="center", va="center", fontsize=6)
    axes.set_xticks(np.arange(-0.5, columns), minor=True)
    axes.set_yticks(np.arange(-0.5, rows), minor=True)
    axes.grid(which="minor", color="black", linewidth=0.4)
    axes.tick_params(which="minor", length=0)
    axes.set_title(grid.title, fontsize=7, wrap=True)
    figure.savefig(file, bbox_inches="tight")
