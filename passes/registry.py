"""Which passes exist: one table of names and import paths.

Looking a name up imports its module; listing names imports nothing. `TABLE` is the only place a pass is registered.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable

from tilelang_mlir.errors import TileValueError

from .base import Pass

TABLE: tuple[tuple[str, str], ...] = (
    ("delay-waits", "tilelang_mlir.passes.delay_waits:DelayWaits"),
    ("exchange-fragments", "tilelang_mlir.passes.exchange_fragments:ExchangeFragments"),
    ("expand-tensor-copies", "tilelang_mlir.passes.expand_tensor_copies:ExpandTensorCopies"),
    ("expand-tile-ops", "tilelang_mlir.passes.expand_tile_ops:ExpandTileOps"),
    ("guard-masks", "tilelang_mlir.passes.guard_masks:GuardMasks"),
    ("insert-barriers", "tilelang_mlir.passes.insert_barriers:InsertBarriers"),
    ("lagging-maximum", "tilelang_mlir.passes.lagging_maximum.pass_:LaggingMaximum"),
    ("layout-inference", "tilelang_mlir.passes.layout_inference.pass_:LayoutInference"),
    ("legalize-tile-ops", "tilelang_mlir.passes.legalize_tile_ops:LegalizeTileOps"),
    ("lower-to-threads", "tilelang_mlir.passes.lowering.pass_:LowerToThreads"),
    ("materialize-schedule", "tilelang_mlir.passes.materialize_schedule.pass_:MaterializeSchedule"),
    ("order-tensor-memory", "tilelang_mlir.passes.order_tensor_memory:OrderTensorMemory"),
    ("overlap-iterations", "tilelang_mlir.passes.overlap_iterations:OverlapIterations"),
    ("overlap-products", "tilelang_mlir.passes.overlap_products:OverlapProducts"),
    ("pack-elements", "tilelang_mlir.passes.pack_elements:PackElements"),
    ("place-descriptors", "tilelang_mlir.passes.place_descriptors:PlaceDescriptors"),
    ("persist-tiles", "tilelang_mlir.passes.persist_tiles:PersistTiles"),
    ("pipeline-loops", "tilelang_mlir.passes.pipeline_loops:PipelineLoops"),
    ("specialize-tensor-warps", "tilelang_mlir.passes.specialize_tensor_warps.pass_:SpecializeTensorWarps"),
    ("prefetch-tiles", "tilelang_mlir.passes.prefetch_tiles:PrefetchTiles"),
    ("specialize-warps", "tilelang_mlir.passes.specialize_warps.pass_:SpecializeWarps"),
    ("plan-shared-memory", "tilelang_mlir.passes.plan_shared_memory:PlanSharedMemory"),
    ("plan-tensor-memory", "tilelang_mlir.passes.plan_tensor_memory:PlanTensorMemory"),
    ("stage-tensor-products", "tilelang_mlir.passes.stage_tensor_products.pass_:StageTensorProducts"),
    ("use-assumptions", "tilelang_mlir.passes.use_assumptions:UseAssumptions"),
    ("use-tensor-memory", "tilelang_mlir.passes.use_tensor_memory:UseTensorMemory"),
    ("take-turns", "tilelang_mlir.passes.take_turns:TakeTurns"),
    # Passes that only tests use.
    ("test-fail", "tilelang_mlir.passes.testing.fail:Fail"),
    ("test-mark", "tilelang_mlir.passes.testing.mark:Mark"),
)

# Upstream passes that pipelines use, for suggestions only: any registered upstream pass can be named.
UPSTREAM = (
    "canonicalize", "convert-arith-to-llvm", "convert-gpu-to-nvvm", "convert-gpu-to-rocdl", "convert-index-to-llvm",
    "convert-math-to-llvm", "convert-nvgpu-to-nvvm", "convert-nvvm-to-llvm", "convert-scf-to-cf",
    "convert-vector-to-llvm", "cse", "gpu-kernel-outlining", "inline", "int-range-optimizations", "lower-affine",
    "loop-invariant-code-motion", "reconcile-unrealized-casts", "sccp", "strip-debuginfo", "symbol-dce",
)  # fmt: skip


def index(table: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The table as a mapping from name to `module:Class`.

    Raises:
        TileValueError: a name occurs twice.
    """
    found: dict[str, str] = {}
    for name, path in table:
        if name in found:
            raise TileValueError(f"pass {name!r} is registered twice: {found[name]} and {path}")
        found[name] = path
    return found


_INDEX = index(TABLE)


def names() -> list[str]:
    """All pass names, sorted. Imports nothing."""
    return sorted(_INDEX)


def path_of(name: str) -> str:
    """The `module:Class` path of a registered pass."""
    return _INDEX[name]


def is_registered(name: str) -> bool:
    return name in _INDEX


def load(name: str) -> type[Pass]:
    """The class of a registered pass; imports its module.

    Raises:
        TileValueError: no pass has that name; the hint lists the nearest ones.
    """
    if name not in _INDEX:
        raise TileValueError(f"unknown pass {name!r}", hint=nearest(name))
    module, _, attribute = _INDEX[name].partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if found.name != name:
        raise TileValueError(f"pass {name!r} is registered for {_INDEX[name]}, whose name is {found.name!r}")
    return found


def nearest(name: str) -> str:
    """A hint with the registered and common upstream names that look like `name`."""
    close = difflib.get_close_matches(name, [*names(), *UPSTREAM], n=3, cutoff=0.5)
    return f"did you mean {', '.join(close)}?" if close else f"passes here: {', '.join(names())}"
