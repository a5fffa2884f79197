// A thread runs 4096 iterations of a few operations: a loop, not a copy of the body for each.
// RUN: tl-opt %s --target=sm_90a --lower-to-threads | filecheck %s

// CHECK: scf.for %[[I:.*]] = %{{.*}} to %{{.*}} step
// CHECK-COUNT-1: llvm.load
// CHECK: arith.addf
// CHECK-NOT: llvm.load
func.func @long(%p: !llvm.ptr<1>, %n: i32) attributes {tl.params = [{dtype = "float32", kind = "tensor", name = "A"}, {dtype = "int32", kind = "symbol", name = "n"}]} {
  %A = "tl.tensor"(%p) {shape = array<i64: 131072>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> memref<131072xf32, #tl.scope<"global">>
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    "tl.parallel"() ({
    ^bb0(%i: i32):
      %at = arith.index_cast %i : i32 to index
      %v = memref.load %A[%at] : memref<131072xf32, #tl.scope<"global">>
      %w = arith.addf %v, %v : f32
      memref.store %w, %A[%at] : memref<131072xf32, #tl.scope<"global">>
    }) {extents = array<i64: 131072>, layout = #tl.fragment<array<i64: 131072>, array<i64: 32, 0, 1>, array<i64: 4096, 0, 32>>} : () -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
