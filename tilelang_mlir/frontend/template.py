"""The first phase of eager kernels: running a function up to its first kernel to learn its arguments.

While a template is being made there is no builder; `T.const` gives symbolic sizes and annotations are recorded.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tilelang_mlir.frontend.expr import Var


class ConstVar(Var):
    """A `T.const` size in the first phase: the number behind it is read from an argument."""

    __slots__ = ()


class KernelReached(BaseException):
    """Ends the first phase. Not an Exception, so that user code does not catch it."""


class Template:
    """What the first phase found: the annotations in the function's body, and its `T.const` sizes."""

    def __init__(self) -> None:
        self.annots: dict[str, Any] = {}
        self.constants: dict[str, Var] = {}

    @contextmanager
    def collecting(self) -> Generator[Template, None, None]:
        token = _TEMPLATE.set(self)
        try:
            yield self
        finally:
            _TEMPLATE.reset(token)


_TEMPLATE: ContextVar[Template | None] = ContextVar("tilelang_template", default=None)


def current_template() -> Template | None:
    return _TEMPLATE.get()


def stop_at_kernel() -> None:
    """End the first phase at a kernel; nothing outside of it."""
    if _TEMPLATE.get() is not None:
        raise KernelReached
