"""The `tl` dialect: tile programs over buffers with scopes, barriers, copies and matrix products.

`context()` makes a context with the dialect loaded; `load(ctx)` is the only load point. Ops are defined in `ops/`,
their builders beside them in `build.py`, layouts as plain values in `layout/`, and what may occur at each level of
lowering in `spec.py`.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections import deque
from collections.abc import Generator
from contextvars import ContextVar

from tilelang_mlir.mlir import ir, new_context, provide_dialect

from . import ops
from .tl import TL

__all__ = ["TL", "context", "load", "one_context", "ops", "prepare_context"]


# The bindings register the dialect's classes in tables of the process while they load it into a context.
_LOADING = threading.Lock()
_PREPARED: deque[ir.Context] = deque(maxlen=1)
_COMMON: ContextVar[ir.Context | None] = ContextVar("common", default=None)


def load(ctx: ir.Context) -> None:
    """Load the dialect into a context; does nothing when it is there already."""
    with _LOADING, ctx:
        if not ctx.is_dialect_loaded("tl"):
            provide_dialect("tl", sys.modules[__name__])
            TL.load()


def context() -> ir.Context:
    """A fresh context with the `tl` dialect loaded. Reuse it for one kernel's life: making one takes some 4 ms."""
    if (common := _COMMON.get()) is not None:
        return common
    try:
        return _PREPARED.popleft()
    except IndexError:
        return _make()


@contextlib.contextmanager
def one_context() -> Generator[None]:
    """Inside, `context()` gives one context: for many programs that are traced one after the other."""
    token = _COMMON.set(context())
    try:
        yield
    finally:
        _COMMON.reset(token)


def prepare_context() -> None:
    """Make the next `context()` free; for moments when this process waits for another one."""
    if not _PREPARED:
        _PREPARED.append(_make())


def _make() -> ir.Context:
    ctx = new_context()
    load(ctx)
    return ctx
