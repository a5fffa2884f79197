// The verifier messages.
// RUN: tl-opt %s --split-input-file --verify-diagnostics

func.func @f(%a: memref<64x32xf16, #tl.scope<"shared">>, %e: memref<64x4xi16, #tl.scope<"shared">>, %b: memref<32x32xf16, #tl.scope<"shared">>, %c: memref<64x32xf32, #tl.scope<"fragment">>) {
  // expected-error@+1 {{shapes do not agree: A is 64x32, E has 64 rows, op(B) is 32x32, C is 64x32, and B is twice as deep as A}}
  "tl.gemm_sp"(%a, %e, %b, %c) {policy = "square", transpose_a = false, transpose_b = false, transpose_e = false} : (memref<64x32xf16, #tl.scope<"shared">>, memref<64x4xi16, #tl.scope<"shared">>, memref<32x32xf16, #tl.scope<"shared">>, memref<64x32xf32, #tl.scope<"fragment">>) -> ()
  return
}

// -----

func.func @f(%a: memref<64x32xf16, #tl.scope<"shared">>, %e: memref<64x8xi16, #tl.scope<"shared">>, %b: memref<64x32xf16, #tl.scope<"shared">>, %c: memref<64x32xf32, #tl.scope<"fragment">>) {
  // expected-error@+1 {{metadata of 8 i16 a row do not describe 64 elements}}
  "tl.gemm_sp"(%a, %e, %b, %c) {policy = "square", transpose_a = false, transpose_b = false, transpose_e = false} : (memref<64x32xf16, #tl.scope<"shared">>, memref<64x8xi16, #tl.scope<"shared">>, memref<64x32xf16, #tl.scope<"shared">>, memref<64x32xf32, #tl.scope<"fragment">>) -> ()
  return
}

// -----

func.func @f(%a: memref<64x32xf16, #tl.scope<"shared">>, %e: memref<64x4xi16, #tl.scope<"fragment">>, %b: memref<64x32xf16, #tl.scope<"shared">>, %c: memref<64x32xf32, #tl.scope<"fragment">>) {
  // expected-error@+1 {{operand #1 is in scope 'fragment', expected shared}}
  "tl.gemm_sp"(%a, %e, %b, %c) {policy = "square", transpose_a = false, transpose_b = false, transpose_e = false} : (memref<64x32xf16, #tl.scope<"shared">>, memref<64x4xi16, #tl.scope<"fragment">>, memref<64x32xf16, #tl.scope<"shared">>, memref<64x32xf32, #tl.scope<"fragment">>) -> ()
  return
}
