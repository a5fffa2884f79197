"""What a target without block-scaled products is told."""

from __future__ import annotations

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, Target, targets_with

from ..dialect.location import python_location
from ..dialect.products import packed_operands

_FEATURES = (Feature.MMA_SCALED, Feature.MFMA_SCALED, Feature.TCGEN05)


def require_scaled_products(op: ir.Operation, target: Target) -> None:
    """Whether a `tl.mma_scaled`, or a `tl.gemm` of packed operands, has an instruction on the target.

    Raises:
        UnsupportedError: it has none; the error names the features and the targets that have one.
    """
    packed = [kind for kind in packed_operands(op) if kind]
    if op.name == "tl.gemm" and not packed:
        return
    if any(target.supports(feature) for feature in _FEATURES):
        return
    what = f"a product of {' and '.join(dict.fromkeys(packed))}" if op.name == "tl.gemm" else "a block-scaled product"
    *rest, last = (feature.value for feature in _FEATURES)
    having = dict.fromkeys(name for feature in _FEATURES for name in targets_with(feature))
    raise UnsupportedError(
        f"{what} needs {', '.join(rest)} or {last}, which {target} lacks",
        python_location(op.location), hint=f"targets that have one: {', '.join(sorted(having))}",
    )  # fmt: skip
