"""The package's log."""

from __future__ import annotations

import logging

from tilelang_mlir.errors import TileValueError

logger = logging.getLogger("tilelang_mlir")
_LEVELS = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}


def set_log_level(level: int | str) -> None:
    """Show messages of the package from this level on, a number or a name such as `INFO`.

    Raises:
        TileValueError: there is no such level.
    """
    if isinstance(level, str):
        level = level.upper()
        if level not in _LEVELS:
            raise TileValueError(f"no log level {level!r}", hint=f"levels are {', '.join(sorted(_LEVELS))}")
    logger = logging.getLogger("tilelang_mlir")
    if not logger.handlers:
        logger.addHandler(logging.StreamHandler())
    logger.setLevel(level)
