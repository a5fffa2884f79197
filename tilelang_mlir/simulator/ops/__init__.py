"""How upstream ops become Python expressions over lanes: `RULES[op name](source, op, operand names) -> expression`.

A rule returns the text of an expression for the op's result (None: the op has none and was emitted as a statement).
Rules of the families register themselves when this package is imported.
"""

from __future__ import annotations

from tilelang_mlir.simulator.ops import floating, integer, memory, side_effects, vectors
from tilelang_mlir.simulator.ops.rule import RULES, Writer

__all__ = ["RULES", "Writer", "floating", "integer", "memory", "side_effects", "vectors"]
