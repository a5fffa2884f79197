"""`tilelang.cuda.intrinsics.sparse_layout`: how 2:4 sparse matrices are described."""

from __future__ import annotations

from tilelang_mlir.frontend.typename import to_dtype
from tilelang_mlir.utils.sparse import get_e_factor

__all__ = ["GROUP_CONFIG", "get_e_factor", "get_e_replicate_factor"]

GROUP_CONFIG = {
    to_dtype(name): (1, 2) if name == "float32" else (2, 4)
    for name in ("float32", "float16", "bfloat16", "int8", "uint8", "float8_e4m3", "float8_e4m3fn", "float8_e5m2")
}
"""Elements that are kept, of how many, by dtype."""


def get_e_replicate_factor(a_dtype: object) -> int:
    """How many neighbouring lanes hold the same word of metadata: 2, or 1 for 8-bit elements."""
    return 1 if to_dtype(a_dtype).bits <= 8 else 2
