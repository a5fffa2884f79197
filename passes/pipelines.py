"""The order of the passes: the only file that says it, with the reasons.

tl          as traced
laid_out    every buffer and parallel loop has a layout
scheduled   pipelines expanded, tile operations as loops, shared memory placed, barriers explicit
lowered     the program of one thread
"""

from __future__ import annotations

from collections.abc import Callable

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from . import registry
from .manager import RunOptions, run_pipeline
from .pipeline_text import Element

Record = Callable[[str, Callable[[], str]], None]

STAGES: dict[str, tuple[str, ...]] = {
    # Dead and repeated index arithmetic first: later passes walk what is left.
    "tl": ("canonicalize", "cse"),
    # Staging buffers of reductions and scans must exist before layouts are inferred.
    "laid_out": ("legalize-tile-ops", "layout-inference"),
    # Pipelining needs copies as copies; memory is planned when all versions exist; barriers see which tiles share memory.
    "scheduled": ("pipeline-loops", "expand-tile-ops", "canonicalize", "cse", "plan-shared-memory", "insert-barriers"),
    "lowered": ("lower-to-threads", "canonicalize", "cse"),
}


def stages(target: Target, options: object = None) -> dict[str, list[Element]]:
    """The passes of each named stage, ours as objects, upstream ones as names."""
    del target, options
    return {stage: [_element(name) for name in passes] for stage, passes in STAGES.items()}


def _element(name: str) -> Element:
    return registry.load(name)() if registry.is_registered(name) else name


def lower(module: ir.Module, target: Target, options: RunOptions | None = None, record: Record | None = None) -> None:
    """Lower a traced module in place to the thread program, calling `record(stage, text)` after each stage.

    Raises:
        TileError: a pass rejects the program; the location is the Python line.
    """
    for stage, passes in stages(target).items():
        with module.context, ir.Location.unknown():
            run_pipeline(module, passes, target, options)
        if record is not None:
            record(stage, module.__str__)
