"""Kernels whose products are those of pairs of CTAs: what they must have, and which copies complete in the first CTA.

PTX ISA 8.7, section 9.7.16.1.2: the CTAs of a pair are those of a cluster whose ranks differ in the last bit. All
instructions of a kernel agree on the group (9.7.16.1.3), so either all products are of pairs or none.
"""

from __future__ import annotations

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import ir

from ...dialect.location import python_location
from ...dialect.products import TENSOR_PRODUCTS
from ...dialect.tl import TMEM, scope_of
from .. import build
from ..walk import nested

_GROUPED = (*TENSOR_PRODUCTS, "tl.tcgen05_commit", "tl.tcgen05_cp")


def is_paired(launch: ir.Operation) -> bool:
    """Whether the products of a kernel are those of pairs of CTAs."""
    return any("pair" in op.attributes for op in nested(launch) if op.name in TENSOR_PRODUCTS)


def arrange(launch: ir.Operation) -> bool:
    """Check a kernel with pairs, and mark the loads whose bytes complete in the first CTA; returns whether it is one.

    Raises:
        UnsupportedError: no cluster of pairs, or products of one CTA among those of pairs.
    """
    paired = is_paired(launch)
    for op in nested(launch):
        alone = op.name in _GROUPED and "pair" not in op.attributes
        alone |= op.name == "tl.gemm" and scope_of(op.operands[2]) == TMEM
        if paired and alone:
            raise UnsupportedError(
                f"{op.name.replace('tl.', 'T.')} of one block in a kernel with products of pairs of blocks",
                python_location(op.location),
                hint="use_2cta=True, arrive_2cta=True for everything of tensor memory in a kernel, or for nothing",
            )
        if not paired and op.name in _GROUPED and "pair" in op.attributes:
            raise UnsupportedError(
                f"{op.name.replace('tl.', 'T.')} of a pair of blocks in a kernel without products of pairs",
                python_location(op.location),
                hint="T.tcgen05_gemm(..., use_2cta=True) computes with a pair",
            )
        loads = op.name == "tl.box_load" and "pair" in op.attributes
        if (loads or paired and op.name in TENSOR_PRODUCTS) and not _has_pairs(launch):
            raise UnsupportedError(
                f"{'T.tma_load_2sm' if loads else 'a product of a pair of blocks'} in a kernel whose clusters have no "
                "pairs",
                python_location(op.location),
                hint="T.ClusterKernel(..., cluster_dims=2) makes pairs of neighbouring blocks",
            )
    for op in [op for op in nested(launch) if paired and op.name == "tl.tma_load"]:
        if "cluster" in op.operands[2].owner.operation.attributes:
            op.attributes["pair"] = build.unit()
    for op in [op for op in nested(launch) if paired and op.name in _GROUPED and not _is_of_one(op, launch)]:
        _leave_to_first(op)
    return paired


def _is_of_one(op: ir.Operation, launch: ir.Operation) -> bool:
    """Whether the program lets blocks reach an operation by their number or rank: which one issues it is its choice."""
    parent = op.parent.operation
    while parent != launch:
        if parent.name == "scf.if" and _tells_blocks_apart(parent.operands[0], launch):
            return True
        parent = parent.parent.operation
    return False


def _tells_blocks_apart(value: ir.Value, launch: ir.Operation) -> bool:
    owner = value.owner
    if isinstance(owner, ir.Block):
        return owner.owner.operation == launch
    op = owner.operation
    if op.name == "tl.intrinsic":
        return ir.StringAttr(op.attributes["name"]).value == "cluster_rank"
    return any(_tells_blocks_apart(operand, launch) for operand in op.operands)


def _leave_to_first(op: ir.Operation) -> None:
    """One CTA issues what a pair computes: the one of even rank."""
    with ir.InsertionPoint(op), op.location:
        name = {"name": ir.StringAttr.get("cluster_rank")}
        rank = ir.Operation.create("tl.intrinsic", [build.i32()], [], name).result
        even = build.compare(0, build.binary("andi", rank, build.constant(1)), build.constant(0))
        op.move_before(build.terminator(build.branch(even)))


def _has_pairs(launch: ir.Operation) -> bool:
    if "cluster" not in launch.attributes:
        return False
    size = 1
    for extent in ir.DenseI32ArrayAttr(launch.attributes["cluster"]):
        size *= extent
    return size % 2 == 0
