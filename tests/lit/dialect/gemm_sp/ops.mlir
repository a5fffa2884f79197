// Products with a 2:4 sparse A.
// RUN: tl-opt %s | filecheck %s
// RUN: tl-opt %s > %t
// RUN: tl-opt %t | diff %t -

// CHECK-LABEL: func.func @sparse(
// CHECK: "tl.gemm_sp"(%arg0, %arg1, %arg2, %arg3, %arg4) {clear = false, policy = "square", transpose_a = false, transpose_b = true, transpose_e = false}
func.func @sparse(%a: memref<64x32xf16, #tl.scope<"shared">>, %e: memref<64x4xi16, #tl.scope<"shared">>, %b: memref<32x64xf16, #tl.scope<"shared">>, %c: memref<64x32xf32, #tl.scope<"fragment">>, %p: i1) {
  "tl.gemm_sp"(%a, %e, %b, %c, %p) {clear = false, policy = "square", transpose_a = false, transpose_b = true, transpose_e = false} : (memref<64x32xf16, #tl.scope<"shared">>, memref<64x4xi16, #tl.scope<"shared">>, memref<32x64xf16, #tl.scope<"shared">>, memref<64x32xf32, #tl.scope<"fragment">>, i1) -> ()
  return
}
