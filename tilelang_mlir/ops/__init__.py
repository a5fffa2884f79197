"""Ready kernels: operations on tensors that need no kernel of one's own and no tuning.

    from tilelang_mlir import ops

    c = ops.matmul(a, b)
"""

from __future__ import annotations

from tilelang_mlir.ops.gemm import gemm, matmul
from tilelang_mlir.ops.tiling import Tiling, choose

__all__ = ["Tiling", "choose", "gemm", "matmul"]
