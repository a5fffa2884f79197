"""The tensors that candidates are measured on, where a program supplies them."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from contextvars import ContextVar
from typing import Any

_INPUTS: ContextVar[tuple[Any, ...] | None] = ContextVar("tilelang_autotune_inputs", default=None)


@contextlib.contextmanager
def set_autotune_inputs(*inputs: Any) -> Generator[None]:
    """Measure candidates on these tensors inside the block: `set_autotune_inputs(a, b)` or one list of them."""
    given = tuple(inputs[0]) if len(inputs) == 1 and isinstance(inputs[0], list | tuple) else inputs
    token = _INPUTS.set(given)
    try:
        yield
    finally:
        _INPUTS.reset(token)


def get_autotune_inputs() -> tuple[Any, ...] | None:
    """The tensors in force, None where there are none."""
    return _INPUTS.get()
