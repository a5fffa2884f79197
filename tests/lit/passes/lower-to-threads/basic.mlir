// The program of one thread: no tile op is left, and the result passes the spec of its level.
// RUN: tl-opt %s --target=sm_80 --stage=lowered --check-level=lowered | filecheck %s

// CHECK: gpu.module @kernels
// CHECK: llvm.func @{{.*}}(%{{.*}}: !llvm.ptr<1>
// CHECK-SAME: nvvm.reqntid = array<i32: 128, 1, 1>
// CHECK: nvvm.read.ptx.sreg.tid.x
// CHECK: llvm.store %{{.*}} : {{.*}}, !llvm.ptr<1>
// CHECK-NOT: "tl.

func.func @f(%p: !llvm.ptr<1>, %n: i32) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "int32", kind = "symbol", name = "n"}]} {
  %A = "tl.tensor"(%p) {shape = array<i64: 64, 32>, strides = array<i64: 32, 1>} : (!llvm.ptr<1>) -> memref<64x32xf16, #tl.scope<"global">>
  "tl.launch"(%n) ({
  ^bb0(%b: i32):
    %f = "tl.alloc"() : () -> memref<64x32xf16, #tl.scope<"fragment">>
    %z = arith.constant 0.0 : f16
    "tl.fill"(%f, %z) : (memref<64x32xf16, #tl.scope<"fragment">>, f16) -> ()
    "tl.copy"(%f, %A) : (memref<64x32xf16, #tl.scope<"fragment">>, memref<64x32xf16, #tl.scope<"global">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
