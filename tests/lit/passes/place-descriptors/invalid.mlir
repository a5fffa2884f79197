// All threads describe the same view.
// RUN: not tl-opt %s --target=sm_90a --place-descriptors 2>&1 | filecheck %s
// CHECK: T.make_tensor_descriptor with a place or size that differs between threads
// CHECK: they follow from block indices and from tensors read at such indices
!g = memref<100x64xf16, #tl.scope<"global">>
!v = memref<?x64xf16, strided<[64, 1]>, #tl.scope<"global">>

func.func @differs(%n: i32, %p: !llvm.ptr<1>) {
  %g = "tl.tensor"(%p) {shape = array<i64: 100, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !g
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    %zero = arith.constant 0 : i32
    %t = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %v = "tl.view"(%g, %x, %zero, %t) {id = 0, shape = array<i64: -1, 64>, strides = array<i64: 64, 1>} : (!g, i32, i32, i32) -> !v
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
