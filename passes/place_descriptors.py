"""`place-descriptors`: room in shared memory to make the tensor maps of views that a kernel describes itself.

Input: the tile program with `tl.view`. Output: the same; behind each view that tiles are copied of or to stands a
`tl.make_descriptor`, with 128 bytes of shared memory for each warp that may run the code. On targets that make no maps
in kernels, and for views no map can describe, nothing is added: copies are then done by threads.

    %D = tl.view(%C, %i, %j, %rows)
    =>
    %s = tl.alloc : memref<8x128xi8, shared>;  %D = tl.view(%C, %i, %j, %rows);  tl.make_descriptor(%D, %s)

Every warp makes maps of its own: no barrier is needed, and roles stay apart. A program of one warpgroup may run on two
(`take-turns`), hence eight warps at least; one with a pipelined loop may get a warpgroup that loads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import int_array, ir
from tilelang_mlir.target import Feature, Target

from ..dialect.location import python_location
from ..dialect.ops.descriptor import LINE
from ..dialect.tl import SHARED, buffer_type
from .base import Pass
from .uniformity import is_uniform
from .walk import WARPGROUP, launch_of, nested, num_threads

_LEAST_WARPS = 8
_COPIES = ("tl.copy", "tl.tma_load", "tl.tma_store", "tl.prefetch")


@dataclass(frozen=True)
class PlaceDescriptors(Pass):
    """Give views that the kernel describes a place to make their tensor maps."""

    name: ClassVar[str] = "place-descriptors"

    def run(self, module: ir.Module, target: Target) -> None:
        views = [op for op in nested(module.operation) if op.name == "tl.view"]
        for op in views:
            _check_uniform(op)
        if not target.supports(Feature.TENSOR_MAPS):
            return
        with module.context:
            for op in views:
                if not map_obstacle(op) and _is_copied(op.results[0]):
                    with op.location:
                        _place(op)


def map_obstacle(op: ir.Operation) -> str:
    """Why no tensor map can describe a view, or an empty string. Strides known at run time are as promised."""
    element = ir.MemRefType(op.results[0].type).element_type
    strides = int_array(op.attributes["strides"])
    if str(element) == "i1" or element.width % 8:
        return f"elements of {element}"
    if not 1 <= len(strides) <= 5:
        return f"{len(strides)} dimensions, at most 5"
    if strides[-1] != 1 or any(s != -1 and s * element.width // 8 % 16 for s in strides[:-1]):
        known = ", ".join("?" if s == -1 else str(s) for s in strides)
        return f"strides [{known}] of {element.width // 8}-byte elements, which must be multiples of 16 bytes"
    return ""


def _check_uniform(op: ir.Operation) -> None:
    if not all(is_uniform(v) for v in list(op.operands)[1:]):
        raise UnsupportedError(
            "T.make_tensor_descriptor with a place or size that differs between threads",
            python_location(op.location),
            hint="they follow from block indices and from tensors read at such indices",
        )


def _is_copied(view: ir.Value) -> bool:
    """Whether whole tiles of a view are copied."""
    users = [use.owner.operation for use in view.uses]
    return any(user.name in _COPIES or (user.name == "tl.slice" and _is_copied(user.results[0])) for user in users)


def _place(op: ir.Operation) -> None:
    launch = launch_of(op)
    warps = max(_LEAST_WARPS, -(-num_threads(launch) // 32))
    if any("tl.pipeline" in other.attributes for other in nested(launch)):
        warps += WARPGROUP // 32
    kind = buffer_type([warps, LINE], ir.IntegerType.get_signless(8), SHARED)
    block = launch.regions[0].blocks[0]
    with ir.InsertionPoint.at_block_begin(block):
        staging = ir.Operation.create("tl.alloc", [kind]).result
    siblings = list(op.block.operations)
    with ir.InsertionPoint(siblings[siblings.index(op) + 1]):
        ir.Operation.create("tl.make_descriptor", [], [op.results[0], staging])
