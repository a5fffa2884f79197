"""The order of the passes: the only file that says it, with the reasons.

tl          as traced
laid_out    every buffer and parallel loop has a layout
scheduled   pipelines expanded, tile operations as loops, shared memory placed, barriers explicit
lowered     the program of one thread
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tilelang_mlir import knobs
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from . import registry
from .manager import RunOptions, run_stages
from .pipeline_text import Element

Record = Callable[[str, Callable[[], str]], None]

# Two branches on one condition stay two: a barrier may have to stand between them. The pattern's name has the unnamed
# namespace as GCC writes it, which builds the bindings.
_CANONICALIZE = "canonicalize{disable-patterns={anonymous}::CombineIfs}"
STAGES: dict[str, tuple[str, ...]] = {
    # Roles that the program describes, in its own loops and branches. Then dead and repeated index arithmetic: later
    # passes walk what is left, and what is stated of an index is stated of all its uses.
    "tl": ("materialize-schedule", _CANONICALIZE, "cse", "use-assumptions"),
    # Views whose tensor maps the kernel makes get room for it before shared memory is laid out.
    # Half bytes are gone before anything asks for layouts. Accumulators move to tensor memory before anything else
    # looks at products. Staging buffers of reductions and scans must exist before layouts are inferred; what other
    # threads read is known after that.
    "laid_out": (
        "pack-elements", "place-descriptors", "use-tensor-memory", "legalize-tile-ops", "layout-inference",
        "exchange-fragments",
    ),  # fmt: skip
    # What is recognised in whole loops comes before loops are taken apart, and so before products whose sums pass
    # through tensor memory are. Then which tiles a CTA works on, and roles:
    # what they do not take is pipelined within the warps. Both need copies as copies; memory is planned when all
    # versions exist; barriers see which tiles share memory.
    "scheduled": (
        "guard-masks",
        "lagging-maximum",
        "stage-tensor-products",
        "persist-tiles",
        "specialize-warps",
        "specialize-tensor-warps",
        "overlap-iterations",
        "overlap-products",
        "take-turns",
        "delay-waits",
        "prefetch-tiles",
        "pipeline-loops",
        "expand-tensor-copies",
        "expand-tile-ops",
        _CANONICALIZE,
        "cse",
        "plan-tensor-memory",
        "plan-shared-memory",
        "insert-barriers",
        "order-tensor-memory",
    ),  # fmt: skip
    "lowered": ("lower-to-threads", "canonicalize", "cse"),
}


@dataclass(frozen=True)
class LoweringOptions:
    """What a user may change about the passes; the names are TileLang's pass configurations."""

    fast_math: bool = False
    guards: bool = True
    reuse_shared: bool = True
    async_copy: bool = True
    specialize: bool = True
    wgmma: bool = True
    lagging_maximum: bool = True
    turns: bool = True
    persist: bool = True
    bulk: bool = True
    multicast: bool = False
    wide_accesses: bool = True
    block_syncs: bool = False

    @staticmethod
    def of(module: ir.Module) -> LoweringOptions:
        """The options in the module attribute `tl.pass_configs`."""
        attributes = module.operation.attributes
        configs = ir.DictAttr(attributes["tl.pass_configs"]) if "tl.pass_configs" in attributes else None

        def flag(key: str, default: bool) -> bool:
            if configs is None or key not in configs:
                return default
            return bool(ir.BoolAttr(configs[key]).value)

        return LoweringOptions(
            fast_math=flag("tl.enable_fast_math", False),
            guards=not flag("tl.disable_safe_memory_legalize", False),
            reuse_shared=not flag("tl.disable_shared_memory_reuse", False),
            async_copy=flag("tl.enable_async_copy", True),
            specialize=not flag("tl.disable_warp_specialized", False) and not flag("tl.disable_tma_lower", False),
            bulk=not flag("tl.disable_tma_lower", False),
            multicast=flag("tl.enable_cluster_multicast", False),
            persist=not flag("tl.disable_persistent", False),
            wgmma=not flag("tl.disable_wgmma", False),
            lagging_maximum=not flag("tl.disable_lagging_maximum", False),
            turns=not flag("tl.disable_ping_pong", False),
            wide_accesses=not flag("tl.disable_vectorize_256", False),
            block_syncs=flag("tl.disable_thread_storage_sync", False),
        )


def stages(options: LoweringOptions | None = None) -> dict[str, list[Element]]:
    """The passes of each named stage, ours as objects, upstream ones as names."""
    chosen = options or LoweringOptions()
    arguments: dict[str, dict[str, bool]] = {
        "lower-to-threads": {
            "fast_math": chosen.fast_math,
            "guards": chosen.guards,
            "wide_accesses": chosen.wide_accesses,
        },  # fmt: skip
        "legalize-tile-ops": {"block_syncs": chosen.block_syncs},
        "plan-shared-memory": {"reuse": chosen.reuse_shared},
        "layout-inference": {"wgmma": chosen.wgmma, "wide_accesses": chosen.wide_accesses},
        "lagging-maximum": {"enabled": chosen.lagging_maximum},
        "stage-tensor-products": {"async_copy": chosen.async_copy},
        "persist-tiles": {"enabled": chosen.specialize and chosen.persist, "multicast": chosen.multicast},
        "specialize-warps": {"enabled": chosen.specialize},
        "specialize-tensor-warps": {"enabled": chosen.specialize},
        "take-turns": {"enabled": chosen.turns},
        "pipeline-loops": {"async_copy": chosen.async_copy, "bulk": chosen.bulk},
    }
    return {stage: [_element(name, arguments.get(name, {})) for name in passes] for stage, passes in STAGES.items()}


def _element(name: str, arguments: dict[str, bool]) -> Element:
    return registry.load(name)(**arguments) if registry.is_registered(name) else name


def lower(
    module: ir.Module,
    target: Target,
    options: RunOptions | None = None,
    record: Record | None = None,
    until: str = "lowered",
) -> None:
    """Lower a traced module in place to the end of a stage, calling `record(stage, text)` after each.

    Raises:
        TileError: a pass rejects the program; the location is the Python line.
    """

    def after(stage: str) -> None:
        if record is not None:
            record(stage, module.__str__)

    # Verifying takes as long as a pass. Each pass is verified where specs are checked, in tests and for debugging; else
    # the last program of tiles is, and that of a thread.
    chosen = options or RunOptions(verify_each=knobs.VERIFY_SPECS.get(), verify_stages=("scheduled", "lowered"))
    with module.context, ir.Location.unknown():
        wanted = stages(LoweringOptions.of(module))
        names = list(wanted)[: list(wanted).index(until) + 1]
        run_stages(module, {name: wanted[name] for name in names}, target, chosen, after)
