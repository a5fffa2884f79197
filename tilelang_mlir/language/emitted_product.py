"""What every emitter is told of its product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tilelang_mlir.dtypes import DType


class EmittedProduct:
    """`C += A B` of a block: dtypes of A, B and C; whether A and B are stored transposed; warps of the block and rows
    and columns of one warp's tile, along M and N; and the elements of K that one step takes."""

    def __init__(
        self,
        dtypes: tuple[Any, Any, Any],
        transposed: tuple[bool, bool],
        warps: tuple[int, int],
        tiles: tuple[int, int],
        chunk: int,
    ) -> None:
        self.a_dtype, self.b_dtype, self.accum_dtype = (DType(dtype) for dtype in dtypes)
        self.a_transposed, self.b_transposed = (bool(stored) for stored in transposed)
        self.block_row_warps, self.block_col_warps = warps
        self.warp_row_tiles, self.warp_col_tiles = tiles
        self.chunk = chunk


@dataclass(frozen=True)
class DescriptorParams:
    """The tile that a descriptor is of, and the fields of the descriptor where the program asks for them."""

    buffer: Any
    swizzle_mode: Any = None
    leading_byte_offset: int = 0
    stride_byte_offset: int = 0
    swizzle_atom_elems: int = 0
    k_atom_size: int = 0
    is_k_major: bool = True
    slice_byte_offset: Any = 0
