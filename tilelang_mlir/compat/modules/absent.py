"""Names that programs import and seldom use: what stands for one says so where it is used, not where it is imported."""

from __future__ import annotations

from typing import Any, NoReturn

from tilelang_mlir.errors import UnsupportedError


class AbsentAttributeError(UnsupportedError, AttributeError):
    """An attribute of what has no counterpart: searches over all modules, as pickle makes them, skip it."""


class Absent:
    """Stands for a name that has no counterpart here.

    It can be imported, passed on and asked for with `isinstance` (nothing is one); calling it, taking an attribute of
    it or deriving from it raises.

    Raises:
        UnsupportedError: it is used.
    """

    def __init__(self, name: str, message: str, hint: str) -> None:
        self.__name__ = name
        self._message = message
        self._hint = hint

    def _refuse(self, error: type[UnsupportedError] = UnsupportedError) -> NoReturn:
        raise error(self._message, hint=self._hint)

    def __instancecheck__(self, instance: object) -> bool:
        return False

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        del args, kwargs
        self._refuse()

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse(AbsentAttributeError)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> NoReturn:
        del bases
        self._refuse()

    def __repr__(self) -> str:
        return f"<{self._message}>"
