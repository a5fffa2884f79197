// Accesses of words: one vector access, in a branch on the predicate.
// RUN: tl-opt %s --target=sm_80 --lower-to-threads --canonicalize | filecheck %s

// CHECK-LABEL: llvm.func @words_kernel(
// CHECK: %[[L:[0-9]+]] = scf.if %{{[a-z0-9]+}} -> (vector<4xi32>) {
// CHECK-NEXT: %[[V:[0-9]+]] = llvm.load %{{[0-9]+}} {alignment = 16 : i64} : !llvm.ptr<1> -> vector<4xi32>
// CHECK-NEXT: scf.yield %[[V]]
// CHECK-NEXT: } else {
// CHECK: llvm.store %{{[0-9]+}}, %{{[0-9]+}} {alignment = 16 : i64} : vector<4xi32>, !llvm.ptr<1>
func.func @words(%x: !llvm.ptr<1>, %one: i32) {
  %g = "tl.tensor"(%x) {shape = array<i64: 64>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> memref<64xf32, #tl.scope<"global">>
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %four = arith.constant 4 : i32
    %p = arith.cmpi slt, %bx, %four : i32
    %i = arith.muli %bx, %four : i32
    %w:4 = "tl.load_words"(%g, %p, %i) : (memref<64xf32, #tl.scope<"global">>, i1, i32) -> (i32, i32, i32, i32)
    "tl.store_words"(%g, %p, %i, %w#3, %w#2, %w#1, %w#0) : (memref<64xf32, #tl.scope<"global">>, i1, i32, i32, i32, i32, i32) -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
