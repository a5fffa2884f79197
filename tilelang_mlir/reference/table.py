"""Every op the evaluator knows, by name."""

from __future__ import annotations

from tilelang_mlir.reference.casts import CASTS
from tilelang_mlir.reference.control import CONTROL
from tilelang_mlir.reference.elements import ELEMENTS
from tilelang_mlir.reference.program import Run
from tilelang_mlir.reference.scalars import SCALARS
from tilelang_mlir.reference.tensor import TENSOR
from tilelang_mlir.reference.threads import THREADS
from tilelang_mlir.reference.tiles import TILES
from tilelang_mlir.reference.vectors import VECTORS
from tilelang_mlir.reference.words import WORDS

TABLE: dict[str, Run] = {**SCALARS, **CASTS, **ELEMENTS, **CONTROL, **TILES, **TENSOR, **THREADS, **VECTORS, **WORDS}
