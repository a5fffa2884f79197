"""Which targets multiply matrices of an 8-bit float, for the errors of those that do not."""

from __future__ import annotations

from tilelang_mlir.target import Feature, targets_with

_PRODUCTS = (Feature.MMA_FP8, Feature.MFMA_FP8, Feature.WMMA_FP8)
_FORMATS = ("f8E4M3FN", "f8E5M2", "f8E4M3FNUZ", "f8E5M2FNUZ")


def targets_hint(element: str) -> str:
    """A hint that names the targets with products of an 8-bit float; empty for other types.

    A target has formats with a negative zero or without.
    """
    if not element.startswith("f8"):
        return ""
    having = dict.fromkeys(name for feature in _PRODUCTS for name in targets_with(feature))
    without_zero = targets_with(Feature.FP8_FNUZ)
    fits = [name for name in having if (name in without_zero) == element.endswith("FNUZ")]
    if element not in _FORMATS:
        return f"no target multiplies {element}: convert it to another type first"
    return f"targets that have it: {', '.join(sorted(fits))}"
