// A loop with two stages loads the next tile while it uses this one: two versions, asynchronous copies, a wait.
// RUN: tl-opt %s --target=sm_80 --legalize-tile-ops --layout-inference --pipeline-loops | filecheck %s

// CHECK: "tl.alloc"() {{.*}} : () -> memref<2x16x32xf16, #tl.scope<"shared">>
// CHECK: "tl.copy"(%{{.*}}, %{{.*}}) {async}
// CHECK: "tl.commit_group"
// CHECK: scf.for
// CHECK: "tl.wait_group"
// CHECK: "tl.copy"(%{{.*}}, %{{.*}}) {async}
// CHECK: "tl.commit_group"
// CHECK: "tl.copy"
// CHECK-NOT: tl.pipeline

func.func @f(%p: !llvm.ptr<1>, %n: i32) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "int32", kind = "symbol", name = "n"}]} {
  %A = "tl.tensor"(%p) {shape = array<i64: 64, 32>, strides = array<i64: 32, 1>} : (!llvm.ptr<1>) -> memref<64x32xf16, #tl.scope<"global">>
  "tl.launch"(%n) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> memref<16x32xf16, #tl.scope<"shared">>
    %f = "tl.alloc"() : () -> memref<16x32xf16, #tl.scope<"fragment">>
    %c0 = arith.constant 0 : i32
    %c1 = arith.constant 1 : i32
    %c4 = arith.constant 4 : i32
    %c16 = arith.constant 16 : i32
    scf.for %k = %c0 to %c4 step %c1 : i32 {
      %r = arith.muli %k, %c16 : i32
      %t = "tl.slice"(%A, %r, %c0) {sizes = array<i64: 16, 32>} : (memref<64x32xf16, #tl.scope<"global">>, i32, i32) -> memref<16x32xf16, strided<[32, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%t, %s) : (memref<16x32xf16, strided<[32, 1], offset: ?>, #tl.scope<"global">>, memref<16x32xf16, #tl.scope<"shared">>) -> ()
      "tl.copy"(%s, %f) : (memref<16x32xf16, #tl.scope<"shared">>, memref<16x32xf16, #tl.scope<"fragment">>) -> ()
    } {tl.pipeline = {num_stages = 2 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
