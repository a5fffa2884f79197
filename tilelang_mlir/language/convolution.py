"""Loading the tiles of a convolution as those of a matrix product."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend import arith, control
from tilelang_mlir.frontend.buffer import Buffer, Element, store
from tilelang_mlir.frontend.builder import require
from tilelang_mlir.frontend.expr import describe, typed_constant
from tilelang_mlir.language.copy import EVICTION
from tilelang_mlir.language.marks import takes_name


@takes_name
def im2col(
    img: Any,
    col: Any,
    nhw_step: Any,
    c_step: Any,
    kernel: int,
    stride: int,
    dilation: int,
    pad: int,
    eviction_policy: str | None = None,
) -> None:
    """One tile of the matrix that turns a 2D convolution into a product.

    Rows of the matrix are output positions (image, row, column), columns are (kernel row, kernel column, channel);
    what lies outside the image is zero. `col` gets the rows from `nhw_step * col.shape[0]` and the columns from
    `c_step * col.shape[1]` on.

        for k in T.Pipelined(T.ceildiv(KH * KW * C, 32), num_stages=0):
            T.im2col(data, data_shared, by, k, 3, 1, 1, 1)
            T.copy(weights[k * 32, bx * 64], weights_shared)
            T.gemm(data_shared, weights_shared, acc)

    Args:
        img: tensor [images, height, width, channels]. col: tile [rows, columns] in shared memory or a fragment.
        kernel, stride, dilation, pad: of both directions, in pixels.
        eviction_policy: a hint for bulk copies; the threads load this tile themselves.

    Raises:
        TileTypeError: an operand of another rank. TileValueError: a size out of range, or no output position.
    """
    builder = require("T.im2col")
    builder.require_launch("T.im2col")
    _check(img, col, kernel, stride, dilation, pad, eviction_policy)
    _, height, width, channels = img.shape
    reach = dilation * (kernel - 1) + 1
    out_height, out_width = (
        arith.add(arith.floordiv(arith.sub(arith.add(size, 2 * pad), reach), stride), 1) for size in (height, width)
    )
    if any(isinstance(size, int) and size < 1 for size in (out_height, out_width)):
        raise TileValueError(f"T.im2col: a kernel of {reach} pixels is larger than the padded image")
    for i, j in control.run(control.Loop("parallel", extents=list(col.shape)), (), None):
        row, column = (arith.add(arith.mul(step, size), iv) for step, size, iv in (
            (nhw_step, col.shape[0], i), (c_step, col.shape[1], j)))  # fmt: skip
        at_x, rest = arith.floormod(row, out_width), arith.floordiv(row, out_width)
        at_y, image = arith.floormod(rest, out_height), arith.floordiv(rest, out_height)
        channel, rest = arith.floormod(column, channels), arith.floordiv(column, channels)
        kernel_x, kernel_y = arith.floormod(rest, kernel), arith.floordiv(rest, kernel)
        y, x = (
            arith.sub(arith.add(arith.mul(at, stride), arith.mul(tap, dilation)), pad)
            for at, tap in ((at_y, kernel_y), (at_x, kernel_x))
        )
        inside: Any = arith.logical_and(_within(y, height), _within(x, width))
        inside = arith.logical_and(inside, arith.compare("Lt", kernel_y, kernel))
        inside = arith.logical_and(inside, arith.compare("Lt", image, img.shape[0]))
        pixel = Element(img, [image, y, x, channel])
        zero = typed_constant(0.0 if img.dtype.is_float else 0, img.dtype)
        store(Element(col, [i, j]), control.choose(inside, lambda pixel=pixel: pixel.read(), lambda zero=zero: zero))


def _check(img: Any, col: Any, kernel: Any, stride: Any, dilation: Any, pad: Any, eviction_policy: Any) -> None:
    for value, rank, side in ((img, 4, "image"), (col, 2, "tile")):
        if not isinstance(value, Buffer) or value.ndim != rank:
            raise TileTypeError(f"the {side} of T.im2col must be a buffer of {rank} dimensions, got {describe(value)}")
    sizes = {"kernel": kernel, "stride": stride, "dilation": dilation, "pad": pad}
    for name, value in sizes.items():
        least = 0 if name == "pad" else 1
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise TileValueError(f"T.im2col: {name} must be an integer of {least} or more, got {describe(value)}")
    if eviction_policy is not None and eviction_policy not in EVICTION:
        raise TileValueError(f"eviction_policy must be one of {', '.join(EVICTION)}, got {eviction_policy!r}")


def _within(position: Any, size: Any) -> Any:
    return arith.logical_and(arith.compare("GtE", position, 0), arith.compare("Lt", position, size))


c2d_im2col = im2col
