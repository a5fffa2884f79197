"""The reference evaluator: what a tile program means, with numpy on whole tiles.

It runs level 1 (`tl`) and knows neither layouts nor hardware, so a difference between it and the simulator is an error
in lowering.
"""

from __future__ import annotations

from tilelang_mlir.reference.evaluate import evaluate

__all__ = ["evaluate"]
