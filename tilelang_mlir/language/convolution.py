"""Loading the tiles of a convolution as those of a matrix product."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.buffer import Buffer, int32_value, memory_of
from tilelang_mlir.frontend.builder import require
from tilelang_mlir.frontend.expr import describe
from tilelang_mlir.frontend.wide import require_narrow
from tilelang_mlir.language.copy import EVICTION
from tilelang_mlir.language.marks import takes_name
from tilelang_mlir.mlir import ir


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
        eviction_policy: of bulk copies: evict_normal, evict_first or evict_last in the L2 cache.

    In a pipelined loop of a kernel that is split into roles (sm_90a) the tile is loaded by bulk copies in im2col mode,
    if its columns divide the channels and geometry and strides are within the limits of the hardware; else by the
    threads.

    Raises:
        TileTypeError: an operand of another rank or dtype. TileValueError: a size out of range, or no output position.
    """
    builder = require("T.im2col")
    builder.require_launch("T.im2col")
    _check(img, col, kernel, stride, dilation, pad, eviction_policy)
    require_narrow("T.im2col", img)
    _, height, width, channels = img.shape
    reach = dilation * (kernel - 1) + 1
    out_height, out_width = (
        arith.add(arith.floordiv(arith.sub(arith.add(size, 2 * pad), reach), stride), 1) for size in (height, width)
    )
    if any(isinstance(size, int) and size < 1 for size in (out_height, out_width)):
        raise TileValueError(f"T.im2col: a kernel of {reach} pixels is larger than the padded image")
    numbers = [int32_value(builder, v) for v in (nhw_step, c_step, out_height, out_width, channels)]
    geometry = {"kernel": kernel, "stride": stride, "dilation": dilation, "pad": pad}
    attributes: dict[str, ir.Attribute] = {
        name: ir.IntegerAttr.get(ir.IntegerType.get_signless(32), value) for name, value in geometry.items()
    }
    if eviction_policy is not None:
        attributes["eviction"] = ir.StringAttr.get(eviction_policy)
    builder.emit("tl.im2col", [memory_of(img), memory_of(col), *numbers], [], attributes)


def _check(img: Any, col: Any, kernel: Any, stride: Any, dilation: Any, pad: Any, eviction_policy: Any) -> None:
    for value, rank, side in ((img, 4, "image"), (col, 2, "tile")):
        if not isinstance(value, Buffer) or value.ndim != rank:
            raise TileTypeError(f"the {side} of T.im2col must be a buffer of {rank} dimensions, got {describe(value)}")
    if img.dtype != col.dtype:
        raise TileTypeError(f"T.im2col does not convert: the image is {img.dtype}, the tile {col.dtype}")
    sizes = {"kernel": kernel, "stride": stride, "dilation": dilation, "pad": pad}
    for name, value in sizes.items():
        least = 0 if name == "pad" else 1
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise TileValueError(f"T.im2col: {name} must be an integer of {least} or more, got {describe(value)}")
    if eviction_policy is not None and eviction_policy not in EVICTION:
        raise TileValueError(f"eviction_policy must be one of {', '.join(EVICTION)}, got {eviction_policy!r}")


c2d_im2col = im2col
