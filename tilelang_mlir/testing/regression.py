"""Recording the latencies of functions in a file, for comparing one release with the next."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

_RESULTS: dict[str, float] = {}


def process_func(func: Callable[..., Any], name: str | None = None, /, **kwargs: Any) -> float | None:
    """Call a function that returns a latency in ms and remember it; what it raises is shown and counts as none."""
    title = name or f"{func.__module__}.{func.__name__}"
    try:
        latency = float(func(**kwargs))
    except Exception as error:
        print(f"{title}: {type(error).__name__}: {error}", file=sys.stderr)
        return None
    _RESULTS[title] = latency
    return latency


def regression(prefixes: tuple[str, ...] = ("regression_",), verbose: bool = True) -> dict[str, float]:
    """Run every function of the calling file whose name starts with a prefix; returns latencies in ms by name."""
    names = sys._getframe(1).f_globals  # pyright: ignore[reportPrivateUsage]
    _RESULTS.clear()
    for name, value in sorted(names.items()):
        if inspect.isfunction(value) and name.startswith(prefixes):
            value()
    if verbose:
        for title, latency in _RESULTS.items():
            print(f"{title}: {latency:.4f} ms")
    return dict(_RESULTS)
