"""`T.macro`: functions that are inlined where they are called."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any

from tilelang_mlir.errors import TileSyntaxError, TileTypeError
from tilelang_mlir.frontend import protocol
from tilelang_mlir.frontend.buffer import Element, Variable
from tilelang_mlir.frontend.builder import current
from tilelang_mlir.frontend.expr import describe
from tilelang_mlir.frontend.rewrite import rewrite

_MAX_DEPTH = 200


class Ref:
    """Annotation of a macro parameter that is passed by reference; `T.Ref(A[i])` at the call does the same."""

    def __init__(self, target: Any) -> None:
        self.target = target


class Macro:
    """A function inlined at each call. Its body is rewritten at the first call."""

    def __init__(self, func: Callable[..., Any]) -> None:
        if not callable(func):
            raise TileTypeError(f"T.macro decorates a function, got {describe(func)}", hint="@T.macro above the def")
        functools.update_wrapper(self, func)
        self.func = func
        self._rewritten: types.FunctionType | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._rewritten is None:
            self._rewritten = rewrite(self.func, protocol)
        builder = current()
        names = self._rewritten.__code__.co_varnames
        passed = [self._argument(name, value) for name, value in zip(names, args, strict=False)]
        passed += args[len(passed) :]
        keywords = {name: self._argument(name, value) for name, value in kwargs.items()}
        if builder is None:
            return self._rewritten(*passed, **keywords)
        if len(builder.calls) > _MAX_DEPTH:
            raise TileSyntaxError(
                f"macro {self.func.__name__!r} recurses more than {_MAX_DEPTH} times",
                hint="recursion ends only on Python conditions: a run-time condition traces both branches",
            )
        builder.calls.append(len(builder.frames))
        try:
            return self._rewritten(*passed, **keywords)
        except TypeError as error:
            if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise
            parameters = [p.replace(annotation=p.empty) for p in inspect.signature(self.func).parameters.values()]
            raise TileTypeError(str(error), hint=f"its parameters are {inspect.Signature(parameters)}") from None
        finally:
            builder.calls.pop()

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def _argument(self, name: str, value: Any) -> Any:
        """Mutable scalars and elements are passed by value unless the parameter or the call says by reference."""
        if isinstance(value, Ref):
            return _reference(value.target)
        annotation = self.func.__annotations__.get(name)
        by_reference = annotation is Ref or (isinstance(annotation, str) and annotation.split(".")[-1] == "Ref")
        if by_reference:
            return _reference(value)
        return value.read() if isinstance(value, Variable) else value


def _reference(value: Any) -> Any:
    """A name for a place: reading it loads, assigning to it stores."""
    return Variable(value.buffer, value) if isinstance(value, Element) else value


def macro(func: Callable[..., Any]) -> Macro:
    """Decorator: inline the function, with control flow on run-time values, at each call."""
    return func if isinstance(func, Macro) else Macro(func)


def meta_class(cls: type) -> type:
    """Decorator: the methods of a class are macros, so its objects can hold kernel state (`T.alloc_var` attributes)."""
    for name, member in list(vars(cls).items()):
        if isinstance(member, types.FunctionType) and not (
            name.startswith("__") and name not in ("__init__", "__call__")
        ):
            setattr(cls, name, Macro(member))
    return cls
