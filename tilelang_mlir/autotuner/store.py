"""Results of searches on disk, in the folder `autotuner` of the kernel cache."""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tilelang_mlir import cache, knobs
from tilelang_mlir.autotuner.result import AutotuneResult
from tilelang_mlir.errors import CacheError
from tilelang_mlir.jit.target import resolve_target

_LOG = logging.getLogger("tilelang_mlir.autotuner")


def path_of(func: Callable[..., Any], parts: Mapping[str, Any]) -> Path | None:
    """The folder of a search: its address is a hash of the function's text, what it closes over, and `parts`.

    None where results are not cached, or the function's text is not to be had.
    """
    if not cache.is_cache_enabled() or knobs.AUTOTUNE_DISABLE_CACHE.get():
        return None
    try:
        text = inspect.getsource(func)
    except (OSError, TypeError):
        return None
    closed = inspect.getclosurevars(func)
    values = {name: repr(value) for name, value in {**closed.nonlocals, **closed.globals}.items()
              if isinstance(value, int | float | str | tuple | list | dict)}  # fmt: skip
    facts = {"source": text, "values": values, "target": str(resolve_target("auto")), "versions": cache.versions()}
    body = json.dumps({**facts, **parts}, sort_keys=True, default=repr)
    return knobs.cache_dir() / "autotuner" / hashlib.sha256(body.encode()).hexdigest()


def load(path: Path | None) -> AutotuneResult | None:
    """The result in a folder, if it is there."""
    return None if path is None else AutotuneResult.load_from_disk(path)


def save(path: Path | None, result: AutotuneResult) -> None:
    """Keep a result; where that fails, the search is repeated another time."""
    if path is None:
        return
    try:
        result.save_to_disk(path)
    except CacheError as error:
        _LOG.warning("%s", error)
