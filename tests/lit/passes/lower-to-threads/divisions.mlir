// What an integer is divided by is never zero: the iterations 61 to 63 read zeros, and LLVM would take a division by
// them for code that is not reached, and drop the guard of the store.
// RUN: tl-opt %s --target=sm_90a --stage=lowered | filecheck %s

// CHECK: %[[SAFE:.*]] = arith.maxui %{{.*}}, %{{.*}} : i32
// CHECK: arith.divsi %{{.*}}, %[[SAFE]] : i32
module {
  func.func @quotients(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>) attributes {
    tl.params = [{name = "a", kind = "tensor", dtype = "int32"}, {name = "b", kind = "tensor", dtype = "int32"}]
  } {
    %A = "tl.tensor"(%a) {shape = array<i64: 61>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> memref<61xi32, #tl.scope<"global">>
    %B = "tl.tensor"(%b) {shape = array<i64: 61>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> memref<61xi32, #tl.scope<"global">>
    %one = arith.constant 1 : i32
    "tl.launch"(%one) ({
    ^bb0(%x: i32):
      "tl.parallel"() ({
      ^bb0(%i: i32):
        %ii = arith.index_cast %i : i32 to index
        %n = memref.load %A[%ii] : memref<61xi32, #tl.scope<"global">>
        %d = memref.load %B[%ii] : memref<61xi32, #tl.scope<"global">>
        %q = arith.divsi %n, %d : i32
        memref.store %q, %A[%ii] : memref<61xi32, #tl.scope<"global">>
      }) {extents = array<i64: 61>} : () -> ()
    }) {threads = array<i32: 64, 1, 1>, name = "quotients_kernel"} : (i32) -> ()
    return
  }
}
