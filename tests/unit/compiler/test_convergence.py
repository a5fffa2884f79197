"""What threads execute together stays one call between branches on the thread index."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tests.unit.simulator import programs
from tilelang_mlir.compiler import device_ir
from tilelang_mlir.compiler.codegen import generate
from tilelang_mlir.compiler.convergence import mark_convergent
from tilelang_mlir.compiler.options import CodegenOptions


def test_a_grid_barrier_between_two_branches_of_one_condition_is_not_copied_into_them() -> None:
    """Lanes of one warp would meet at two barriers, and wait for ever."""

    @T.prim_func
    def main(A: T.Tensor((4, 9), "int32"), B: T.Tensor((4, 9), "int32")):
        with T.Kernel(4, threads=128) as block:
            tx = T.get_thread_binding()
            total = T.alloc_var("int32", init=0)
            if tx < 9:
                A[block, tx] = tx + block
            T.sync_grid()
            if tx < 9:
                for other in T.serial(4):
                    total += A[other, tx]
                B[block, tx] = total

    ptx = tilelang.compile(main, target="cuda:sm_90a").get_kernel_source()
    assert ptx.count("atom.add.acq_rel.gpu.global.u32") == 1


PTX = """
.visible .func (.param .b32 r) total(.param .b32 x)
{
 .reg .b32 %a;
 ld.param.b32 %a, [x];
 redux.sync.add.s32 %a, %a, -1;
 st.param.b32 [r], %a;
 ret;
}
"""
LLVM = """
declare i32 @llvm.nvvm.redux.sync.add(i32, i32)
define i32 @total(i32 %x) {
  %a = call i32 @llvm.nvvm.redux.sync.add(i32 %x, i32 -1)
  ret i32 %a
}
"""


@pytest.mark.parametrize(("source", "text"), [(PTX, "total, (param0)"), (LLVM, "redux.sync.add")])
def test_a_function_that_the_program_brings_is_not_copied_into_branches(source: str, text: str) -> None:
    """It may hold a barrier or a shuffle."""
    @T.prim_func
    def main(A: T.Tensor((32,), "int32"), B: T.Tensor((32,), "int32")):
        with T.Kernel(1, threads=32):
            T.import_source(source)
            tx = T.get_thread_binding()
            own = T.alloc_var("int32", init=1)
            if tx < 9:
                own = A[tx]
            own = T.call_extern("int32", "total", own)
            if tx < 9:
                B[tx] = own

    ptx = tilelang.compile(main, target="cuda:sm_90a").get_kernel_source()
    assert ptx.replace(PTX, "").count(text) == 1


def _together(assembly: str) -> Counter[str]:
    """How many there are of each instruction that threads execute together."""
    names = (
        r"bar|barrier|shfl|vote|match|redux|elect|\w*mma|[\w.]*matrix|setmaxnreg|tcgen05|activemask|mbarrier|s_barrier|"
        r"v_mfma|ds_[bs]\w+"
    )
    found = re.findall(rf"^[\s{{]*(?:@!?%\w+ )?((?:{names})[\w.:]*)", assembly, re.MULTILINE)
    return Counter(name.removesuffix("_e32").removesuffix("_e64") for name in found)


def _gemm() -> Any:
    return programs.gemm((100, 64, 192), (64, 64, 64), 2, 128)


def _attention() -> Any:
    return programs.attention(1, 128, 64, (64, 64), 128)


@pytest.mark.parametrize(("make", "target", "expected"), [
    (_gemm, "cuda:sm_80", "mma.sync"), (_gemm, "cuda:sm_90a", "mbarrier.try_wait"),
    (_gemm, "hip:gfx942", "v_mfma"), (_attention, "cuda:sm_90a", "vote.sync"),
])  # fmt: skip
def test_llvm_adds_none_of_what_threads_execute_together(make: Any, target: str, expected: str) -> None:
    """As many as without its passes: none in two arms, none for one arm only."""
    kernel = tilelang.compile(make(), target=target)
    arch, text = kernel.target.arch, "amdgcn" if target.startswith("hip") else "ptx"
    module = device_ir.parse(kernel.artifact.lowered)
    before, after = (
        _together(generate(module, arch, CodegenOptions(opt_level=level), (text,)).assembly) for level in (0, 3)
    )
    assert before == after
    assert any(name.startswith(expected) for name in after), after


def test_assembly_and_products_are_marked_and_what_single_threads_do_is_not() -> None:
    product = "  %3 = call { float, float } @llvm.nvvm.mma.m16n8k16.row.col.f32.f32(<2 x half> %1, float %2)"
    barrier = '  call void asm sideeffect "bar.sync 0;", ""() #5, !dbg !7'
    single = '  %4 = call i32 asm "cvt.rn.f16x2.f32 $0, $1, $2;", "=r,f,f"(float %1, float %2)'
    into_lds = "  call void @llvm.amdgcn.raw.ptr.buffer.load.lds(ptr addrspace(8) %1, ptr addrspace(3) %6, i32 4)"
    other = "  %6 = call float @llvm.exp2.f32(float %1)"
    declared = "declare { float, float } @llvm.nvvm.mma.m16n8k16.row.col.f32.f32(<2 x half>, float) #7"
    function = "declare i32 @total(i32)"
    text = mark_convergent("\n".join((product, barrier, single, into_lds, other, declared, function)))
    assert text.split("\n") == [
        f"{product} convergent",
        '  call void asm sideeffect "bar.sync 0;", ""() convergent #5, !dbg !7',
        single,
        f"{into_lds} convergent",
        other,
        declared,
        f"{function} convergent",
    ]
