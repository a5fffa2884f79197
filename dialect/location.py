"""Reading MLIR locations back as the Python positions they came from.

The front end wraps `FileLineCol` in a `NameLoc` for named values and in `CallSite` locations for macros.
"""

from __future__ import annotations

from tilelang_mlir.errors import Location
from tilelang_mlir.mlir import ir


def python_location(loc: ir.Location) -> Location | None:
    """The innermost file position behind a location (the callee of a call site), or None when it has none."""
    loc = _concrete(loc)
    if isinstance(loc, ir.FileLineColLoc):
        end = loc.end_col - 1 if loc.end_line == loc.start_line and loc.end_col > loc.start_col else -1
        return Location(str(loc.filename), loc.start_line, loc.start_col - 1, end)
    if isinstance(loc, ir.NameLoc):
        return python_location(loc.child_loc)
    if isinstance(loc, ir.CallSiteLoc):
        return python_location(loc.callee)
    if isinstance(loc, ir.FusedLoc):
        return next((found for part in loc.locations if (found := python_location(part))), None)
    return None


def call_stack(loc: ir.Location) -> list[Location]:
    """Where the code at a location was called from, innermost call first; empty outside of macros."""
    stack: list[Location] = []
    loc = _concrete(loc)
    while not isinstance(loc, ir.CallSiteLoc):
        if not isinstance(loc, ir.NameLoc):
            return stack
        loc = loc.child_loc
    while isinstance(loc, ir.CallSiteLoc):
        if where := python_location(loc.caller):
            stack.append(where)
        loc = loc.caller
    return stack


def location_notes(loc: ir.Location) -> tuple[tuple[str, Location | None], ...]:
    """The calls that led to a location as notes for a `TileError`."""
    return tuple(("called from here", where) for where in call_stack(loc))


def name_of(loc: ir.Location) -> str:
    """The variable name a location carries, or an empty string."""
    loc = _concrete(loc)
    return loc.name_str if isinstance(loc, ir.NameLoc) else ""


def _concrete(loc: ir.Location) -> ir.Location:
    """The location as its own class: diagnostics hand out the base class."""
    return ir.Location.from_attr(loc.attr) if type(loc) is ir.Location else loc
