"""Operations that complete later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tilelang_mlir.errors import SimulationError


@dataclass
class Pending:
    """An operation that completes later; `finish` runs once. `what`, `site` and `who` say what it is, and where and by
    whom it was started."""

    finish: Callable[[], None]
    what: str
    site: int
    who: str = ""
    done: bool = False

    def land(self) -> None:
        if self.done:
            return
        self.done = True
        try:
            self.finish()
        except SimulationError as error:
            error.started = error.started or self.site
            raise
