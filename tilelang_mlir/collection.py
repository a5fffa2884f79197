"""Garbage collection and compilations.

Tracing and passes make many objects that live as long as they do, and few cycles: collections find nothing, and walk
what the program has. Of the first kernel of a process they took 50 ms, with torch loaded 200 ms of one now and then.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Generator

_LOCK = threading.Lock()
_inside: list[bool] = []  # an entry per block under way; the first says whether collections were on before


@contextlib.contextmanager
def postponed() -> Generator[None]:
    """No automatic garbage collection inside, in any thread; blocks may overlap. `gc.collect()` works as ever."""
    with _LOCK:
        _inside.append(gc.isenabled())
        gc.disable()
    try:
        yield
    finally:
        with _LOCK:
            first = _inside[0]
            _inside.pop()
            if first and not _inside:
                gc.enable()
