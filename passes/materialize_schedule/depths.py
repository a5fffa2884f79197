"""Numbers of versions that a program asks for (`T.annotate_ws_pipeline_depth`)."""

from __future__ import annotations

from tilelang_mlir.errors import TileValueError
from tilelang_mlir.mlir import ir

from ...dialect.effects import root
from ...dialect.location import name_of, python_location
from ...dialect.tl import SHARED, scope_of
from .. import build
from ..walk import nested

VERSIONS = "tl.versions"


def apply_depths(launch: ir.Operation) -> None:
    """Give a pipelined loop the depth of the tiles it loads, in the place of its own.

    Raises:
        TileValueError: its tiles have several depths.
    """
    tops = [view.operation for view in launch.regions[0].blocks[0].operations]
    asked = {
        op.results[0]: ir.IntegerAttr(op.attributes[VERSIONS]).value
        for op in tops
        if VERSIONS in op.attributes and scope_of(op.results[0]) == SHARED
    }
    loops = [op for op in nested(launch) if op.name == "scf.for" and "tl.pipeline" in op.attributes] if asked else []
    for loop in loops:
        targets = [root(op.operands[1]) for op in nested(loop) if op.name == "tl.copy"]
        depths = {asked[target]: name_of(target.location) for target in targets if target in asked}
        if len(depths) > 1:
            text = ", ".join(f"{name} {depth}" for depth, name in sorted(depths.items()))
            raise TileValueError(f"the tiles of a pipelined loop ask for different numbers of versions: {text}",
                                 python_location(loop.location), hint="all tiles of one loop have one depth")
        for depth in depths:
            entries = {item.name: item.attr for item in ir.DictAttr(loop.attributes["tl.pipeline"])}
            entries |= {"num_stages": ir.IntegerAttr.get(build.i32(), depth), "fixed": build.unit()}
            loop.attributes["tl.pipeline"] = ir.DictAttr.get(entries)
    for buffer in asked:
        del buffer.owner.operation.attributes[VERSIONS]
