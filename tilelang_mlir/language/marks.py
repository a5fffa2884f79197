"""Names of statements, which a schedule of warp roles (`T.annotate_ws_schedule`) refers to."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from tilelang_mlir.dialect.role_schedule import MARK
from tilelang_mlir.errors import TileTypeError
from tilelang_mlir.frontend.builder import require
from tilelang_mlir.frontend.expr import describe
from tilelang_mlir.mlir import ir

WSID = "tl.ws_op_id"
F = TypeVar("F", bound=Callable[..., Any])


@contextmanager
def ws_op(op_id: str) -> Generator[None, None, None]:
    """`with T.ws_op("name"):` the statements inside are one operation of the schedule of warp roles.

    For statements that take no `annotations`, such as scalars and calls of schedulers, and for while loops that are a
    scope. Tile operations and loops take `annotations={T.WSID: "name"}`.

        with T.ws_op("next"):
            tiles.next_tile()

    Raises:
        TileTypeError: the name is no string.
    """
    if not isinstance(op_id, str) or not op_id:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TileTypeError(f"the name of a scheduled operation is a string, got {describe(op_id)}",
                            hint='write annotations={T.WSID: "load"} or T.ws_op("load")')
    builder = require("T.ws_op")
    builder.require_launch("T.ws_op")
    block = builder.frame.block
    before = len(list(block.operations))
    yield
    for op in list(block.operations)[before:]:
        op.operation.attributes[MARK] = ir.StringAttr.get(op_id)


def takes_name(function: F) -> F:
    """Let a tile operation be named by `annotations={T.WSID: name}`; a parameter `annotations` gets the rest."""
    own = "annotations" in inspect.signature(function).parameters

    @functools.wraps(function)
    def named(*args: Any, **options: Any) -> Any:
        given = options.get("annotations")
        if not own:
            options.pop("annotations", None)
        if not given or WSID not in given:
            return function(*args, **options)
        if own:
            options["annotations"] = {key: value for key, value in given.items() if key != WSID}
        with ws_op(given[WSID]):
            return function(*args, **options)

    return cast(F, named)


def loop_name(annotations: dict[str, Any] | None) -> dict[str, Callable[[], ir.Attribute]]:
    """The attribute of a loop that its annotations name."""
    if not annotations or WSID not in annotations:
        return {}
    name = str(annotations[WSID])
    return {MARK: lambda: ir.StringAttr.get(name)}
