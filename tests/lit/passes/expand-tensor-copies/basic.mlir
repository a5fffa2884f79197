// A fill and a copy to device memory go through fragments of 64 columns; a copy to a fragment stays as it is.
// RUN: tl-opt %s --target=sm_100a --layout-inference --expand-tensor-copies | filecheck %s

// CHECK: %[[T:.*]] = "tl.alloc"() {layout = #tl.tmem<
// CHECK: %[[F:.*]] = "tl.alloc"() {layout = #tl.fragment<array<i64: 128, 256>, array<i64: 32, 0, 1, 4, 0, 32>, array<i64: 256, 1, 1>>}
// CHECK: %[[S:.*]] = "tl.alloc"() {{.*}} -> memref<128x64xf32, #tl.scope<"fragment">>
// CHECK: "tl.fill"(%[[S]]
// CHECK-COUNT-4: "tl.copy"(%[[S]], %{{.*}})
// CHECK: "tl.copy"(%[[T]], %[[F]])
// CHECK-COUNT-8: "tl.copy"
func.func @copies(%p: !llvm.ptr<1>, %n: i32) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "int32", kind = "symbol", name = "n"}]} {
  %A = "tl.tensor"(%p) {shape = array<i64: 128, 256>, strides = array<i64: 256, 1>} : (!llvm.ptr<1>) -> memref<128x256xf16, #tl.scope<"global">>
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    %one = arith.constant 1.0 : f32
    %t = "tl.alloc"() : () -> memref<128x256xf32, #tl.scope<"tmem">>
    %f = "tl.alloc"() : () -> memref<128x256xf32, #tl.scope<"fragment">>
    "tl.fill"(%t, %one) : (memref<128x256xf32, #tl.scope<"tmem">>, f32) -> ()
    "tl.copy"(%t, %f) : (memref<128x256xf32, #tl.scope<"tmem">>, memref<128x256xf32, #tl.scope<"fragment">>) -> ()
    "tl.copy"(%t, %A) : (memref<128x256xf32, #tl.scope<"tmem">>, memref<128x256xf16, #tl.scope<"global">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
