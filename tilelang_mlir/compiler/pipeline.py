"""A level-1 module to an `Artifact`: launch plan, pass stages, code generation."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tilelang_mlir import collection, knobs
from tilelang_mlir.compiler import codegen
from tilelang_mlir.compiler.artifact import Artifact
from tilelang_mlir.compiler.build_plan import build_plan, complete_plan
from tilelang_mlir.compiler.options import CompileOptions
from tilelang_mlir.dialect import belongs_elsewhere, prepare_context, shared_context
from tilelang_mlir.launch_plan import LaunchPlan
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

if TYPE_CHECKING:
    from tilelang_mlir.passes.remarks import Remark

STAGES = ("tl", "laid_out", "scheduled", "lowered")
Record = Callable[[str, Callable[[], str]], None]


def copy_module(module: ir.Module) -> ir.Module:
    """A copy that can be lowered in place: in the same context, unless that is another thread's."""
    if belongs_elsewhere(module.context):
        with shared_context():
            return ir.Module.parse(codegen.bytecode(module))
    with module.context, module.operation.location:
        copy = ir.Module.create()
        for op in module.body.operations:
            copy.body.append(op.operation.clone())
        for name in module.operation.attributes:
            attribute = name if isinstance(name, str) else name.name
            copy.operation.attributes[attribute] = module.operation.attributes[attribute]
        return copy


def lower_module(
    module: ir.Module, target: Target, options: CompileOptions, record: Record | None, until: str = "lowered"
) -> None:
    """Run the pass stages on a level-1 module, in place; `record(stage, text)` is called after each.

    The pass configurations travel as the module attribute `tl.pass_configs`, a dictionary that any pass may look into.
    """
    from tilelang_mlir.passes.pipelines import lower

    with module.context:
        if options.pass_configs:
            configs = {key: _attribute(value) for key, value in options.pass_configs.items()}
            module.operation.attributes["tl.pass_configs"] = ir.DictAttr.get(configs)
        lower(module, target, None, record, until)


def _attribute(value: object) -> ir.Attribute:
    if isinstance(value, bool):
        return ir.BoolAttr.get(value)
    if isinstance(value, int):
        return ir.IntegerAttr.get(ir.IntegerType.get_signless(64), value)
    if isinstance(value, float):
        return ir.FloatAttr.get_f64(value)
    return ir.StringAttr.get(str(value))


def stage_texts(
    module: ir.Module, target: Target, options: CompileOptions, wanted: Sequence[str] = STAGES
) -> dict[str, str]:
    """The text of the wanted stages; runs the passes on a copy, up to the last stage."""
    texts: dict[str, str] = {}

    def record(stage: str, text: Callable[[], str]) -> None:
        if stage in wanted:
            texts[stage] = text()

    lower_module(copy_module(module), target, options, record)
    return texts


def remarks_on(module: ir.Module, target: Target, options: CompileOptions) -> list[Remark]:
    """What the compiler leaves undone for a level-1 module; the module is left as it is."""
    from tilelang_mlir.passes.remarks import remarks

    copy = copy_module(module)
    with copy.context, ir.Location.unknown():
        lower_module(copy, target, options, None, until="laid_out")
        return remarks(copy, target)


def lower_program(
    module: ir.Module, target: Target, options: CompileOptions, timings: dict[str, float] | None = None
) -> tuple[LaunchPlan, ir.Module]:
    """The launch plan and level-4 module of a level-1 module's host function; the module is left as it is.

    `timings` receives the milliseconds of every stage.

    Raises:
        TileError: a pass rejects the program.
    """
    last = time.perf_counter()

    def record(stage: str, text: Callable[[], str]) -> None:
        nonlocal last
        now = time.perf_counter()
        if timings is not None:
            timings[stage] = (now - last) * 1e3
        _dump(plan.name, stage, text)
        last = time.perf_counter()

    copy = copy_module(module)
    with copy.context, collection.postponed():
        plan = build_plan(copy, out_idx=options.out_idx)
        lower_module(copy, target, options, record)
        return complete_plan(plan, copy), copy


def compile_module(module: ir.Module, target: Target, options: CompileOptions | None = None) -> Artifact:
    """Compile the host function of a level-1 module; the module is left as it is.

    A simulated target needs no LLVM: its artifact holds the lowered module only.

    Raises:
        TileError: a pass, LLVM or ptxas rejects the program.
    """
    options = options or CompileOptions()
    timings: dict[str, float] = {}
    plan, lowered = lower_program(module, target, options, timings)
    with lowered.context:
        return _generate(lowered, target, options, plan, timings)


def _generate(
    lowered: ir.Module, target: Target, options: CompileOptions, plan: LaunchPlan, timings: dict[str, float]
) -> Artifact:
    artifact = Artifact(plan.name, str(target), plan, codegen.bytecode(lowered), timings=timings,
                        metadata={"options": options.describe()})
    if not target.simulated:
        job = codegen.submit(artifact.lowered, target.arch, options.codegen)
        prepare_context()  # for the next kernel, while the worker is busy with this one
        code = codegen.finish(job, lowered)
        artifact.assembly, artifact.binary = code.assembly, code.binary
        artifact.resources, artifact.log = code.resources, code.log
        timings.update(code.timings)
        _dump(plan.name, "ptx", lambda: code.assembly)
    return artifact


def _dump(name: str, stage: str, text: Callable[[], str]) -> None:
    folder = knobs.DUMP_DIR.get()
    if folder:
        number = (*STAGES, "ptx").index(stage) if stage in (*STAGES, "ptx") else len(STAGES)
        path = Path(folder) / name / f"{number}_{stage}.{'ptx' if stage == 'ptx' else 'mlir'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text())
