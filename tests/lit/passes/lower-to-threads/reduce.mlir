// RUN: tl-opt %s --lower-to-threads --canonicalize --cse --target=sm_80 | filecheck %s

!f = memref<8x64xf32, #tl.scope<"fragment">>
!g = memref<8xf32, #tl.scope<"global">>
!r = memref<8xf32, #tl.scope<"fragment">>
#f = #tl.fragment<array<i64: 8, 64>, array<i64: 4, 1, 2, 8, 0, 1>, array<i64: 2, 1, 1, 8, 1, 8>>
#r = #tl.fragment<array<i64: 8>, array<i64: 4, -1, 1, 8, 0, 1>, array<i64>>

// Four threads hold a row: registers first, then two exchanges; one of the four stores.
// CHECK-LABEL: llvm.func @row_sums_kernel
// CHECK: %[[LANE:.*]] = arith.andi %{{.*}}, %c3_i32
// CHECK: nvvm.shfl.sync bfly %{{.*}}, %{{.*}}, %c1_i32, %{{.*}} : f32 -> f32
// CHECK: arith.maxnumf
// CHECK: nvvm.shfl.sync bfly %{{.*}}, %{{.*}}, %c2_i32, %{{.*}} : f32 -> f32
// CHECK: arith.maxnumf
// CHECK-NOT: nvvm.shfl
// CHECK: %[[FIRST:.*]] = arith.cmpi eq, %[[LANE]], %c0_i32
// CHECK: scf.if %[[FIRST]] {
// CHECK: llvm.store
func.func @row_sums(%a: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float32", kind = "tensor", name = "A"}]} {
  %one = arith.constant 1 : i32
  %z = arith.constant 1.0 : f32
  %A = "tl.tensor"(%a) {shape = array<i64: 8>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> !g
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %f = "tl.alloc"() {layout = #f} : () -> !f
    %r = "tl.alloc"() {layout = #r} : () -> !r
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      memref.store %z, %f[%ii, %jj] : !f
    }) {extents = array<i64: 8, 64>, layout = #f} : () -> ()
    "tl.reduce"(%f, %r) {clear = true, dim = 1 : i32, kind = "max"} : (!f, !r) -> ()
    "tl.parallel"() ({
    ^bb0(%i: i32):
      %ii = arith.index_cast %i : i32 to index
      %x = memref.load %r[%ii] : !r
      memref.store %x, %A[%ii] : !g
    }) {extents = array<i64: 8>, layout = #r} : () -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
