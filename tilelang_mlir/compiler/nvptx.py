"""LLVM IR text to PTX through llvmlite's NVPTX back end.

LLVM aborts the process when an instruction does not exist on the architecture, so this runs in worker processes only.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Sequence
from typing import Any

import llvmlite.binding as llvm

from tilelang_mlir.compiler.convergence import mark_convergent
from tilelang_mlir.compiler.conversion import Conversion, MathCalls
from tilelang_mlir.compiler.device_ir import Clock
from tilelang_mlir.compiler.float_literals import rewrite_float_literals
from tilelang_mlir.compiler.llvm_passes import needs_everything, run_handful
from tilelang_mlir.compiler.llvm_setup import switched_on
from tilelang_mlir.compiler.negated_extrema import keep_negations
from tilelang_mlir.compiler.nvptx_prepare import order_atomics
from tilelang_mlir.compiler.packed_conversions import spell_packs
from tilelang_mlir.compiler.prints import print_by_vprintf
from tilelang_mlir.compiler.toolchain.arch import ptx_version
from tilelang_mlir.errors import CompileError
from tilelang_mlir.target import Feature, targets_with

TRIPLE = "nvptx64-nvidia-cuda"
# PTX ISA 8.7, sections 9.7.3.13 (sqrt), 9.7.3.15 (rsqrt), 9.7.3.18-22 (sin, cos, lg2, ex2, tanh). ex2 flushes subnormal
# results to zero, which saves the scaling that full range costs; the others keep the full range. Full-range ex2 and
# lg2 serve without the flag too: they are what the C library versions compile to.
_MATH = MathCalls(
    approximate={
        "math.exp2": "llvm.nvvm.ex2.approx.ftz.f",
        "math.log2": "llvm.nvvm.lg2.approx.f",
        "math.sin": "llvm.nvvm.sin.approx.f",
        "math.cos": "llvm.nvvm.cos.approx.f",
        "math.rsqrt": "llvm.nvvm.rsqrt.approx.f",
        "math.sqrt": "llvm.nvvm.sqrt.approx.f",
        "math.tanh": "llvm.tanh.f32",
    },
    accurate={"math.exp2": "llvm.exp2.f32", "math.log2": "llvm.nvvm.lg2.approx.f"},
)
# ptxas numbers values itself, so LLVM does where it matters only: attention on wgmma is up to 1.5 % slower without it
# (five sizes on an H200), kernels on mma.sync are the same (0.997 to 1.007, eleven of them).
_NUMBERED = ("wgmma.", "tcgen05.mma")
_LONG = 1_000_000  # characters of LLVM IR: five times those of a long attention kernel
# An intrinsic that this LLVM does not know stays in the PTX as a call of an undefined function.
_UNSELECTED = re.compile(r"\bllvm\.[\w.]+")


@functools.lru_cache(maxsize=16)
def target_machine(arch: str, level: int) -> Any:
    """The llvmlite target machine of an architecture such as `sm_90a` that makes code at a level of 0 to 3."""
    major, minor = ptx_version(arch)
    with _arithmetic(arch):
        return llvm.Target.from_triple(TRIPLE).create_target_machine(
            cpu=arch, features=f"+ptx{major}{minor}", opt=level, codemodel="default"
        )


def _arithmetic(arch: str) -> contextlib.AbstractContextManager[None]:
    """What an architecture computes with, while its machine is made and whenever it is used.

    PTX has arithmetic on pairs of float32 from sm_100 on. Where machine code has none, ptxas takes it apart, and moves
    what loops carry into pairs and out of them: a fifth of the instructions of a loop around mma.sync.
    """
    return switched_on(*(() if arch in targets_with(Feature.F32_MATH) else ("nvptx-no-f32x2",)))


def conversion(arch: str, opt_level: int = 3) -> Conversion:
    """How level 4 becomes LLVM IR for NVPTX."""
    layout = str(target_machine(arch, 3 if opt_level else 0).target_data)
    prepare = (order_atomics, print_by_vprintf)
    return Conversion(TRIPLE, layout, ("llvm.", "nvvm."), _MATH, "convert-nvvm-to-llvm", prepare)


def _optimise(module: Any, machine: Any, opt_level: int, *, thorough: bool, numbering: bool, long: bool) -> None:
    """The passes that matter. Lowering has folded addresses, unrolled and vectorised already, and ptxas hoists and
    schedules: with a handful of passes kernels run as fast as with all (copies, normalisations, products and attention
    on an H200), for a sixth of the time."""
    options = llvm.create_pipeline_tuning_options(opt_level)
    options.loop_vectorization = False  # threads are scalar, and its cost model has assertions that fail
    builder = llvm.create_pass_builder(machine, options)
    if thorough:
        builder.getModulePassManager().run(module, builder)
        return
    run_handful(module, builder, numbering=numbering, long=long)


def _link(module: Any, text: str) -> None:
    """Add a library's functions, to be inlined where they are called."""
    library = llvm.parse_assembly(mark_convergent(text))
    library.triple, library.data_layout = module.triple, module.data_layout
    defined = [function.name for function in library.functions if not function.is_declaration]
    module.link_in(library)
    for name in defined:
        function = module.get_function(name)
        function.linkage = "internal"
        function.add_function_attribute("alwaysinline")
        function.add_function_attribute("convergent")


def emit_ptx(llvm_ir: str, arch: str, opt_level: int, lap: Clock, libraries: Sequence[str] = ()) -> str:
    """Optimise LLVM IR text and emit PTX. `libraries` are modules (text) whose functions the IR calls.

    Raises:
        CompileError: the IR does not verify, or names an intrinsic this LLVM cannot select.
    """
    thorough = bool(libraries) or needs_everything(llvm_ir)
    numbering = thorough or any(name in llvm_ir for name in _NUMBERED)
    # Level 3 numbers values, too. Instruction selection optimises when the passes do: without it, copies between
    # products serialise them.
    machine = target_machine(arch, (3 if numbering else 2) if opt_level else 0)
    with _arithmetic(arch):
        module = _parsed(llvm_ir, machine, libraries)
        lap("llvm parse")
        if opt_level:
            long = len(llvm_ir) > _LONG
            _optimise(module, machine, opt_level, thorough=thorough, numbering=numbering, long=long)
        lap("llvm opt")
        ptx = str(machine.emit_assembly(module))
        lap("llvm emit")
    unselected = sorted(set(_UNSELECTED.findall(ptx))) if "llvm." in ptx else []
    if unselected:
        raise CompileError(f"this LLVM cannot select {', '.join(unselected)}")
    return spell_packs(keep_negations(ptx))


def _parsed(llvm_ir: str, machine: Any, libraries: Sequence[str]) -> Any:
    """LLVM IR text as a module, with its libraries."""
    try:
        module = llvm.parse_assembly(mark_convergent(rewrite_float_literals(llvm_ir)))
        module.triple, module.data_layout = TRIPLE, str(machine.target_data)
        for text in libraries:
            _link(module, text)
        module.verify()
    except RuntimeError as error:
        raise CompileError(f"LLVM rejected the module: {error}") from error
    return module
