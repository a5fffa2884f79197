"""Where the elements of an im2col tile lie in the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tilelang_mlir.mlir import ir

from . import build


@dataclass(frozen=True)
class Geometry:
    """Kernel, stride, dilation and padding of both directions."""

    kernel: int
    stride: int
    dilation: int
    pad: int

    @staticmethod
    def of(op: ir.Operation) -> Geometry:
        """Of a `tl.im2col` or `tl.im2col_load`."""
        return Geometry(*(ir.IntegerAttr(op.attributes[x]).value for x in ("kernel", "stride", "dilation", "pad")))

    @property
    def reach(self) -> int:
        """From the first tap to the last one."""
        return self.dilation * (self.kernel - 1)


def places(op: ir.Operation, within: Sequence[ir.Value]) -> list[ir.Value]:
    """Indices into the image of the element at a place of the tile; out of bounds for what is zero."""
    geometry, sizes = Geometry.of(op), list(ir.MemRefType(op.operands[1].type).shape)[-2:]
    steps, (height, width, channels) = list(op.operands)[2:4], list(op.operands)[4:7]
    row, column = (
        build.binary("addi", build.binary("muli", step, build.constant(size)), place)
        for step, size, place in zip(steps, sizes, within, strict=True)
    )
    kernel = build.constant(geometry.kernel)
    x, rest = build.binary("remui", row, width), build.binary("divui", row, width)
    y, image = build.binary("remui", rest, height), build.binary("divui", rest, height)
    channel, tap = build.binary("remui", column, channels), build.binary("divui", column, channels)
    tap_x, tap_y = build.binary("remui", tap, kernel), build.binary("divui", tap, kernel)
    known = build.compare(2, tap_y, kernel)
    y, x = (_pixel(at, t, geometry) for at, t in ((y, tap_y), (x, tap_x)))
    y = ir.Operation.create("arith.select", [y.type], [known, y, build.constant(-1)]).result
    return [image, y, x, channel]


def _pixel(position: ir.Value, tap: ir.Value, geometry: Geometry) -> ir.Value:
    start = build.binary("muli", position, build.constant(geometry.stride))
    ahead = build.binary("muli", tap, build.constant(geometry.dilation))
    return build.binary("subi", build.binary("addi", start, ahead), build.constant(geometry.pad))
