"""Which products run on warpgroup instructions, where several add to one accumulator: its layout is one instruction's.

A product that could, and by itself would rather not, follows the others on wgmma; one that cannot takes all of them to
mma.sync. What the program asks for by name (`T.wgmma_gemm`) stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, Target

from ...dialect.effects import root
from ...dialect.products import PRODUCTS, factors
from ..nvidia.wgmma_layout import uses_wgmma
from ..walk import WARPGROUP, members_of, threads_of


@dataclass(frozen=True)
class Form:
    """Whether a product may run on wgmma, and with shared tiles whose rows along M or N are narrower than it likes."""

    wgmma: bool = True
    narrow: bool = False


def product_forms(ops: Sequence[ir.Operation], target: Target) -> dict[ir.Operation, Form]:
    """The forms of all products of a kernel."""
    products = [op for op in ops if op.name in PRODUCTS]
    if not target.supports(Feature.WGMMA):
        return {op: Form(wgmma=False) for op in products}
    sharing: dict[ir.Value, list[ir.Operation]] = {}
    for op in products:
        sharing.setdefault(root(factors(op)[2]), []).append(op)
    forms: dict[ir.Operation, Form] = {}
    for together in sharing.values():
        forms.update(_agreed(together, target))
    return forms


def _agreed(together: list[ir.Operation], target: Target) -> dict[ir.Operation, Form]:
    likes = [_runs(op, target, narrow=False) for op in together]
    if all(likes) or not any(likes):
        return {op: Form() for op in together}
    if all(_runs(op, target, narrow=True) for op in together):
        return {op: Form(narrow=True) for op in together}
    return {op: Form(wgmma="wgmma" in op.attributes) for op in together}


def _runs(op: ir.Operation, target: Target, *, narrow: bool) -> bool:
    aligned = members_of(op).start % WARPGROUP == 0
    return aligned and uses_wgmma(op, threads_of(op), target, narrow=narrow) is not None
