"""Names and Python values under run-time control flow: both branches are traced, and a loop's body once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import Location, TileNameError, TileSyntaxError
from tilelang_mlir.frontend import where
from tilelang_mlir.frontend.builder import current
from tilelang_mlir.frontend.expr import Expr
from tilelang_mlir.frontend.suspicion import Suspicion, issue


class Unset:
    """A local name before its first assignment."""

    def __init__(self, name: str) -> None:
        self.__dict__["name"] = name

    def refuse(self) -> Any:
        """Raise the error of a use."""
        raise TileNameError(
            f"{self.__dict__['name']!r} is read before it is assigned", hint="assign it on every path that leads here"
        )

    def _used(self, *_: object) -> Any:
        return self.refuse()

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __floordiv__ = __mod__ = _used
    __rtruediv__ = __rfloordiv__ = __rmod__ = __pow__ = __rpow__ = __neg__ = __pos__ = __abs__ = __invert__ = _used
    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = __lshift__ = __rlshift__ = __rshift__ = _used
    __lt__ = __le__ = __gt__ = __ge__ = __call__ = __getitem__ = __setitem__ = __iter__ = __bool__ = __len__ = _used

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.refuse()


class Stale(Unset):
    """A name whose Python value was changed under run-time control flow, so that it has no one value after it."""

    def __init__(self, name: str, place: Location | None) -> None:
        super().__init__(name)
        self.__dict__["place"] = place

    def refuse(self) -> Any:
        """Raise the error of a use."""
        raise TileNameError(
            f"{self.__dict__['name']!r} has no one value here: it was changed in a run-time branch or loop",
            notes=(("the branch or loop is here", self.__dict__["place"]),),
            hint="tracing runs both branches and a loop body once; make the name a T.alloc_var to change it at "
            "run time",
        )

    __index__ = __int__ = __float__ = __eq__ = __ne__ = Unset._used
    __hash__ = object.__hash__


class Scope:
    """The names that a branch or loop rebinds, with their values before it; Python containers that it may change."""

    def __init__(
        self,
        before: tuple[Any, ...],
        updated: Sequence[str],
        carried: Sequence[str],
        watched: Sequence[str] = (),
        containers: Sequence[Any] = (),
    ) -> None:
        self.before, self.updated, self.carried = before, updated, carried
        self.contents = [
            (name, value, list(value.items() if isinstance(value, dict) else value))
            for name, value in zip(watched, containers, strict=True)
            if isinstance(value, list | dict | set)
        ]
        self.runtime = True
        self.other: tuple[Any, ...] | None = None  # of a branch: the values on the other path

    def restore(self, names: Sequence[str], values: tuple[Any, ...]) -> tuple[Any, ...]:
        """At the start of an else branch: what the other branch did has not happened here."""
        del names
        if not self.runtime:
            return values
        self.other = values
        return self.before

    def close(self, names: Sequence[str], values: tuple[Any, ...]) -> tuple[Any, ...]:
        """After the statement: names whose value depends on the path taken are known no more.

        A loop body that reads such a name before it changes it, or a scalar, is warned of: there is one trace of it.
        """
        builder = current()
        if not self.runtime or (builder is not None and builder.launch() is None):
            return values
        for name, container, before in self.contents:
            _warn_of_changes(name, container, before)
        if self.other is not None:
            return tuple(_joined(*sides) for sides in zip(names, self.other, values, strict=True))
        result = []
        for name, old, new in zip(names, self.before, values, strict=True):
            if new is not old and (name in self.carried or isinstance(old, Expr) and name in self.updated):
                _warn_of_carried(name, old, new)
            if _is_known(new) and not (type(old) is type(new) and old == new):
                if name in self.updated and isinstance(old, int | float):
                    raise TileSyntaxError(
                        f"{name!r} is a Python number that every iteration of a run-time loop updates",
                        hint=f"the loop body is traced once: write {name} = T.alloc_var(dtype, {old!r})",
                    )
                new = Stale(name, where.here())
            result.append(new)
        return tuple(result)


def _joined(name: str, other: Any, value: Any) -> Any:
    """What a name is after a branch of which both paths lead here: a path that leaves it unset does not read it."""
    if value is other or isinstance(other, Stale):
        return other
    if type(value) is type(other) and isinstance(value, int | float | str) and value == other:
        return value
    if isinstance(value, Unset) and not isinstance(value, Stale):
        return other if not _is_known(other) else Stale(name, where.here())
    if isinstance(other, Unset) and not _is_known(value):
        return value
    return Stale(name, where.here())


def _is_known(value: Any) -> bool:
    """Whether a value is one of Python's that hold everywhere, whether or not the code that assigns it runs."""
    return isinstance(value, int | float | str) and not isinstance(value, DType)


def _warn_of_changes(name: str, container: Any, before: list[Any]) -> None:
    """Warn of a list, dictionary or set that the statement changed: that happens once, while it is traced."""
    now = list(container.items() if isinstance(container, dict) else container)
    same = len(now) == len(before) and all(_is_same(a, b) for a, b in zip(now, before, strict=True))
    if not same:
        kind = type(container).__name__
        message = f"the Python {kind} {name!r} changes in a run-time branch or loop, while it is traced"
        hint = "what changes while the kernel runs is a T.alloc_local or T.alloc_var"
        issue(Suspicion(message, where.here(), hint))


def _is_same(now: Any, before: Any) -> bool:
    """Whether an element, or a pair of key and value, is the object it was."""
    if isinstance(now, tuple) and isinstance(before, tuple) and len(now) == len(before):
        return all(_is_same(a, b) for a, b in zip(now, before, strict=True))
    return now is before


def _warn_of_carried(name: str, old: Any, new: Any) -> None:
    """Warn of a name that each iteration should take from the one before: all get its value before the loop."""
    if not (isinstance(old, Expr | int | float) and isinstance(new, Expr | int | float)) or isinstance(old, bool):
        return
    dtype = repr(str(old.dtype)) if isinstance(old, Expr) else "dtype"
    hint = f"write {name} = T.alloc_var({dtype}) before the loop to change it there"
    message = f"every iteration of the loop reads the {name!r} of before the loop, not that of the iteration before"
    notes = (("it is changed here", new.span),) if isinstance(new, Expr) else ()
    issue(Suspicion(message, where.here(), hint, notes))


def identical(left: Any, right: Any, wanted: bool) -> bool:
    """`left is right`, or `left is not right` where that is not `wanted`; of names that have one value."""
    for value in (left, right):
        if isinstance(value, Stale):
            value.refuse()
    return (left is right) is wanted
