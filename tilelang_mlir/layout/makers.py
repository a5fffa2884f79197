"""Ready-made layouts: swizzles of shared tiles, fragments of the matrix instructions."""

from __future__ import annotations

import enum
from typing import Any

from tilelang_mlir.dialect import layout as values
from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError, TileValueError, UnsupportedError
from tilelang_mlir.layout.maps import Fragment, Layout
from tilelang_mlir.layout.recover import checked_shape


class SwizzleMode(enum.IntEnum):
    """Swizzles of the tensor memory accelerator and the warpgroup matrix units, by the bytes they exchange within."""

    NONE = 0
    SWIZZLE_32B = 1
    SWIZZLE_64B = 2
    SWIZZLE_128B = 3

    @property
    def span_bytes(self) -> int:
        return 0 if self is SwizzleMode.NONE else 16 << self.value

    def is_none(self) -> bool:
        return self is SwizzleMode.NONE

    def swizzle_byte_size(self) -> int:
        return self.span_bytes

    def wgmma_layout_type(self) -> int:
        """The field of a descriptor for `wgmma`: 1 for 128 bytes, 2 for 64, 3 for 32 (PTX ISA 8.7, 9.7.15.5.1.2)."""
        return (0, 3, 2, 1)[self]

    def tcgen05_layout_type(self) -> int:
        """The field of a descriptor for `tcgen05.mma`: 2 for 128 bytes, 4 for 64, 6 for 32 (PTX ISA 8.7, 9.7.16.5)."""
        return (0, 6, 4, 2)[self]


# -- makers: shared tiles ---------------------------------------------------------------------------------------------
def _tile(buffer: Any) -> tuple[list[int], int]:
    """Shape and element bits of a buffer."""
    if not hasattr(buffer, "shape") or not hasattr(buffer, "dtype"):
        raise TileTypeError(f"expected a buffer, got {type(buffer).__name__}")
    return list(checked_shape(buffer.shape)), DType(str(buffer.dtype)).bits


def make_linear_layout(buffer: Any) -> Layout:
    """Row-major, without gaps; takes a buffer or a shape."""
    return Layout.of(values.row_major(checked_shape(getattr(buffer, "shape", buffer))))


def _banked(tile: tuple[Any, ...], span_bytes: int) -> Layout:
    if len(tile) not in (1, 3):
        raise TileTypeError(f"expected a buffer, or rows, columns and bits of an element, got {len(tile)} arguments")
    shape, bits = _tile(tile[0]) if len(tile) == 1 else (list(checked_shape(tile[:2])), int(tile[2]))
    return Layout.of(values.swizzled(shape, bits, span_bytes))


def make_full_bank_swizzled_layout(*tile: Any) -> Layout:
    """The 128-byte pattern: within a panel of 128-byte rows, 16-byte chunk c of row r lies at chunk c ^ (r % 8).

    Args:
        tile: a buffer, or the numbers of rows, columns and bits of an element; so of the other patterns.

    Raises:
        TileValueError: the columns are no multiple of 128 bytes, or the rows of 8.
    """
    return _banked(tile, 128)


def make_half_bank_swizzled_layout(*tile: Any) -> Layout:
    """The 64-byte pattern: chunk c of row r lies at c ^ (r / 2 % 4)."""
    return _banked(tile, 64)


def make_quarter_bank_swizzled_layout(*tile: Any) -> Layout:
    """The 32-byte pattern: chunk c of row r lies at c ^ (r / 4 % 2)."""
    return _banked(tile, 32)


def make_swizzled_layout(buffer: Any, k_major: bool = True, allow_pad: bool = True) -> Layout:
    """The layout that matrix products on mma.sync want: the widest pattern that the tile admits, else padded rows.

    Without a pattern, rows whose length is a multiple of 256 bits get 128 bits of padding, so that neighbouring rows do
    not lie in the same banks; so do operands of 8 bits that are not contiguous along K. Without `allow_pad` the tile is
    linear instead, and its rows must be whole 16-byte chunks.
    """
    shape, bits = _tile(buffer)
    span = values.swizzle_span(shape, bits) if len(shape) > 1 else 0
    if bits == 8 and not k_major and allow_pad:
        return Layout.of(values.row_major(shape, pad=128 // bits))
    if span:
        return Layout.of(values.swizzled(shape, bits, span))
    if not allow_pad and shape[-1] * bits % 128:
        raise TileValueError(f"rows of {shape[-1]} elements of {bits} bits are not whole 16-byte chunks")
    pad = 128 // bits if allow_pad and shape[-1] * bits % 256 == 0 else 0
    return Layout.of(values.row_major(shape, pad=pad))


def make_wgmma_swizzled_layout(buffer: Any, continuity: int | None = None, k_major: bool = True) -> Layout:
    """The layout of a warpgroup product's operand: the widest pattern that `continuity` (default: a row) admits."""
    del k_major
    shape, bits = _tile(buffer)
    span = values.swizzle_span((shape[-2], continuity or shape[-1]), bits)
    return Layout.of(values.swizzled(shape, bits, span) if span else values.row_major(shape))


def make_tcgen05mma_swizzled_layout(buffer: Any, continuity: int | None = None, k_major: bool = True) -> Layout:
    """The layout of a tensor-memory product's operand: the same patterns as a warpgroup product's."""
    return make_wgmma_swizzled_layout(buffer, continuity, k_major)


def make_volta_swizzled_layout(buffer: Any, is_a: bool = True, k_inner: bool = True) -> Layout:
    """Not available: the layouts of sm_70's matrix instructions."""
    raise UnsupportedError("make_volta_swizzled_layout", hint="Volta has no code generator here")


def make_cutlass_metadata_layout(
    buffer: Any, mma_dtype: str = "float16", arch: str = "8.0", block_k: int = 0
) -> Layout:
    """The layout of metadata in shared memory: row-major, for those of `utils.sparse.compress_sm90` (`arch="9.0"`).

    Raises:
        UnsupportedError: another `arch`, whose metadata torch has in an order of its own.
    """
    del mma_dtype, block_k
    if not str(arch).startswith("9"):
        raise UnsupportedError(
            f"make_cutlass_metadata_layout of arch {arch!r}: metadata in the order of torch's semi-structured tensors",
            hint="leave the layout out and take the metadata of utils.sparse.compress, which are row-major",
        )
    return make_linear_layout(buffer)


# -- makers: fragments ------------------------------------------------------------------------------------------------
def make_gemm_fragment_8x8() -> Fragment:
    """The 8x8 tile of the matrix instructions: thread i * 4 + j / 2, register j % 2."""
    return Fragment((8, 8), lambda i, j: (i * 4 + j // 2, j % 2))


def make_gemm_fragment_8x8_transposed() -> Fragment:
    """The transposed tile: thread j * 4 + i / 2, register i % 2."""
    return Fragment((8, 8), lambda i, j: (j * 4 + i // 2, i % 2))


def make_fully_replicated_layout_fragment(buffer: Any, threads: int) -> Fragment:
    """Every thread holds the whole tile, row-major."""
    return Fragment.of(values.replicated(checked_shape(getattr(buffer, "shape", buffer)), threads))


def _grid(m: int, n: int, warps: tuple[int, int], bits: int) -> tuple[Any, Any]:
    from tilelang_mlir.passes.nvidia.mma_layout import WarpGrid, mma_shape

    shape = mma_shape(bits)
    if m % (warps[0] * shape.m) or n % (warps[1] * shape.n):
        raise TileValueError(f"{m}x{n} is no multiple of {warps[0]}x{warps[1]} warps with tiles of {shape.m}x{shape.n}")
    return WarpGrid(*warps, m // warps[0], n // warps[1]), shape


def make_mma_accumulator_fragment(m: int, n: int, warps: tuple[int, int] = (1, 1), bits: int = 16) -> Fragment:
    """C of a product on mma.sync with operands of `bits` bits, split over (M, N) warps, numbered along M first."""
    from tilelang_mlir.passes.nvidia.mma_layout import accumulator

    return Fragment.of(accumulator(*_grid(m, n, warps, bits)))


def make_mma_operand_a_fragment(m: int, n: int, k: int, warps: tuple[int, int] = (1, 1), bits: int = 16) -> Fragment:
    """A [M, K] of the same product in registers, replicated over the warps along N."""
    from tilelang_mlir.passes.nvidia.mma_layout import operand_a

    return Fragment.of(operand_a(*_grid(m, n, warps, bits), k, bits))


def make_mma_operand_b_fragment(
    m: int, n: int, k: int, warps: tuple[int, int] = (1, 1), bits: int = 16, transposed: bool = False
) -> Fragment:
    """B [K, N] (transposed: [N, K]) of the same product in registers, replicated over the warps along M."""
    from tilelang_mlir.passes.nvidia.mma_layout import operand_b

    return Fragment.of(operand_b(*_grid(m, n, warps, bits), k, bits, transposed=transposed))
