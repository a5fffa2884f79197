"""Which plain kernels around tensor memory should walk over output tiles, and with how many stages.

With two versions of the sums one tile is computed while the one before is stored. Where three or more blocks fit on a
multiprocessor they do that for one another, and keep their grid. One block instead of two gets twice the stages, as far
as they fit, so that as much is on its way from device memory.
"""

from __future__ import annotations

import math

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from ...dialect.layout.tensor import COLUMNS, arena_columns
from ..nvidia.tensor_stores import staging_bytes, stores_of
from ..plan_tensor_memory import THREADS, columns_at_once
from ..specialize_warps.stores import reserved, shared_bytes
from ..use_tensor_memory import SYNCHRONOUS
from ..walk import depends_on_block, nested, num_threads
from .candidate import Candidate, find_candidate

_MOST_BLOCKS = 2  # of a multiprocessor: more of them hide each other's stores
# What a tile may do in each round of a loop: nothing that counts on running once.
_REPEATABLE = frozenset((
    "tl.alloc", "tl.bitcast", "tl.cast", "tl.copy", "tl.fill", "tl.math", "tl.parallel", "tl.reduce", "tl.slice",
    "tl.tcgen05_cp", "tl.tcgen05_mma", "tl.tcgen05_scaled_mma", "tl.tcgen05_commit", "tl.mbarrier_wait",
    "tl.alloc_barrier", "tl.atomic", "memref.load", "memref.store", "scf.for", "scf.if", "scf.yield",
))  # fmt: skip


def stages_of_walk(launch: ir.Operation, target: Target) -> int:
    """Stages of the ring of a kernel that should walk over its output tiles; 0 for one that keeps its grid."""
    if "cluster" in launch.attributes or "min_blocks" in launch.attributes:
        return 0
    found = find_candidate(launch)
    if found is None or found.nest or not _is_repeatable(launch, found):
        return 0
    ring = sum(_bytes(load.tile) for load in found.loads)
    ring += sum(_bytes(factor.ordered) for factor in found.factors)
    beside = _beside(launch, found)
    threads = num_threads(launch)
    alone = target.max_shared_bytes // max(found.stages * ring + beside, 1)
    blocks = min(alone, COLUMNS // arena_columns(columns_at_once(launch)), THREADS // threads)
    if blocks > _MOST_BLOCKS:
        return 0
    room = target.max_shared_bytes - reserved(launch) - beside - staging_bytes(launch, threads)
    fit = room // ring
    if fit < found.stages:
        return 0
    asked = "fixed" in ir.DictAttr(found.loop.attributes["tl.pipeline"])
    return found.stages if asked else min(fit, found.stages * max(blocks, 1))


def _is_repeatable(launch: ir.Operation, found: Candidate) -> bool:
    """Whether all tiles take the same number of steps, and a tile may follow another in a block."""
    if any(depends_on_block(v, launch) for v in list(found.loop.operands)[:3]):
        return False
    known = _REPEATABLE | {"tl.thread_id"} if found.factors else _REPEATABLE
    for op in nested(launch):
        if not op.name.startswith(("arith.", "math.")) and op.name not in known:
            return False
        # What completes another product counts its rounds from the start of the kernel.
        if SYNCHRONOUS in op.attributes and op.parent.operation != found.loop:
            return False
        if op.name == "tl.mbarrier_wait" and SYNCHRONOUS not in op.attributes:
            return False
    return True


def _beside(launch: ir.Operation, found: Candidate) -> int:
    """Bytes of shared tiles that are neither in the ring nor left out."""
    out = [v for load in found.loads for v in (load.tile, load.left_out) if v is not None]
    out += [v for factor in found.factors for v in (factor.ordered, factor.load.operands[1])]
    out += [op.operands[0] for op, carrier in stores_of(launch) if carrier is not None]
    return shared_bytes(launch, out)


def _bytes(tile: ir.Value) -> int:
    kind = ir.MemRefType(tile.type)
    return math.prod(kind.shape) * kind.element_type.width // 8
