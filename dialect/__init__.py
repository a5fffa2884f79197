"""The `tl` dialect: tile programs over buffers with scopes, barriers, copies and matrix products.

`context()` makes a context with the dialect loaded; `load(ctx)` is the only load point. Ops are defined in `ops/`,
their builders beside them in `build.py`, layouts as plain values in `layout/`, and what may occur at each level of
lowering in `spec.py`.
"""

from __future__ import annotations

import sys
import threading

from tilelang_mlir.mlir import ir, provide_dialect

from . import ops
from .tl import TL

__all__ = ["TL", "context", "load", "ops"]


# The bindings register the dialect's classes in tables of the process while they load it into a context.
_LOADING = threading.Lock()


def load(ctx: ir.Context) -> None:
    """Load the dialect into a context; does nothing when it is there already."""
    with _LOADING, ctx:
        if not ctx.is_dialect_loaded("tl"):
            provide_dialect("tl", sys.modules[__name__])
            TL.load()


def context() -> ir.Context:
    """A fresh context with the `tl` dialect loaded. Costs a few milliseconds: reuse it for one kernel's life."""
    ctx = ir.Context()
    load(ctx)
    return ctx
