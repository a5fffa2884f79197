// RUN: tl-opt %s --lower-to-threads --canonicalize --cse --target=sm_80 | filecheck %s

!f = memref<8x64xf32, #tl.scope<"fragment">>
!g = memref<8x64xf32, #tl.scope<"global">>
#f = #tl.fragment<array<i64: 8, 64>, array<i64: 4, 1, 2, 8, 0, 1>, array<i64: 2, 1, 1, 8, 1, 8>>

// Two neighbours in registers, four lanes per row, then eight times as much: a total of the lanes for what follows.
// CHECK-LABEL: llvm.func @running_sums_kernel
// CHECK: %[[PLACE:.*]] = arith.andi %{{.*}}, %c3_i32
// CHECK: arith.addf
// CHECK: %[[ONE:.*]] = nvvm.shfl.sync up %{{.*}}, %{{.*}}, %c1_i32, %{{.*}} : f32 -> f32
// CHECK: %[[SUM:.*]] = arith.addf %[[ONE]]
// CHECK: %[[HAS:.*]] = arith.cmpi uge, %[[PLACE]], %c1_i32
// CHECK: arith.select %[[HAS]], %[[SUM]]
// CHECK: nvvm.shfl.sync up %{{.*}}, %{{.*}}, %c2_i32, %{{.*}} : f32 -> f32
// CHECK: nvvm.shfl.sync up %{{.*}}, %{{.*}}, %c1_i32, %{{.*}} : f32 -> f32
// CHECK: nvvm.shfl.sync idx
// CHECK-NOT: nvvm.barrier
// CHECK: llvm.return
func.func @running_sums(%a: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float32", kind = "tensor", name = "A"}]} {
  %one = arith.constant 1 : i32
  %z = arith.constant 1.0 : f32
  %A = "tl.tensor"(%a) {shape = array<i64: 8, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !g
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %f = "tl.alloc"() {layout = #f} : () -> !f
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      %x = memref.load %A[%ii, %jj] : !g
      memref.store %x, %f[%ii, %jj] : !f
    }) {extents = array<i64: 8, 64>, layout = #f} : () -> ()
    "tl.scan"(%f, %f) {dim = 1 : i32, kind = "sum", reverse = false} : (!f, !f) -> ()
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      %x = memref.load %f[%ii, %jj] : !f
      memref.store %x, %A[%ii, %jj] : !g
    }) {extents = array<i64: 8, 64>, layout = #f} : () -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
