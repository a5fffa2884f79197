"""Tools for people: `tl-opt` runs passes on IR text, `plot_layout` draws layouts, `Analyzer`
counts what a kernel does, the others generate documentation."""

from __future__ import annotations

from tilelang_mlir.tools.analyzer import AnalysisResult, Analyzer
from tilelang_mlir.tools.plot_layout import plot_layout

__all__ = ["AnalysisResult", "Analyzer", "plot_layout"]
