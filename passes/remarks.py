"""What the compiler did not do for a program, and why: copies that a machine with bulk copies makes by its threads,
products that keep a kernel from tensor memory."""

from __future__ import annotations

from tilelang_mlir.errors import Finding
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, Target

from ..dialect.location import python_location
from ..dialect.tl import FRAGMENT, GLOBAL, SHARED, scope_of
from .nvidia.loads import load_obstacle, loads
from .nvidia.tensor_products import OBSTACLE
from .nvidia.tma_rules import tensor_obstacle
from .walk import launches, nested


class Remark(Finding):
    """One thing the compiler left undone: what and why, at which line, and what may help."""


def remarks(module: ir.Module, target: Target) -> list[Remark]:
    """The remarks on a laid-out program, in its order.

    Of a kernel with pipelined loops, where bulk copies are made: its loads inside of those, and its stores of tiles.
    Of one with products in loops, where tensor memory is: the product because of which they run on mma.sync.
    """
    if not target.supports(Feature.TMA):
        return []
    found: list[Remark] = []
    for launch in launches(module):
        loops = [op for op in nested(launch) if op.name == "scf.for" and "tl.pipeline" in op.attributes]
        inside = [load for loop in loops for load in loads(loop)]
        found += [_stays(op) for op in nested(launch) if OBSTACLE in op.attributes]
        for op in nested(launch) if loops else ():
            if op in inside:
                obstacle = "" if "disable_tma" in op.attributes else load_obstacle(op)
                found += [_remark(op, op.operands[0], obstacle)] if obstacle else []
            elif op.name == "tl.copy" and scope_of(op.operands[1]) == GLOBAL:
                stored = scope_of(op.operands[0]) in (SHARED, FRAGMENT)
                obstacle = tensor_obstacle(op.operands[1]) if stored and "disable_tma" not in op.attributes else ""
                found += [_remark(op, op.operands[1], obstacle)] if obstacle else []
    return list(dict.fromkeys(found))


def _stays(op: ir.Operation) -> Remark:
    reason = ir.StringAttr(op.attributes[OBSTACLE]).value
    text = f"the kernel's products of fragments run on mma.sync, not through tensor memory: {reason}"
    return Remark(text, python_location(op.location))


def _remark(op: ir.Operation, device: ir.Value, obstacle: str) -> Remark:
    bits = ir.MemRefType(device.type).element_type.width
    hint = ""
    if "multiple of 16 bytes" in obstacle or "multiples of 16 bytes" in obstacle:
        hint = f"T.assume states what is known of a number: T.assume(n % {max(128 // bits, 1)} == 0)"
    return Remark(f"the threads copy this tile, not a bulk copy: {obstacle}", python_location(op.location), hint)
