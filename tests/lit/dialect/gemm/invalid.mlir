// The verifier messages.
// RUN: tl-opt %s --split-input-file --verify-diagnostics

func.func @f(%s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{expects 3 to 4 operands, got 2}}
  "tl.gemm"(%s, %s) {policy = "square", transpose_a = false, transpose_b = false} : (memref<8x4xf32, #tl.scope<"shared">>, memref<8x4xf32, #tl.scope<"shared">>) -> ()
  return
}

// -----

func.func @f(%s: memref<8x4xf32, #tl.scope<"shared">>, %f: memref<8x4xf32, #tl.scope<"fragment">>) {
  // expected-error@+1 {{requires attribute 'transpose_a'}}
  "tl.gemm"(%s, %s, %f) {policy = "square", transpose_b = false} : (memref<8x4xf32, #tl.scope<"shared">>, memref<8x4xf32, #tl.scope<"shared">>, memref<8x4xf32, #tl.scope<"fragment">>) -> ()
  return
}

// -----

func.func @f(%s: memref<8x4xf32, #tl.scope<"shared">>, %f: memref<8x4xf32, #tl.scope<"fragment">>) {
  // expected-error@+1 {{attribute 'transpose_a' must be a boolean, got 1 : i32}}
  "tl.gemm"(%s, %s, %f) {policy = "square", transpose_a = 1 : i32, transpose_b = false} : (memref<8x4xf32, #tl.scope<"shared">>, memref<8x4xf32, #tl.scope<"shared">>, memref<8x4xf32, #tl.scope<"fragment">>) -> ()
  return
}

// -----

func.func @f(%s: memref<8x4xf32, #tl.scope<"shared">>, %f: memref<8x4xf32, #tl.scope<"fragment">>) {
  // expected-error@+1 {{attribute 'policy' is 'rows', expected one of square, full_row, full_col}}
  "tl.gemm"(%s, %s, %f) {policy = "rows", transpose_a = false, transpose_b = false} : (memref<8x4xf32, #tl.scope<"shared">>, memref<8x4xf32, #tl.scope<"shared">>, memref<8x4xf32, #tl.scope<"fragment">>) -> ()
  return
}

// -----

func.func @f(%g: memref<8x4xf32, #tl.scope<"global">>, %s: memref<8x4xf32, #tl.scope<"shared">>, %f: memref<8x4xf32, #tl.scope<"fragment">>) {
  // expected-error@+1 {{operand #0 is in scope 'global', expected shared or fragment or tmem}}
  "tl.gemm"(%g, %s, %f) {policy = "square", transpose_a = false, transpose_b = false} : (memref<8x4xf32, #tl.scope<"global">>, memref<8x4xf32, #tl.scope<"shared">>, memref<8x4xf32, #tl.scope<"fragment">>) -> ()
  return
}

// -----

func.func @f(%s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{operand #2 is in scope 'shared', expected fragment or tmem}}
  "tl.gemm"(%s, %s, %s) {policy = "square", transpose_a = false, transpose_b = false} : (memref<8x4xf32, #tl.scope<"shared">>, memref<8x4xf32, #tl.scope<"shared">>, memref<8x4xf32, #tl.scope<"shared">>) -> ()
  return
}

// -----

func.func @f(%s: memref<8x4xf32, #tl.scope<"shared">>, %f: memref<8x4xf32, #tl.scope<"fragment">>) {
  // expected-error@+1 {{shapes do not agree: op(A) is 8x4, op(B) is 8x4, C is 8x4}}
  "tl.gemm"(%s, %s, %f) {policy = "square", transpose_a = false, transpose_b = false} : (memref<8x4xf32, #tl.scope<"shared">>, memref<8x4xf32, #tl.scope<"shared">>, memref<8x4xf32, #tl.scope<"fragment">>) -> ()
  return
}

// -----

func.func @f(%s: memref<8x4xf32, #tl.scope<"shared">>, %f: memref<8x4xf32, #tl.scope<"fragment">>) {
  %q = "tl.alloc"() : () -> memref<4xf32, #tl.scope<"shared">>
  // expected-error@+1 {{operands must be two-dimensional tiles}}
  "tl.gemm"(%q, %s, %f) {policy = "square", transpose_a = false, transpose_b = false} : (memref<4xf32, #tl.scope<"shared">>, memref<8x4xf32, #tl.scope<"shared">>, memref<8x4xf32, #tl.scope<"fragment">>) -> ()
  return
}

// -----

func.func @f(%s: memref<8x4xf32, #tl.scope<"shared">>, %f: memref<8x4xf32, #tl.scope<"fragment">>) {
  %q = "tl.alloc"() : () -> memref<4x4xi32, #tl.scope<"shared">>
  // expected-error@+1 {{A, B and C mix integers and floats: f32 and i32 and f32}}
  "tl.gemm"(%s, %q, %f) {policy = "square", transpose_a = false, transpose_b = false} : (memref<8x4xf32, #tl.scope<"shared">>, memref<4x4xi32, #tl.scope<"shared">>, memref<8x4xf32, #tl.scope<"fragment">>) -> ()
  return
}

// -----

func.func @f(%s: memref<8x4xf32, #tl.scope<"shared">>, %f: memref<8x4xf32, #tl.scope<"fragment">>) {
  %q = "tl.alloc"() : () -> memref<4x4xf16, #tl.scope<"shared">>
  // expected-error@+1 {{A and B differ in element width: f32 and f16}}
  "tl.gemm"(%s, %q, %f) {policy = "square", transpose_a = false, transpose_b = false} : (memref<8x4xf32, #tl.scope<"shared">>, memref<4x4xf16, #tl.scope<"shared">>, memref<8x4xf32, #tl.scope<"fragment">>) -> ()
  return
}

// -----

func.func @f(%i: i32, %s: memref<8x4xf32, #tl.scope<"shared">>, %f: memref<8x4xf32, #tl.scope<"fragment">>) {
  %q = "tl.alloc"() : () -> memref<4x4xf32, #tl.scope<"shared">>
  // expected-error@+1 {{the run-time 'clear' must be i1, got i32}}
  "tl.gemm"(%s, %q, %f, %i) {policy = "square", transpose_a = false, transpose_b = false} : (memref<8x4xf32, #tl.scope<"shared">>, memref<4x4xf32, #tl.scope<"shared">>, memref<8x4xf32, #tl.scope<"fragment">>, i32) -> ()
  return
}

// -----

func.func @f(%s: memref<64x16xf16, #tl.scope<"shared">>, %f: memref<32x16xf16, #tl.scope<"fragment">>) {
  // expected-error@+1 {{expects two-dimensional tiles of one shape}}
  "tl.load_operand"(%s, %f) {side = "a", k_dim = 1 : i32, warps = array<i32: 2, 2>} : (memref<64x16xf16, #tl.scope<"shared">>, memref<32x16xf16, #tl.scope<"fragment">>) -> ()
  return
}

// -----

func.func @f(%s: memref<64x16xf16, #tl.scope<"shared">>, %f: memref<64x16xf16, #tl.scope<"fragment">>) {
  // expected-error@+1 {{attribute 'warps' is [2], expected two positive numbers}}
  "tl.load_operand"(%s, %f) {side = "a", k_dim = 1 : i32, warps = array<i32: 2>} : (memref<64x16xf16, #tl.scope<"shared">>, memref<64x16xf16, #tl.scope<"fragment">>) -> ()
  return
}

// -----

func.func @f(%s: memref<64x16xf16, #tl.scope<"shared">>, %f: memref<64x16xf16, #tl.scope<"fragment">>) {
  // expected-error@+1 {{attribute 'side' is 'c', expected one of a, b}}
  "tl.load_operand"(%s, %f) {side = "c", k_dim = 1 : i32, warps = array<i32: 2, 2>} : (memref<64x16xf16, #tl.scope<"shared">>, memref<64x16xf16, #tl.scope<"fragment">>) -> ()
  return
}

// -----

func.func @f(%s: memref<64x16xf16, #tl.scope<"fragment">>, %f: memref<64x16xf16, #tl.scope<"fragment">>) {
  // expected-error@+1 {{operand #0 is in scope 'fragment', expected shared}}
  "tl.load_operand"(%s, %f) {side = "a", k_dim = 1 : i32, warps = array<i32: 2, 2>} : (memref<64x16xf16, #tl.scope<"fragment">>, memref<64x16xf16, #tl.scope<"fragment">>) -> ()
  return
}

// -----

func.func @f(%a: memref<64x32xi8, #tl.scope<"shared">>, %c: memref<64x64xf32, #tl.scope<"fragment">>, %x: memref<64x1xi32, #tl.scope<"shared">>, %y: memref<48x1xi32, #tl.scope<"shared">>) {
  // expected-error@+1 {{has factors of 64 rows and 48 columns, expected 64 and 64}}
  "tl.mma_scaled"(%a, %a, %c, %x, %y) {a_packed = "e2m1", b_packed = "e2m1", policy = "square", scale_blocks = array<i64: 16, 16>, scale_bytes = array<i64: 0, 0>, transpose_a = false, transpose_b = true} : (memref<64x32xi8, #tl.scope<"shared">>, memref<64x32xi8, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>, memref<64x1xi32, #tl.scope<"shared">>, memref<48x1xi32, #tl.scope<"shared">>) -> ()
  return
}

// -----

func.func @f(%a: memref<64x32xf8E4M3FN, #tl.scope<"shared">>, %b: memref<64x32xi8, #tl.scope<"shared">>, %c: memref<64x64xf32, #tl.scope<"fragment">>, %x: memref<64x1xi32, #tl.scope<"shared">>) {
  // expected-error@+1 {{shapes do not agree: op(A) is 64x32, op(B) is 64x64, C is 64x64}}
  "tl.mma_scaled"(%a, %b, %c, %x, %x) {b_packed = "e2m1", policy = "square", scale_blocks = array<i64: 32, 32>, scale_bytes = array<i64: 0, 0>, transpose_a = false, transpose_b = true} : (memref<64x32xf8E4M3FN, #tl.scope<"shared">>, memref<64x32xi8, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>, memref<64x1xi32, #tl.scope<"shared">>, memref<64x1xi32, #tl.scope<"shared">>) -> ()
  return
}

// -----

func.func @ten_bits_of_halves(%a: memref<16x32xf16, #tl.scope<"shared">>, %b: memref<32x16xf16, #tl.scope<"shared">>, %c: memref<16x16xf32, #tl.scope<"fragment">>) {
  // expected-error@below {{tf32 is said of f32 operands}}
  "tl.gemm"(%a, %b, %c) {tf32, policy = "square", transpose_a = false, transpose_b = false} : (memref<16x32xf16, #tl.scope<"shared">>, memref<32x16xf16, #tl.scope<"shared">>, memref<16x16xf32, #tl.scope<"fragment">>) -> ()
  return
}
