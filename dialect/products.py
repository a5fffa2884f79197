"""What a product of tiles says of itself: its factors, its extents, which of them are transposed.

Products are `tl.gemm`, `tl.gemm_sp`, `tl.mma_scaled`, `tl.tcgen05_mma`, `tl.tcgen05_scaled_mma` and
`tl.tcgen05_sparse_mma`; their verifiers have seen that tiles are two-dimensional and agree.
"""

from __future__ import annotations

from tilelang_mlir.mlir import ir

PRODUCTS = ("tl.gemm", "tl.gemm_sp")  # what warpgroups and warps multiply together
# Whose sums are in tensor memory.
TENSOR_PRODUCTS = ("tl.tcgen05_mma", "tl.tcgen05_scaled_mma", "tl.tcgen05_sparse_mma")


def factors(op: ir.Operation) -> tuple[ir.Value, ir.Value, ir.Value]:
    """A, B and C of a product, dense or sparse."""
    a, *metadata, b, c = list(op.operands)[: 4 if op.name == "tl.gemm_sp" else 3]
    del metadata
    return a, b, c


def transposes(op: ir.Operation) -> tuple[bool, bool]:
    """Whether A is stored as [K, M], and B as [N, K]."""
    a, b = (bool(ir.BoolAttr(op.attributes[f"transpose_{x}"]).value) for x in "ab")
    return a, b


_ELEMENTS = {"e2m1": (2, 1), "e2m3": (4, 3), "e3m2": (4, 3)}  # so many in so many bytes
PACKED = tuple(_ELEMENTS)
"""The formats of elements of fewer than eight bits in products."""


def packed_operands(op: ir.Operation) -> tuple[str, str]:
    """The formats of A and B where they are tiles of bytes that share elements (e2m1, e2m3, e3m2), else empty."""
    a, b = (ir.StringAttr(op.attributes[name]).value if (name := f"{x}_packed") in op.attributes else "" for x in "ab")
    return a, b


def padded_operands(op: ir.Operation) -> tuple[str, str]:
    """The formats of A and B where they are tiles of 16 elements in each 16 bytes, else empty."""
    a, b = (ir.StringAttr(op.attributes[name]).value if (name := f"{x}_padded") in op.attributes else "" for x in "ab")
    return a, b


def elements_of(size: int, kind: str) -> int:
    """Elements along K of an operand of so many bytes, or elements where it is not packed."""
    count, per = _ELEMENTS.get(kind, (1, 1))
    return size * count // per


def bytes_of(elements: int, kind: str) -> int:
    """Bytes of so many elements along K of a packed operand."""
    count, per = _ELEMENTS.get(kind, (1, 1))
    return elements * per // count


def extents(op: ir.Operation) -> tuple[int, int, int]:
    """M and N of C, and K of B: bytes where it is packed; A of a sparse product has half of it."""
    _, b, c = factors(op)
    m, n = tile_shape(c)
    return m, n, tile_shape(b)[1 if transposes(op)[1] else 0]


def tile_shape(value: ir.Value) -> tuple[int, int]:
    """Rows and columns of a two-dimensional tile."""
    shape = tile_shape_2d(value)
    assert shape is not None, f"no two-dimensional tile: {value.type}"
    return shape


def tile_shape_2d(value: ir.Value) -> tuple[int, int] | None:
    """The last two dimensions of a tile whose leading dimensions are all one; None of any other tile."""
    shape = list(ir.MemRefType(value.type).shape)
    if len(shape) < 2 or any(s != 1 for s in shape[:-2]):
        return None
    return shape[-2], shape[-1]
