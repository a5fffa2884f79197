"""What threads execute together stays one call between branches on the thread index."""

from __future__ import annotations

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.compiler.convergence import mark_convergent


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


def test_assembly_and_products_are_marked_and_what_single_threads_do_is_not() -> None:
    product = "  %3 = call { float, float } @llvm.nvvm.mma.m16n8k16.row.col.f32.f32(<2 x half> %1, float %2)"
    barrier = '  call void asm sideeffect "bar.sync 0;", ""() #5, !dbg !7'
    single = '  %4 = call i32 asm "cvt.rn.f16x2.f32 $0, $1, $2;", "=r,f,f"(float %1, float %2)'
    declared = "declare { float, float } @llvm.nvvm.mma.m16n8k16.row.col.f32.f32(<2 x half>, float) #7"
    text = mark_convergent("\n".join((product, barrier, single, declared)))
    assert text.split("\n") == [
        f"{product} convergent",
        '  call void asm sideeffect "bar.sync 0;", ""() convergent #5, !dbg !7',
        single,
        declared,
    ]
