"""What the attributes of a kernel of the thread program say, whichever vendor's dialect spells them."""

from __future__ import annotations

from tilelang_mlir.isa.instruction import WARP
from tilelang_mlir.mlir import ir

BLOCK_ATTRIBUTES = ("nvvm.reqntid", "rocdl.reqd_work_group_size")
"""Threads per block, by vendor."""
KERNEL_ATTRIBUTES = ("nvvm.kernel", "rocdl.kernel")
"""What marks a function as a kernel for the vendor's code generator."""


def block_size(function: ir.Operation) -> tuple[int, int, int] | None:
    """Threads per block along x, y and z; None when the kernel does not say."""
    for name in BLOCK_ATTRIBUTES:
        if name in function.attributes:
            sizes = [int(size) for size in ir.DenseI32ArrayAttr(function.attributes[name])] + [1, 1]
            return sizes[0], sizes[1], sizes[2]
    return None


def warp_size(function: ir.Operation) -> int:
    """Threads that run in lock step: `tl.warp_size`, 32 where it is absent."""
    if "tl.warp_size" not in function.attributes:
        return WARP
    return int(ir.IntegerAttr(function.attributes["tl.warp_size"]).value)
