"""Views of tensor memory: the same rows with elements of another size (`T.view`), as probabilities in the place of the
scores that they are made of."""

from __future__ import annotations

from collections.abc import Callable

from tilelang_mlir.errors import LayoutError
from tilelang_mlir.mlir import ir

from ...dialect.layout.attrs import tensor_from_attr
from ...dialect.layout.tensor import TensorLayout, viewed
from ...dialect.location import python_location


def base_of(value: ir.Value) -> ir.Value:
    """What a part of a tile is taken from: an allocation, or a view of one."""
    while not isinstance(value.owner, ir.Block) and value.owner.operation.name == "tl.slice":
        value = value.owner.operation.operands[0]
    return value


def is_view(base: ir.Value) -> bool:
    return base.owner.operation.name == "tl.reshape"


def layout_of(tile: ir.Value, known: Callable[[ir.Value], TensorLayout] | None = None) -> TensorLayout:
    """The layout of the buffer or view behind a tile; `known` gives that of an allocation, else its attribute does.

    Raises:
        LayoutError: a view whose elements have no such places.
    """
    base = base_of(tile)
    if not is_view(base):
        return known(base) if known else tensor_from_attr(base.owner.operation.attributes["layout"])
    op = base.owner.operation
    inner, kind = layout_of(op.operands[0], known), ir.MemRefType(base.type)
    found = viewed(inner, list(kind.shape), kind.element_type.width)
    if found is None:
        raise LayoutError(
            f"a view {list(kind.shape)} of {kind.element_type} of {inner}", python_location(op.location),
            hint="views of tensor memory keep the rows, and only elements that lie side by side can be seen otherwise",
        )  # fmt: skip
    return found
