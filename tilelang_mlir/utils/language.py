"""`tilelang.utils.language`: tiles of programs."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.errors import TileTypeError
from tilelang_mlir.frontend.buffer import Buffer, Element, Region, buffer_of, subscript
from tilelang_mlir.frontend.primfunc import PrimFunc


def _in(tile: Any, *memories: str) -> bool:
    return buffer_of(tile, "a tile").memory in memories


def is_global(tile: Any) -> bool:
    """Whether a buffer, or a part of one, is in device memory."""
    return _in(tile, "global")


def is_shared(tile: Any, allow_dynamic: bool = True) -> bool:
    """Whether it is in shared memory, which is dynamic here."""
    return allow_dynamic and _in(tile, "shared")


def is_shared_dynamic(tile: Any) -> bool:
    return _in(tile, "shared")


def is_tensor_memory(tile: Any) -> bool:
    return _in(tile, "tmem")


def is_local(tile: Any) -> bool:
    return _in(tile, "local")


def is_local_var(tile: Any) -> bool:
    return _in(tile, "var")


def is_fragment(tile: Any) -> bool:
    return _in(tile, "fragment")


def is_full_region(tile: Any) -> bool:
    """Whether a part of a buffer is all of it.

    Raises:
        TileTypeError: it is no part of a buffer.
    """
    region = to_buffer_region(tile)
    starts = all(isinstance(offset, int) and offset == 0 for offset in region.offsets)
    return starts and all(a is b or (isinstance(a, int) and a == b)
                          for a, b in zip(region.extents, region.buffer.shape, strict=True))  # fmt: skip


def retrieve_shape(tile: Any) -> list[Any]:
    """The extents of a buffer, or of a part of one.

    Raises:
        TileTypeError: it is neither.
    """
    return list(to_buffer_region(tile).extents)


def retrieve_stride(tile: Any) -> list[Any]:
    """The strides in elements of a buffer, or of the buffer that a part belongs to.

    Raises:
        TileTypeError: it is neither.
    """
    return list(buffer_of(tile, "a tile").strides)


def get_buffer_region_from_load(load: Any, extents: Any = None) -> Region:
    """`to_buffer_region` of the address of a tile."""
    return to_buffer_region(load, extents)


def get_prim_func_name(func: Any, default: Any = None) -> Any:
    """The name of a prim_func, or the default."""
    return func.name if isinstance(func, PrimFunc) else default


def retrieve_func_from_module(module: Any) -> PrimFunc:
    """The prim_func itself: there is one in each program here.

    Raises:
        TileTypeError: it is none.
    """
    if isinstance(module, PrimFunc):
        return module
    raise TileTypeError(f"expected a prim_func, got {type(module).__name__}")


def to_buffer_region(tile: Any, extents: Any = None) -> Region:
    """A buffer, or a part of one, as a region.

    Args:
        extents: of a tile that is given as the address of its first element.

    Raises:
        TileTypeError: it is no part of a buffer.
    """
    if isinstance(tile, Region):
        return tile
    buffer = buffer_of(tile, "a tile")
    if isinstance(tile, Element):
        sizes = list(extents) if extents is not None else [1] * len(tile.indices)
        offsets = [*tile.indices, *[0] * (buffer.ndim - len(tile.indices))]
        return Region(buffer, offsets, [1] * (buffer.ndim - len(sizes)) + sizes)
    assert isinstance(buffer, Buffer)
    return subscript(buffer, tuple(slice(None) for _ in buffer.shape))
