// A thread runs 32768 iterations, 16 at a time: a loop, not a copy of the body for each.
// RUN: tl-opt %s --target=sm_90a --lower-to-threads | filecheck %s

// CHECK: scf.for %[[I:.*]] = %{{.*}} to %{{.*}} step
// CHECK-COUNT-16: llvm.load
// CHECK-NOT: llvm.load
func.func @long(%p: !llvm.ptr<1>, %n: i32) attributes {tl.params = [{dtype = "float32", kind = "tensor", name = "A"}, {dtype = "int32", kind = "symbol", name = "n"}]} {
  %A = "tl.tensor"(%p) {shape = array<i64: 1048576>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> memref<1048576xf32, #tl.scope<"global">>
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    "tl.parallel"() ({
    ^bb0(%i: i32):
      %at = arith.index_cast %i : i32 to index
      %v = memref.load %A[%at] : memref<1048576xf32, #tl.scope<"global">>
      %w = arith.addf %v, %v : f32
      memref.store %w, %A[%at] : memref<1048576xf32, #tl.scope<"global">>
    }) {extents = array<i64: 1048576>, layout = #tl.fragment<array<i64: 1048576>, array<i64: 32, 0, 1>, array<i64: 32768, 0, 32>>} : () -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
