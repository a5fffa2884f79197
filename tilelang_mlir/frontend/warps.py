"""How many threads a warp has where a program does not say: 32, or 64 on machines whose waves have 64.

Functions are traced before a target is known. One that asks (`T.get_lane_idx()`) is traced again for such a machine.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from tilelang_mlir.frontend.builder import Builder

if TYPE_CHECKING:
    from tilelang_mlir.frontend.primfunc import PrimFunc

_USUAL = 32
_SIZE: ContextVar[int] = ContextVar("tilelang_warp_size", default=_USUAL)
NOTE = "asks_warp_size"  # in the side table of a builder


def warp_size(builder: Builder) -> int:
    """Threads of a warp; the function depends on it from now on."""
    builder.side[NOTE] = True
    return _SIZE.get()


@contextmanager
def warps_of(size: int) -> Generator[None]:
    """Functions that are traced inside are for a machine with such warps."""
    token = _SIZE.set(size)
    try:
        yield
    finally:
        _SIZE.reset(token)


def traced_for(prim_func: PrimFunc, size: int) -> PrimFunc:
    """The function as it is on a machine with warps of `size` threads."""
    if size == _USUAL or not prim_func.asks_warp_size or prim_func.again is None:
        return prim_func
    with warps_of(size):
        return prim_func.again()
