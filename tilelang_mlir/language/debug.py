"""Printing and assertions."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.buffer import Buffer, Region, tile_of
from tilelang_mlir.frontend.builder import require
from tilelang_mlir.frontend.expr import Expr, as_expr, value_of
from tilelang_mlir.mlir import ir


def print(obj: Any = None, msg: str = "", warp_group_id: int = 0, warp_id: int = 0) -> None:
    """Print a scalar from every thread, a buffer element by element from one thread, or a message alone."""
    del warp_group_id, warp_id
    builder = require("T.print")
    builder.require_launch("T.print")
    if isinstance(obj, str):
        obj, msg = None, f"{msg}{obj}"
    operands: list[ir.Value] = []
    if isinstance(obj, Buffer | Region):
        operands.append(tile_of(obj, "T.print"))
    elif obj is not None:
        operands.append(value_of(builder, as_expr(obj)))
    builder.emit("tl.print", operands, [], {"message": ir.StringAttr.get(str(msg))})


def device_assert(condition: Any, msg: str = "") -> None:
    """Stop the kernel with a message in a thread whose condition is false."""
    builder = require("T.device_assert")
    builder.require_launch("T.device_assert")
    test = arith.to_bool(condition)
    value = value_of(builder, test if isinstance(test, Expr) else as_expr(test))
    builder.emit("tl.assert", [value], [], {"message": ir.StringAttr.get(str(msg))})

