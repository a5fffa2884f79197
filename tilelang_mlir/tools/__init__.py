"""Tools for people: `tl-opt` runs passes on IR text, `plot_layout` draws layouts, the others generate documentation."""

from __future__ import annotations

from tilelang_mlir.tools.plot_layout import plot_layout

__all__ = ["plot_layout"]
