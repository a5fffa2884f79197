"""Layouts as plain values: fragments over threads and registers, shared-memory tiles. No MLIR inside but in `attrs`."""

from .fragment import REPLICATE, Digit, Fragment, from_table, recast, replicated, reshaped
from .shared import SharedLayout, Step, Swizzle, row_major, swizzle_span, swizzled, viewed
from .tensor import LaneStep, TensorLayout

__all__ = [
    "REPLICATE",
    "Digit",
    "Fragment",
    "LaneStep",
    "SharedLayout",
    "Step",
    "Swizzle",
    "TensorLayout",
    "from_table",
    "recast",
    "replicated",
    "reshaped",
    "row_major",
    "swizzle_span",
    "swizzled",
    "viewed",
]
