"""LLVM IR text to AMDGCN assembly and objects through llvmlite's AMDGPU back end.

LLVM aborts the process when an instruction does not exist on the architecture, so this runs in worker processes only.
"""

from __future__ import annotations

import functools
import re
from typing import Any

import llvmlite.binding as llvm

from tilelang_mlir.compiler.amdgcn_prepare import (
    expand_tanh,
    fence_waves,
    keep_product_loops,
    place_private_arrays,
    place_shared_memory,
    separate_loads_into_shared_memory,
    set_abi_version,
    test_for_equality,
)
from tilelang_mlir.compiler.amdgcn_unused import marked
from tilelang_mlir.compiler.convergence import mark_convergent
from tilelang_mlir.compiler.conversion import Conversion, MathCalls
from tilelang_mlir.compiler.device_ir import Clock
from tilelang_mlir.compiler.float_literals import rewrite_float_literals
from tilelang_mlir.compiler.llvm_passes import mark_arguments, run_handful
from tilelang_mlir.compiler.llvm_setup import initialise, switched_on
from tilelang_mlir.compiler.prints import print_by_printf
from tilelang_mlir.errors import CompileError
from tilelang_mlir.isa.amd import grid

TRIPLE = "amdgcn-amd-amdhsa"
_UNSELECTED = re.compile(r"\bllvm\.amdgcn\.[\w.]+")
# "AMD Instinct MI300" ISA, chapter 12 (VOP1): V_EXP_F32, V_LOG_F32, V_RSQ_F32, V_SQRT_F32 flush subnormals. sin and
# cos take their argument in revolutions, which LLVM's own expansion provides.
_MATH = MathCalls(
    approximate={
        "math.exp2": "llvm.amdgcn.exp2.f32",
        "math.log2": "llvm.amdgcn.log.f32",
        "math.sin": "llvm.sin.f32",
        "math.cos": "llvm.cos.f32",
        "math.rsqrt": "llvm.amdgcn.rsq.f32",
        "math.sqrt": "llvm.amdgcn.sqrt.f32",
    },
    accurate={"math.exp2": "llvm.exp2.f32", "math.log2": "llvm.log2.f32"},
)


# LLVM turns calls of printf into stores to the HIP runtime's buffer; the place for them comes from this function, which
# is otherwise part of the device libraries. The buffer is the hidden argument at byte 72 (LLVM, "User Guide for
# AMDGPU", code object V5 implicit arguments): bytes taken so far, its size, then the entries.
_PRINTF_ALLOC = """
declare ptr addrspace(4) @llvm.amdgcn.implicitarg.ptr()
define hidden ptr addrspace(1) @__printf_alloc(i32 %bytes) noinline {
  %arguments = call ptr addrspace(4) @llvm.amdgcn.implicitarg.ptr()
  %slot = getelementptr i8, ptr addrspace(4) %arguments, i64 72
  %buffer = load ptr addrspace(1), ptr addrspace(4) %slot, align 8
  %place = getelementptr i8, ptr addrspace(1) %buffer, i64 4
  %size = load i32, ptr addrspace(1) %place, align 4
  %first = load atomic i32, ptr addrspace(1) %buffer syncscope("agent") monotonic, align 4
  br label %try
try:
  %old = phi i32 [ %first, %0 ], [ %seen, %take ]
  %new = add i32 %old, %bytes
  %end = add i32 %new, 8
  %full = icmp ugt i32 %end, %size
  br i1 %full, label %none, label %take
take:
  %pair = cmpxchg ptr addrspace(1) %buffer, i32 %old, i32 %new syncscope("agent") monotonic monotonic
  %seen = extractvalue { i32, i1 } %pair, 0
  %won = extractvalue { i32, i1 } %pair, 1
  br i1 %won, label %done, label %try
done:
  %entries = getelementptr i8, ptr addrspace(1) %buffer, i64 8
  %offset = zext i32 %old to i64
  %entry = getelementptr i8, ptr addrspace(1) %entries, i64 %offset
  ret ptr addrspace(1) %entry
none:
  ret ptr addrspace(1) null
}
"""


_SCOPES = re.compile(r"= load [^\n]*ptr addrspace\(3\)[^\n]*?(, !alias\.scope !\d+, !noalias !\d+)")
_TRANSPOSED = re.compile(r"= call [^\n]*@llvm\.amdgcn\.ds\.read\.tr[^\n!]*\)(?= *(?:,|$))", re.MULTILINE)


# In the kernel's metadata: YAML in assembly, MessagePack in objects, where the number zero is a byte of its own.
SPILLS = re.compile(r"\.vgpr_spill_count: +[1-9]")
SPILLS_IN_CODE = re.compile(rb"\.vgpr_spill_count[^\0]")
# On gfx11: two 16-bit operands are put together by one `v_perm_b32`, and not by two moves of halves of registers.
_WHOLE_REGISTERS = "-real-true16"
_WMMA = "@llvm.amdgcn.wmma."
_PRODUCTS = ("@llvm.amdgcn.mfma.", _WMMA)
# A loop whose bound is known when it runs, and loads of packed integers, whose alignment LLVM finds out.
_COMPARED = re.compile(r"phi [^\n]*\n  %\d+ = icmp slt i\d+ %\d+, [^\n]*\n  br i1 ")
_PACKED = re.compile(r"load <\d+ x i\d+>, ptr addrspace\(3\)")


@functools.lru_cache(maxsize=16)
def target_machine(arch: str, level: int, features: str = "") -> Any:
    """The llvmlite target machine of an architecture such as `gfx942` that makes code at a level of 0 to 3."""
    initialise()
    return llvm.Target.from_triple(TRIPLE).create_target_machine(
        cpu=arch, features=features, opt=level, codemodel="default"
    )


def conversion(arch: str, opt_level: int = 3) -> Conversion:
    """How level 4 becomes LLVM IR for AMDGPU."""
    layout = str(target_machine(arch, 3 if opt_level else 0).target_data)
    return Conversion(
        TRIPLE, layout, ("llvm.", "rocdl."), _MATH, passes=f"convert-amdgpu-to-rocdl{{chipset={arch}}}",
        prepare=(
            place_shared_memory, place_private_arrays, separate_loads_into_shared_memory, expand_tanh,
            keep_product_loops, fence_waves, test_for_equality, set_abi_version, print_by_printf,
        ),  # fmt: skip
    )  # fmt: skip


def _scope_transposed_reads(llvm_ir: str) -> str:
    """Give transposing reads of LDS the alias scopes of plain ones (`separate_loads_into_shared_memory`).

    MLIR has no place for them on the intrinsic; a call takes them as any other access does.
    """
    found = _SCOPES.search(llvm_ir)
    return _TRANSPOSED.sub(rf"\g<0>{found[1]}", llvm_ir) if found else llvm_ir


def _parse(llvm_ir: str, machine: Any) -> Any:
    module = llvm.parse_assembly(llvm_ir)
    module.triple, module.data_layout = TRIPLE, str(machine.target_data)
    return module


# For kernels around matrix products:
# * Loops keep their accesses of memory: the search for what could stay in registers compares all with all, takes half
#   the time of LLVM's passes, and finds nothing.
# * Instructions stay in their block. LLVM moves products past a branch, to the block that uses the sums, and leaves the
#   reads of their operands behind: all of them are then in registers at once.
_FOR_PRODUCTS = ("disable-licm-promotion", "disable-machine-sink")


def _emit(module: Any, machine: Any, *, text: bool, code: bool) -> tuple[str, bytes]:
    """Assembly and object of a module, where asked for. Emission changes the module, so each needs its own."""
    other = llvm.parse_bitcode(module.as_bitcode()) if text and code else module
    object_code = bytes(machine.emit_object(module)) if code else b""
    return str(machine.emit_assembly(other)) if text else "", object_code


def _optimised(llvm_ir: str, machine: Any, opt_level: int, lap: Clock, *, few: bool) -> Any:
    """LLVM IR text as an optimised module: by the whole pipeline, or by a few passes."""
    try:
        module = _parse(mark_convergent(rewrite_float_literals(_scope_transposed_reads(llvm_ir))), machine)
        if f"@{grid.NAME}(" in llvm_ir:
            module.link_in(_parse(grid.DEFINITION, machine))
        module.verify()
    except RuntimeError as error:
        raise CompileError(f"LLVM rejected the module: {error}") from error
    lap("llvm parse")
    if opt_level:
        builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(opt_level))
        if few:
            run_handful(module, builder, numbering=False)
            mark_arguments(module, builder)
        else:
            builder.getModulePassManager().run(module, builder)
    lap("llvm opt")
    return module


def is_plain(llvm_ir: str) -> bool:
    """Whether a handful of passes makes the loops around products that the whole pipeline does: with WMMA they need
    3 % more instructions where they end at a variable, 5 % more where they take integers apart."""
    return _WMMA not in llvm_ir or not (_COMPARED.search(llvm_ir) or _PACKED.search(llvm_ir))


def emit_code(llvm_ir: str, arch: str, opt_level: int, lap: Clock, *, text: bool, code: bool) -> tuple[str, bytes]:
    """Optimise LLVM IR text; emit assembly, a relocatable object, or both (what is not asked for is empty).

    Raises:
        CompileError: the IR does not verify, or names an intrinsic this LLVM cannot select.
    """
    products = any(name in llvm_ir for name in _PRODUCTS)
    features = _WHOLE_REGISTERS if products else ""
    machine = target_machine(arch, 3 if opt_level else 0, features)
    if " @printf(" in llvm_ir:
        llvm_ir += _PRINTF_ALLOC
    brief = marked(llvm_ir) if opt_level and products and is_plain(llvm_ir) else None
    with switched_on(*(_FOR_PRODUCTS if products else ())):
        module = _optimised(brief or llvm_ir, machine, opt_level, lap, few=brief is not None)
        # Level 3 numbers values twice more and repeats the ends of blocks. Loops around products gain nothing by it; it
        # finds a way without spills now and then, where registers are short.
        quick = products and opt_level
        first = target_machine(arch, 2, features) if quick else machine
        copy = module.as_bitcode() if quick and brief is None else b""
        assembly, object_code = _emit(module, first, text=text, code=code)
        if quick and (SPILLS.search(assembly) or SPILLS_IN_CODE.search(object_code)):
            module = llvm.parse_bitcode(copy) if copy else _optimised(llvm_ir, machine, opt_level, lap, few=False)
            assembly, object_code = _emit(module, machine, text=text, code=code)
        lap("llvm emit")
    unselected = sorted(set(_UNSELECTED.findall(assembly)))
    if unselected:
        raise CompileError(f"this LLVM cannot select {', '.join(unselected)}")
    return assembly, object_code
