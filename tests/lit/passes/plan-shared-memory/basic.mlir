// Two tiles that are alive at the same time get different places.
// RUN: tl-opt %s --target=sm_80 --legalize-tile-ops --layout-inference --pipeline-loops --expand-tile-ops --plan-shared-memory | filecheck %s

// CHECK: "tl.alloc"() {{.*}}tl.offset = 0 : i64{{.*}} : () -> memref<64x32xf16, #tl.scope<"shared">>
// CHECK: "tl.alloc"() {{.*}}tl.offset = 4096 : i64{{.*}} : () -> memref<64x32xf16, #tl.scope<"shared">>

func.func @f(%p: !llvm.ptr<1>, %n: i32) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "int32", kind = "symbol", name = "n"}]} {
  %A = "tl.tensor"(%p) {shape = array<i64: 64, 32>, strides = array<i64: 32, 1>} : (!llvm.ptr<1>) -> memref<64x32xf16, #tl.scope<"global">>
  "tl.launch"(%n) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> memref<64x32xf16, #tl.scope<"shared">>
    %t = "tl.alloc"() : () -> memref<64x32xf16, #tl.scope<"shared">>
    %f = "tl.alloc"() : () -> memref<64x32xf16, #tl.scope<"fragment">>
    %g = "tl.alloc"() : () -> memref<64x32xf16, #tl.scope<"fragment">>
    "tl.copy"(%A, %s) : (memref<64x32xf16, #tl.scope<"global">>, memref<64x32xf16, #tl.scope<"shared">>) -> ()
    "tl.copy"(%A, %t) : (memref<64x32xf16, #tl.scope<"global">>, memref<64x32xf16, #tl.scope<"shared">>) -> ()
    "tl.copy"(%s, %f) : (memref<64x32xf16, #tl.scope<"shared">>, memref<64x32xf16, #tl.scope<"fragment">>) -> ()
    "tl.copy"(%t, %g) : (memref<64x32xf16, #tl.scope<"shared">>, memref<64x32xf16, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
