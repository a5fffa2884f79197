"""Tiles that are used together, and the barriers that hand them over."""

from __future__ import annotations

from dataclasses import dataclass

from tilelang_mlir.mlir import ir

from ...dialect.effects import region_effects


@dataclass(frozen=True)
class Ring:
    """Tiles that are used together: their copies, the first and last operation that uses them, and their barriers."""

    copies: list[ir.Operation]
    first: ir.Operation
    last: ir.Operation
    full: ir.Value
    empty: ir.Value


def by_use(
    copies: list[ir.Operation], loop: ir.Operation
) -> list[tuple[list[ir.Operation], ir.Operation, ir.Operation]]:
    """Copies grouped by the span of the body in which their tiles are used, in the order of first use."""
    body = [op.operation for op in loop.regions[0].blocks[0].operations]
    spans: dict[tuple[int, int], list[ir.Operation]] = {}
    for copy in copies:
        tile = copy.operands[1]
        uses = [i for i, op in enumerate(body) if op != copy and any(e.value == tile for e in region_effects(op))]
        span = (uses[0], uses[-1]) if uses else (len(body) - 1, len(body) - 1)
        spans.setdefault(span, []).append(copy)
    return [(spans[span], body[span[0]], body[span[1]]) for span in sorted(spans)]
