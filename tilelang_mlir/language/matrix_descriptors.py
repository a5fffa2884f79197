"""What descriptors of matrices in shared memory are made of: `T.compute_gmma_descriptor`, `T.compute_umma_descriptor`.

The hardware reads a tile as groups of eight rows of 16 bytes (PTX ISA 8.7, sections 9.7.15.5.1 and 9.7.16.5.1).
Counted in units of 16 bytes, with W units in a swizzled row (1 without a swizzle):

* K is contiguous: rows lie W apart, groups of eight rows `stride`, the second half of an instruction's K `leading`;
* M (or N) is contiguous: steps of K lie W apart. With a swizzle groups of eight steps lie `stride` and panels of a row
  `leading` apart; without one it is the other way round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilelang_mlir.dialect.layout import SharedLayout
from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.buffer import Region
from tilelang_mlir.frontend.expr import describe
from tilelang_mlir.language.emitted_product import DescriptorParams

if TYPE_CHECKING:
    from tilelang_mlir.layout import SwizzleMode

_UNIT = 16  # bytes


@dataclass(frozen=True)
class WGMMADescriptorParams(DescriptorParams):
    """The tile that a descriptor is of, and its fields where `T.compute_gmma_descriptor` made it.

    Offsets are in units of 16 bytes, as `T.initialize_wgmma_descriptor` takes them; `slice_byte_offset` is in bytes,
    for `T.increase_descriptor_offset`. `swizzle_mode.wgmma_layout_type()` is that function's layout type.
    """

    elems_in_bytes: int = 0


@dataclass(frozen=True)
class TCGEN05DescriptorParams(DescriptorParams):
    """The tile that a descriptor is of, and its fields where `T.compute_umma_descriptor` made it.

    As `T.WGMMADescriptorParams`, for `T.initialize_tcgen05_descriptor` and `swizzle_mode.tcgen05_layout_type()`.
    """

    elem_bits: int = 0


def compute_gmma_descriptor(
    tl_layout: Any, buffer: Any, transposed: bool, micro_size_k: int = 16, region: Any = None
) -> WGMMADescriptorParams:
    """The fields of the descriptor of an operand of `wgmma`: a tile in shared memory with a layout.

        layout = make_wgmma_swizzled_layout(A_shared)
        T.annotate_layout({A_shared: layout})
        fields = T.compute_gmma_descriptor(layout, A_shared, False)
        T.initialize_wgmma_descriptor(desc, T.access_ptr(A_shared, "r"), fields.swizzle_mode.wgmma_layout_type(),
                                      fields.leading_byte_offset, fields.stride_byte_offset)

    Args:
        tl_layout: the layout of the buffer, a `T.Layout`.
        transposed: the tile is [K, M] (or [K, N]) instead of [M, K]; its last dimension is contiguous.
        micro_size_k: elements along K of an instruction.
        region: the part of the buffer that is the operand: a slice of it, or (start, end) per dimension; dimensions
            before the last two have one index.

    Raises:
        TileTypeError: no layout of shared memory. TileValueError: a tile that is none of the hardware's patterns, or
        elements of less than a byte.
    """
    bits = _bits("T.compute_gmma_descriptor", buffer)
    if bits % 8:
        raise TileValueError(f"T.compute_gmma_descriptor: elements of {bits} bits are no operands of wgmma",
                             hint="T.compute_umma_descriptor takes them")
    fields = _fields("T.compute_gmma_descriptor", tl_layout, bits, transposed, micro_size_k, region)
    return WGMMADescriptorParams(buffer, *fields, elems_in_bytes=bits // 8)


def compute_umma_descriptor(
    tl_layout: Any, buffer: Any, transposed: bool, micro_size_k: int = 16, region: Any = None
) -> TCGEN05DescriptorParams:
    """The fields of the descriptor of an operand of `tcgen05.mma`; arguments as of `T.compute_gmma_descriptor`.

    Raises:
        TileTypeError: no layout of shared memory. TileValueError: a tile that is none of the hardware's patterns.
    """
    what = "T.compute_umma_descriptor"
    bits = _bits(what, buffer)
    return TCGEN05DescriptorParams(
        buffer, *_fields(what, tl_layout, bits, transposed, micro_size_k, region), elem_bits=bits
    )


def _bits(what: str, buffer: Any) -> int:
    if not hasattr(buffer, "dtype") or not hasattr(buffer, "shape"):
        raise TileTypeError(f"{what} needs a buffer, got {describe(buffer)}")
    return DType(str(buffer.dtype)).bits


def _fields(
    what: str, layout: Any, bits: int, transposed: bool, micro_size_k: int, region: Any
) -> tuple[SwizzleMode, int, int, int, int, bool, Any]:
    known = getattr(layout, "layout", layout)
    if not isinstance(known, SharedLayout):
        raise TileTypeError(f"{what} needs a layout of shared memory, got {describe(layout)}",
                            hint="make_wgmma_swizzled_layout(tile) or another T.Layout")
    starts, shape = _part(what, known, region)
    mode = _mode(what, known, bits)
    tile = _Tile(what, known, bits)
    width = mode.span_bytes // _UNIT or 1
    along, across = len(known.shape) - 1, len(known.shape) - 2  # contiguous dimension, the other one
    tile.expect(along, 1, tile.per, 1, "elements of 16 bytes")
    if transposed:
        swizzled = width > 1
        tile.expect(across, 1, 8, width * tile.per, "eight steps of K")
        if swizzled:
            tile.expect(along, tile.per, width, tile.per, "16-byte units of a row")
        panels = tile.regular(along, width * tile.per, shape[along], "panels of a row")
        groups = tile.regular(across, 8, shape[across], "groups of eight steps of K")
        leading, stride = (panels, groups) if swizzled else (groups, panels)
    else:
        tile.expect(across, 1, 8, width * tile.per, "eight rows")
        leading = tile.regular(along, tile.per, 2 * tile.per, "the halves of an instruction's K") or 1
        if width > 1 and leading != 1:
            tile.refuse("the 16-byte units of a row")
        stride = tile.regular(across, 8, shape[across], "groups of eight rows")
    atom = shape[along if transposed else across] if width == 1 else mode.span_bytes * 8 // bits
    return (mode, leading, stride, atom, max(atom // micro_size_k, 1), not transposed, tile.bytes_to(starts))


def _part(what: str, layout: SharedLayout, region: Any) -> tuple[list[Any], list[int]]:
    """First index and extent per dimension of the operand."""
    if region is None:
        starts, shape = [0] * len(layout.shape), list(layout.shape)
    elif isinstance(region, Region):
        starts, shape = list(region.offsets), list(region.extents)
    else:
        starts, shape = [r[0] for r in region], [arith.sub(r[1], r[0]) for r in region]
    fixed = [n for n in shape if isinstance(n, int)]
    if len(starts) != len(layout.shape) or fixed != shape or any(n != 1 for n in fixed[:-2]) or len(fixed) < 2:
        raise TileValueError(
            f"{what}: an operand has two dimensions of fixed size, got {[describe(n) for n in shape]} of a tile "
            f"{list(layout.shape)}", hint="region names the part of a tile that has more dimensions"
        )
    return starts, fixed


def _mode(what: str, layout: SharedLayout, bits: int) -> SwizzleMode:
    from tilelang_mlir.layout import SwizzleMode  # few programs need it

    swizzle = layout.swizzle
    if swizzle.bits and (swizzle.base != (128 // bits).bit_length() - 1 or swizzle.shift != 3 or swizzle.bits > 3):
        raise TileValueError(f"{what}: {layout} has another swizzle than the hardware's")
    return SwizzleMode(swizzle.bits)


class _Tile:
    """The places of a tile before its swizzle."""

    def __init__(self, what: str, layout: SharedLayout, bits: int) -> None:
        self.what, self.layout, self.bits = what, layout, bits
        self.per = 128 // bits  # elements of 16 bytes

    def offset(self, dim: int, index: Any) -> Any:
        """Elements from index 0 of a dimension to another one."""
        total: Any = 0
        for step in self.layout.steps:
            if step.dim == dim:
                digit = arith.floormod(arith.floordiv(index, step.stride), step.size)
                total = arith.add(total, arith.mul(digit, step.offset))
        return total

    def expect(self, dim: int, every: int, count: int, distance: int, named: str) -> None:
        """Indices `every` apart, of which there are `count` or the dimension's, lie `distance` elements apart."""
        count = min(count, self.layout.shape[dim] // every)
        if any(self.offset(dim, i * every) != i * distance for i in range(count)):
            self.refuse(named)

    def regular(self, dim: int, every: int, end: int, named: str) -> int:
        """Units of 16 bytes between indices `every` apart below an end; 0 where there is one such."""
        if end <= every:
            return 0
        distance = self.offset(dim, every)
        if distance % self.per or any(self.offset(dim, i) != i // every * distance for i in range(0, end, every)):
            self.refuse(named)
        return distance // self.per

    def refuse(self, named: str) -> None:
        raise TileValueError(f"{self.what}: {named} of {self.layout} do not lie as the hardware reads them",
                             hint="make_wgmma_swizzled_layout(tile) is a layout that it reads")

    def bytes_to(self, starts: Sequence[Any]) -> Any:
        total: Any = 0
        for dim, start in enumerate(starts):
            total = arith.add(total, self.offset(dim, start))
        return arith.floordiv(arith.mul(total, self.bits), 8)
