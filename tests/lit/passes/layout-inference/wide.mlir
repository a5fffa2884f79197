// RUN: tl-opt %s --layout-inference --target=sm_100a | filecheck %s --check-prefixes=CHECK,WIDE
// RUN: tl-opt %s --layout-inference=wide-accesses=False --target=sm_100a | filecheck %s --check-prefixes=CHECK,NARROW
// RUN: tl-opt %s --layout-inference --target=sm_90a | filecheck %s --check-prefixes=CHECK,NARROW

// A fragment between device memory and registers is spread in vectors of 32 bytes where accesses have as many; one that
// comes from a shared tile stays at 16.
// CHECK-LABEL: func.func @wide
// WIDE: layout = #tl.fragment<array<i64: 8, 512>, array<i64: 32, 1, 8>, array<i64: 8, 1, 1, 2, 1, 256, 8, 0, 1>>
// NARROW: layout = #tl.fragment<array<i64: 8, 512>, array<i64: 32, 1, 4>, array<i64: 4, 1, 1, 4, 1, 128, 8, 0, 1>>
// CHECK: layout = #tl.fragment<array<i64: 8, 512>, array<i64: 32, 1, 4>, array<i64: 4, 1, 1, 4, 1, 128, 8, 0, 1>>
func.func @wide(%p: !llvm.ptr<1>) {
  %t = "tl.tensor"(%p) {shape = array<i64: 8, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> memref<8x512xf32, #tl.scope<"global">>
  %one = arith.constant 1 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<8x512xf32, #tl.scope<"fragment">>
    %b = "tl.alloc"() : () -> memref<8x512xf32, #tl.scope<"fragment">>
    %s = "tl.alloc"() : () -> memref<8x512xf32, #tl.scope<"shared">>
    "tl.copy"(%t, %a) : (memref<8x512xf32, #tl.scope<"global">>, memref<8x512xf32, #tl.scope<"fragment">>) -> ()
    "tl.copy"(%t, %s) : (memref<8x512xf32, #tl.scope<"global">>, memref<8x512xf32, #tl.scope<"shared">>) -> ()
    "tl.copy"(%s, %b) : (memref<8x512xf32, #tl.scope<"shared">>, memref<8x512xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
