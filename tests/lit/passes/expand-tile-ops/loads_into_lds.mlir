// A program's asynchronous copy that loads into LDS cannot do is one by registers there; others stay.
// RUN: tl-opt %s --expand-tile-ops --target=gfx950 | filecheck %s
// RUN: tl-opt %s --expand-tile-ops --target=sm_80 | filecheck %s --check-prefix=WORDS

// CHECK-LABEL: func.func @f(
// CHECK: "tl.copy"({{.*}}) {async, explicit} : (memref<64x64xf16
// CHECK-NOT: tl.copy
// CHECK: "tl.parallel"
// WORDS-COUNT-2: "tl.copy"({{.*}}) {async, explicit}
func.func @f(%a: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}]} {
  %A = "tl.tensor"(%a) {shape = array<i64: 64, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<64x64xf16, #tl.scope<"global">>
  %c1 = arith.constant 1 : i32
  "tl.launch"(%c1) ({
  ^bb0(%x: i32):
    %c0 = arith.constant 0 : i32
    %s = "tl.alloc"() {layout = #tl.smem<array<i64: 64, 64>, array<i64: 64, 1, 1, 1, 64, 0, 1, 64>, array<i64: 0, 0, 0>>} : () -> memref<64x64xf16, #tl.scope<"shared">>
    %t = "tl.alloc"() {layout = #tl.smem<array<i64: 3, 16>, array<i64: 16, 1, 1, 1, 3, 0, 1, 16>, array<i64: 0, 0, 0>>} : () -> memref<3x16xf16, #tl.scope<"shared">>
    "tl.copy"(%A, %s) {async, explicit} : (memref<64x64xf16, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>) -> ()
    %part = "tl.slice"(%A, %c0, %c0) {sizes = array<i64: 3, 16>} : (memref<64x64xf16, #tl.scope<"global">>, i32, i32) -> memref<3x16xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>
    "tl.copy"(%part, %t) {async, explicit} : (memref<3x16xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>, memref<3x16xf16, #tl.scope<"shared">>) -> ()
  }) {threads = array<i32: 64, 1, 1>} : (i32) -> ()
  return
}
