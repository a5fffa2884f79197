"""Printing and assertions."""

from __future__ import annotations

import math
from typing import Any

from tilelang_mlir.errors import TileValueError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.buffer import Buffer, Region, buffer_of, tile_of
from tilelang_mlir.frontend.builder import require
from tilelang_mlir.frontend.expr import Expr, as_expr, value_of
from tilelang_mlir.language.kernel import get_thread_extents
from tilelang_mlir.mlir import ir


def print(obj: Any = None, msg: str = "", warp_group_id: int = 0, warp_id: int = 0) -> None:
    """Print a scalar or a message from every thread, or a buffer element by element.

    Of a tensor and of a tile in shared memory the first thread of the region prints all elements, or the first one of
    warp `warp_id` of warpgroup `warp_group_id`; those of fragments are printed by the threads that hold them.

    Raises:
        TileValueError: no warp of the block.
    """
    builder = require("T.print")
    builder.require_launch("T.print")
    if isinstance(obj, str):
        obj, msg = None, f"{msg}{obj}"
    attributes: dict[str, ir.Attribute] = {"message": ir.StringAttr.get(str(msg))}
    printer = _first_thread(warp_group_id, warp_id)
    if printer and isinstance(obj, Buffer | Region):
        attributes["thread"] = ir.IntegerAttr.get(ir.IntegerType.get_signless(32), printer)
    operands: list[ir.Value] = []
    shown = obj if obj is None or isinstance(obj, Buffer | Region) else as_expr(obj)
    if isinstance(shown, Buffer | Region):
        operands.append(tile_of(shown, "T.print"))
    elif shown is not None:
        operands.append(value_of(builder, shown))
    if shown is not None and (shown if isinstance(shown, Expr) else buffer_of(shown, "T.print")).dtype.is_unsigned:
        attributes["unsigned"] = ir.UnitAttr.get()
    builder.emit("tl.print", operands, [], attributes)


def _first_thread(group: Any, warp: Any) -> int:
    if not all(isinstance(number, int) and number >= 0 for number in (group, warp)):
        raise TileValueError(f"T.print: warp_group_id and warp_id are integers of 0 or more, got {group!r}, {warp!r}")
    thread, threads = 128 * group + 32 * warp, math.prod(get_thread_extents())
    if thread >= threads:
        raise TileValueError(f"T.print: warp {warp} of warpgroup {group} starts at thread {thread} of {threads}",
                             hint="warps have 32 threads, warpgroups four warps")
    return thread


def device_assert(condition: Any, msg: str = "", no_stack_info: bool = False) -> None:
    """Stop the kernel with a message in a thread whose condition is false; `no_stack_info` has no effect."""
    del no_stack_info
    builder = require("T.device_assert")
    builder.require_launch("T.device_assert")
    test = arith.to_bool(condition)
    value = value_of(builder, test if isinstance(test, Expr) else as_expr(test))
    builder.emit("tl.assert", [value], [], {"message": ir.StringAttr.get(str(msg))})

