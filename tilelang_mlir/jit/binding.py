"""From the arguments of a call to a cache key."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from tilelang_mlir.errors import ArgumentError


class Binder:
    """Binds calls of one function; positional, keyword and defaulted forms of the same call give the same arguments."""

    def __init__(self, func: Callable[..., Any]) -> None:
        self.name = func.__name__
        self.signature = inspect.signature(func)
        self.names = list(self.signature.parameters)

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, partial: bool = False) -> dict[str, Any]:
        """The arguments by parameter name, defaults filled in. With `partial` parameters may be missing.

        Raises:
            ArgumentError: the call does not fit the signature.
        """
        try:
            bound = (self.signature.bind_partial if partial else self.signature.bind)(*args, **kwargs)
        except TypeError as error:
            raise ArgumentError(f"{self.name}: {error}", hint=f"the signature is {self.name}{self.signature}") from None
        bound.apply_defaults()
        return dict(bound.arguments)


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
