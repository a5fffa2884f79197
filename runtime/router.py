"""Finding the kernel of a call without binding its arguments anew, where the launch extension is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tilelang_mlir import knobs


class Router:
    """What stands in for the extension's `Router`: remembers nothing, every call goes to `on_call`."""

    def __init__(self, by_value: int, on_call: Callable[..., Any]) -> None:
        del by_value
        self._on_call = on_call

    def add(self, args: tuple[Any, ...], keywords: Mapping[str, Any], target: Any, positions: tuple[int, ...]) -> None:
        """Nothing is remembered."""

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return self._on_call(*args, **keywords)


def make_router(by_value: int, on_call: Callable[..., Any]) -> Any:
    """A callable that passes calls like earlier ones on, and others to `on_call`.

    `router.add(args, keywords, target, positions)` makes calls with arguments of the same dtypes, devices, shapes and
    strides go to `target`, with the arguments at `positions` (those of keywords count after the positional ones).
    `by_value` has a bit per positional argument whose value matters too; the values of keyword scalars always do.
    """
    if knobs.DISABLE_NATIVE.get():
        return Router(by_value, on_call)
    try:
        from ._launch import Router as NativeRouter  # type: ignore[import-not-found]
    except ImportError:
        return Router(by_value, on_call)
    return NativeRouter(by_value, on_call)
