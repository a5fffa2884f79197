"""Which operations mean the same on a vector of iterations as on each of them."""

from __future__ import annotations

from tilelang_mlir.mlir import ir

_PREFIXES = ("arith.", "math.", "memref.")
_OTHERS = frozenset(("tl.cast", "tl.math", "tl.bitcast", "tl.thread_id", "tl.assume"))


def is_lanewise(op: ir.Operation) -> bool:
    """Element arithmetic and element accesses, without control flow or exchange between iterations."""
    if op.name == "tl.atomic":
        return not len(op.results)
    return op.name in _OTHERS or op.name.startswith(_PREFIXES) and not len(op.regions)
