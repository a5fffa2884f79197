"""Hashable stand-ins for compile-time arguments."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.errors import ArgumentError


def freeze(name: str, value: Any) -> Any:
    """A hashable stand-in for a compile-time argument. 1, 1.0 and True are different.

    Raises:
        ArgumentError: the value is not hashable and no list, dict or set.
    """
    if isinstance(value, str | bytes) or value is None:
        return value
    if isinstance(value, bool | int | float):
        return (type(value), value)
    if isinstance(value, list | tuple):
        return (type(value), tuple(freeze(name, item) for item in value))
    if isinstance(value, dict):
        return (dict, tuple((key, freeze(name, item)) for key, item in sorted(value.items(), key=repr)))
    if isinstance(value, set | frozenset):
        return (frozenset, frozenset(freeze(name, item) for item in value))
    try:
        hash(value)
    except TypeError:
        raise ArgumentError(
            f"compile-time argument {name!r} of type {type(value).__name__} is not hashable",
            hint="tensors need an annotation (T.Tensor) to be run-time arguments",
        ) from None
    return value
