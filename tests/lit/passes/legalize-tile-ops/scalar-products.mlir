// Without an instruction for the dtype, threads multiply and add; an operand in registers goes through a shared tile.
// RUN: tl-opt %s --target=sm_75 --legalize-tile-ops | filecheck %s
// RUN: tl-opt %s --target=sm_80 --legalize-tile-ops | filecheck %s --check-prefix=WIDE

// CHECK: %[[S:.*]] = "tl.alloc"() : () -> memref<16x32xbf16, #tl.scope<"shared">>
// CHECK: "tl.copy"(%{{.*}}, %[[S]])
// CHECK: "tl.fill"
// CHECK: scf.for %[[K:.*]] =
// CHECK: "tl.parallel"()
// CHECK-NOT: "tl.gemm"
// CHECK: arith.mulf
// CHECK: arith.addf
// CHECK: extents = array<i64: 16, 8>
// WIDE: "tl.gemm"
func.func @f(%n: i32) {
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    %a = "tl.alloc"() : () -> memref<16x32xbf16, #tl.scope<"fragment">>
    %b = "tl.alloc"() : () -> memref<8x32xbf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<16x8xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {transpose_a = false, transpose_b = true, policy = "square", clear = true} : (memref<16x32xbf16, #tl.scope<"fragment">>, memref<8x32xbf16, #tl.scope<"shared">>, memref<16x8xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
