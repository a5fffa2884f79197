"""`tilelang.utils.language`: tiles of programs."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.frontend.buffer import Buffer, Region, subscript


def to_buffer_region(tile: Any, extents: Any = None) -> Region:
    """A buffer, or a part of one, as a region.

    Args:
        extents: of a tile that is given as the address of its first element.

    Raises:
        TileTypeError: it is no part of a buffer.
    """
    from tilelang_mlir.frontend.buffer import Element, buffer_of

    if isinstance(tile, Region):
        return tile
    buffer = buffer_of(tile, "a tile")
    if isinstance(tile, Element):
        sizes = list(extents) if extents is not None else [1] * len(tile.indices)
        offsets = [*tile.indices, *[0] * (buffer.ndim - len(tile.indices))]
        return Region(buffer, offsets, [1] * (buffer.ndim - len(sizes)) + sizes)
    assert isinstance(buffer, Buffer)
    return subscript(buffer, tuple(slice(None) for _ in buffer.shape))
