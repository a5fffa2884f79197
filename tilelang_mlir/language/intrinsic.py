"""Emitting `tl.intrinsic`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileValueError
from tilelang_mlir.frontend.builder import require
from tilelang_mlir.frontend.expr import Expr, describe
from tilelang_mlir.mlir import ir


def intrinsic(
    what: str,
    name: str,
    operands: Sequence[ir.Value] = (),
    *,
    result: DType | None = None,
    attributes: Mapping[str, int] | None = None,
) -> Any:
    """Emit the intrinsic `name` for `T.what`; returns its result, if it has one."""
    builder = require(what)
    builder.require_launch(what)
    kind = ir.IntegerType.get_signless(32)
    attrs: dict[str, ir.Attribute] = {"name": ir.StringAttr.get(name)}
    attrs |= {key: ir.IntegerAttr.get(kind, value) for key, value in (attributes or {}).items()}
    op = builder.emit("tl.intrinsic", operands, [] if result is None else [builder.type(result)], attrs)
    if result is None:
        return None
    return Expr(result, value=op.results[0], frame=builder.frame, nonneg=result.is_integer)


def count(what: str, value: Any) -> int:
    """A Python integer of 0 or more.

    Raises:
        TileValueError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TileValueError(f"{what} needs a Python integer of 0 or more, got {describe(value)}")
    return value
