"""The `tl` dialect: tile programs over buffers with scopes, barriers, copies and matrix products.

`context()` makes a context with the dialect loaded, `shared_context()` gives the one of this thread; `load(ctx)` is
the only load point. Ops are defined in `ops/`, their builders beside them in `build.py`, layouts as plain values in
`layout/`, and what may occur at each level of lowering in `spec.py`.
"""

from __future__ import annotations

import sys
import threading
from weakref import WeakKeyDictionary

from tilelang_mlir.mlir import ir, new_context, provide_dialect

from . import ops
from .tl import TL

__all__ = ["TL", "belongs_elsewhere", "context", "load", "ops", "prepare_context", "shared_context"]


# The bindings register the dialect's classes in tables of the process while they load it into a context.
_LOADING = threading.Lock()
# Programs of one context: it keeps every type, attribute and location there was as long as it lives.
_PROGRAMS = 64
_OWNERS: WeakKeyDictionary[ir.Context, int] = WeakKeyDictionary()  # shared contexts by the thread that uses them


class _Shared(threading.local):
    """The context of a thread, and how many more programs it is for."""

    context: ir.Context | None = None
    left = 0


_SHARED = _Shared()


def load(ctx: ir.Context) -> None:
    """Load the dialect into a context; does nothing when it is there already."""
    with _LOADING, ctx:
        if not ctx.is_dialect_loaded("tl"):
            provide_dialect("tl", sys.modules[__name__])
            TL.load()


def context() -> ir.Context:
    """A context of the caller's own, with the `tl` dialect loaded."""
    ctx = new_context()
    load(ctx)
    return ctx


def shared_context() -> ir.Context:
    """The context for the next program of this thread. Making one takes longer than most passes: programs share them.

    Whoever changes a context's settings takes one of `context()`. What another thread made (`belongs_elsewhere`) is
    copied before it is changed: the errors of a context go to whoever listens last.
    """
    prepare_context()
    _SHARED.left -= 1
    assert _SHARED.context is not None
    return _SHARED.context


def prepare_context() -> None:
    """Make the next `shared_context()` free; for moments when this process waits for another one."""
    if not _SHARED.left:
        _SHARED.context, _SHARED.left = context(), _PROGRAMS
        _OWNERS[_SHARED.context] = threading.get_ident()


def belongs_elsewhere(ctx: ir.Context) -> bool:
    """Whether it is the shared context of another thread."""
    return _OWNERS.get(ctx, threading.get_ident()) != threading.get_ident()
