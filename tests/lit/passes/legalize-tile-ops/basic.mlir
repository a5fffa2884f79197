// A reduction of a shared tile goes through fragments.
// RUN: tl-opt %s --target=sm_80 --legalize-tile-ops | filecheck %s

// CHECK: %[[S:.*]] = "tl.alloc"() : () -> memref<64x32xf32, #tl.scope<"shared">>
// CHECK: %[[F:.*]] = "tl.alloc"() : () -> memref<64x32xf32, #tl.scope<"fragment">>
// CHECK: "tl.copy"(%[[S]], %[[F]])
// CHECK: "tl.reduce"(%[[F]],

func.func @f(%p: !llvm.ptr<1>, %n: i32) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "int32", kind = "symbol", name = "n"}]} {
  %A = "tl.tensor"(%p) {shape = array<i64: 64, 32>, strides = array<i64: 32, 1>} : (!llvm.ptr<1>) -> memref<64x32xf16, #tl.scope<"global">>
  "tl.launch"(%n) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> memref<64x32xf32, #tl.scope<"shared">>
    %r = "tl.alloc"() : () -> memref<64xf32, #tl.scope<"fragment">>
    "tl.copy"(%A, %s) : (memref<64x32xf16, #tl.scope<"global">>, memref<64x32xf32, #tl.scope<"shared">>) -> ()
    "tl.reduce"(%s, %r) {clear = true, dim = 1 : i32, kind = "sum"} : (memref<64x32xf32, #tl.scope<"shared">>, memref<64xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
