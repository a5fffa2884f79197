"""Registers that the warpgroups of a kernel ask for by hand, against what a block has."""

from __future__ import annotations

import numpy as np

from tilelang_mlir.errors import ResourceError, UnsupportedError
from tilelang_mlir.mlir import ir

from ...dialect.location import python_location
from ...dialect.ops.intrinsic import intrinsic_name
from ..lowering.context import Context
from ..walk import WARPGROUP, launch_of, members_of, nested, num_threads, span_of


def check_whole_warpgroups(op: ir.Operation) -> None:
    """Refuse what single warps ask for: all threads of a warpgroup execute `setmaxnreg` together (same section)."""
    members = members_of(op)
    if members.start % WARPGROUP or members.stop % WARPGROUP:
        raise UnsupportedError(
            f"{span_of(members)} change their registers, which whole warpgroups do",
            python_location(op.location),
            hint="set them in front of the branch on warps, where all 128 threads of the warpgroup come by",
        )


def check_register_shares(ctx: Context, op: ir.Operation) -> None:
    """Refuse shares that a block does not have: the last warpgroup would wait for its registers for ever.

    PTX ISA 8.7, section 9.7.19.5 (setmaxnreg). A warpgroup that changes its share several times counts with the
    smallest, one that does not say it with nothing.
    """
    launch = launch_of(op)
    groups = -(-num_threads(launch) // WARPGROUP)
    shares: dict[int, int] = {}
    for other in nested(launch):
        if other.name == "tl.intrinsic" and intrinsic_name(other) == "set_registers":
            count = ir.IntegerAttr(other.attributes["count"]).value
            for group in _groups_that_reach(other, groups):
                shares[group] = min(count, shares.get(group, count))
    total = sum(shares.values()) * WARPGROUP
    if total > ctx.target.registers:
        terms = " + ".join(str(shares[group]) for group in sorted(shares))
        raise ResourceError(
            f"the warpgroups ask for {WARPGROUP} x ({terms}) = {total} registers, a block has {ctx.target.registers}",
            python_location(op.location),
            hint="give warpgroups that only copy 24, and the others less",
        )


def _groups_that_reach(op: ir.Operation, groups: int) -> list[int]:
    """The warpgroups that surely reach an operation: none where a condition stands around it."""
    members = np.arange(groups)
    parent = op.parent.operation
    while parent.name != "tl.launch":
        if parent.name not in ("tl.warpgroups", "scf.for") or "warps" in parent.attributes:
            return []
        if parent.name == "tl.warpgroups":
            members = np.intersect1d(members, list(ir.DenseI32ArrayAttr(parent.attributes["groups"])))
        parent = parent.parent.operation
    return [int(group) for group in members]
