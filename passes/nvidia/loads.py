"""Loads of shared tiles from device memory, and the bulk copies that do them."""

from __future__ import annotations

from collections.abc import Sequence

from tilelang_mlir.mlir import ir

from ...dialect.tl import GLOBAL, SHARED, scope_of
from .. import build
from ..walk import nested
from .im2col_rules import im2col_obstacle
from .tma_rules import tma_obstacle

LOADS = ("tl.copy", "tl.im2col")


def loads(loop: ir.Operation) -> list[ir.Operation]:
    """All loads in a loop, however deep."""
    return [
        op
        for op in nested(loop)
        if op.name in LOADS and scope_of(op.operands[1]) == SHARED and scope_of(op.operands[0]) == GLOBAL
    ]


def sources(load: ir.Operation) -> list[ir.Value]:
    """What a load into a tile is computed from: all of its operands but the tile."""
    return [v for i, v in enumerate(load.operands) if i != 1]


def load_obstacle(load: ir.Operation) -> str:
    """Why a load cannot be bulk copies, or an empty string."""
    if "disable_tma" in load.attributes:
        return "the program says so"
    return im2col_obstacle(load) if load.name == "tl.im2col" else tma_obstacle(*load.operands)


def start(
    load: ir.Operation,
    computed: Sequence[ir.Value],
    target: ir.Value,
    barrier: Sequence[ir.Value],
    attributes: dict[str, ir.Attribute],
) -> None:
    """The bulk copies of a load into a version of its tile; `computed` stands for its sources."""
    source, *numbers = computed
    name = "tl.im2col_load" if load.name == "tl.im2col" else "tl.tma_load"
    kept = build.attributes_of(load) if numbers else {}
    ir.Operation.create(name, [], [source, target, *barrier, *numbers], {**kept, **attributes})
