"""Tensor maps of a kernel."""

from __future__ import annotations

from dataclasses import dataclass

from tilelang_mlir.mlir import ir

from ...dialect.effects import root


@dataclass(frozen=True)
class MapKey:
    """One tensor map of a kernel: the tensor's argument, and the boxes it is read or written in.

    Of a `tl.view`, whose maps the kernel makes itself (`made`), `param` is the view's `id`.
    `walk`, of im2col mode: the lower and upper corner of the box of output positions and the step, in both directions;
    `box` is then pixels and channels. `gaps` is the format of packed elements that get gaps (`tile_gaps.py`).
    """

    param: int
    box: tuple[int, ...]
    swizzle: str
    walk: tuple[int, ...] = ()
    made: bool = False
    gaps: str = ""


def key_of(device: ir.Value, box: tuple[int, ...], swizzle: str, walk: tuple[int, ...] = (), gaps: str = "") -> MapKey:
    """The map of the tensor behind a device tile for boxes of some sides."""
    op = root(device).owner.operation
    if op.name == "tl.view":
        return MapKey(ir.IntegerAttr(op.attributes["id"]).value, box, swizzle, walk, made=True)
    return MapKey(ir.BlockArgument(op.operands[0]).arg_number, box, swizzle, walk, gaps=gaps)
