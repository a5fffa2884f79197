// A barrier of all CTAs: a counter in the module, a cooperative launch, and no promise that tensors keep their values.
// RUN: tl-opt %s --target=sm_80 --lower-to-threads | filecheck %s
// RUN: tl-opt %s --stage=lowered --emit=ptx --target=sm_80 | filecheck %s --check-prefix=PTX

// CHECK: llvm.func @meet_kernel(
// CHECK-NOT: noalias
// CHECK-SAME: tl.cooperative
// CHECK: nvvm.inline_ptx
// CHECK-SAME: tl.instr = "grid.sync"
// CHECK: llvm.mlir.global external @tilelang_grid_barrier(0 : i32) {addr_space = 1 : i32}

// PTX: .visible .global .align 4 .u32 tilelang_grid_barrier
// PTX: bar.sync 0;
// PTX: atom.add.acq_rel.gpu.global.u32
// PTX: ld.acquire.gpu.global.u32
// PTX: bar.sync 0;
func.func @meet(%p: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float32", kind = "tensor", name = "A"}]} {
  %two = arith.constant 2 : i32
  %A = "tl.tensor"(%p) {shape = array<i64: 64>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> memref<64xf32, #tl.scope<"global">>
  "tl.launch"(%two) ({
  ^bb0(%bx: i32):
    "tl.sync_grid"() : () -> ()
  }) {threads = array<i32: 64, 1, 1>} : (i32) -> ()
  return
}
