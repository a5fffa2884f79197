"""MLIR locations -> Python locations."""

from __future__ import annotations

from tilelang_mlir.errors import Location
from tilelang_mlir.mlir import ir

_UNNAMED = "the loop"


def location_of(location: ir.Location) -> Location | None:
    """The innermost Python position of an MLIR location: through names, call sites (the callee) and fusions."""
    if isinstance(location, ir.FileLineColLoc):
        return Location(str(location.filename), int(location.start_line), int(location.start_col) - 1)
    if isinstance(location, ir.NameLoc):
        return location_of(location.child_loc)
    if isinstance(location, ir.CallSiteLoc):
        return location_of(location.callee) or location_of(location.caller)
    if isinstance(location, ir.FusedLoc):
        for part in location.locations:
            if (found := location_of(part)) is not None:
                return found
    return None


def name_of(variable: ir.Value, location: ir.Location) -> str:
    """The Python name of a loop variable, from the NameLoc of its block argument or of its loop."""
    for candidate in (variable.location, location):
        if isinstance(candidate, ir.NameLoc):
            return str(candidate.name_str)
    where = location_of(location)
    return f"{_UNNAMED} of line {where.line}" if where else _UNNAMED


def iteration_text(iterations: dict[str, int]) -> str:
    """The iteration values of loops, outermost first: "in iteration ko = 3, 1 of the loop of line 7"; or nothing."""
    parts = [
        f"{value} of {name}" if name.startswith(_UNNAMED) else f"{name} = {value}" for name, value in iterations.items()
    ]
    return f"in iteration {', '.join(parts)}" if parts else ""
