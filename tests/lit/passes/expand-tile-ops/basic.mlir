// A copy and a fill become loops over their elements, with the layouts of the fragment.
// RUN: tl-opt %s --target=sm_80 --legalize-tile-ops --layout-inference --expand-tile-ops | filecheck %s

// CHECK: %[[F:.*]] = "tl.alloc"() {layout = #tl.fragment<[[L:.*]]>} : () -> memref<64x32xf16, #tl.scope<"fragment">>
// CHECK: "tl.parallel"()
// CHECK: memref.store %{{.*}}, %[[F]]
// CHECK: }) {extents = array<i64: 64, 32>, layout = #tl.fragment<[[L]]>}
// CHECK: "tl.parallel"()
// CHECK: %[[V:.*]] = memref.load %[[F]]
// CHECK: memref.store %[[V]]
// CHECK-NOT: tl.copy

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
