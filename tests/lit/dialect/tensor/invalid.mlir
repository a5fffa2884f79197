// The verifier messages.
// RUN: tl-opt %s --split-input-file --verify-diagnostics

!s = memref<128x64xf16, #tl.scope<"shared">>
!f = memref<128x128xf32, #tl.scope<"fragment">>
func.func @f(%s: !s, %f: !f, %k: i1) {
  // expected-error@+1 {{operand #2 is in scope 'fragment', expected tmem}}
  "tl.tcgen05_mma"(%s, %s, %f, %k) {transpose_a = false, transpose_b = true} : (!s, !s, !f, i1) -> ()
  return
}

// -----

!s = memref<128x64xf16, #tl.scope<"shared">>
!t = memref<128x64xf32, #tl.scope<"tmem">>
func.func @f(%s: !s, %t: !t, %k: i1) {
  // expected-error@+1 {{shapes do not agree: op(A) is 128x64, op(B) is 64x128, C is 128x64}}
  "tl.tcgen05_mma"(%s, %s, %t, %k) {transpose_a = false, transpose_b = true} : (!s, !s, !t, i1) -> ()
  return
}

// -----

!s = memref<128x64xf16, #tl.scope<"shared">>
!t = memref<128x128xf32, #tl.scope<"tmem">>
func.func @f(%s: !s, %t: !t, %k: i32) {
  // expected-error@+1 {{'keep' must be i1, got i32}}
  "tl.tcgen05_mma"(%s, %s, %t, %k) {transpose_a = false, transpose_b = true} : (!s, !s, !t, i32) -> ()
  return
}

// -----

!e = memref<128x128xf8E4M3FN, #tl.scope<"shared">>
!t = memref<128x128xf32, #tl.scope<"tmem">>
!w = memref<128x4xi32, #tl.scope<"tmem">>
func.func @f(%e: !e, %t: !t, %w: !w, %k: i1) {
  // expected-error@+1 {{attribute 'scale_bytes' has 1 numbers, expected 2}}
  "tl.tcgen05_scaled_mma"(%e, %e, %t, %k, %w, %w) {transpose_a = false, transpose_b = true, scale_bytes = array<i64: 0>, scale_blocks = array<i64: 32, 32>} : (!e, !e, !t, i1, !w, !w) -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{attribute 'kind' is 'around', expected one of before, after}}
  "tl.tcgen05_fence"() {kind = "around"} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{attribute 'columns' is 48, expected a power of two from 32 to 512}}
  "tl.tmem_arena"() {columns = 48 : i32, id = 0 : i32} : () -> ()
  return
}

// -----

!s = memref<128x64xf16, #tl.scope<"shared">>
func.func @f(%s: !s) {
  // expected-error@+1 {{operand #0 is in scope 'shared', expected tmem}}
  "tl.dealloc_tmem"(%s) : (!s) -> ()
  return
}

// -----

!s = memref<128x64xf16, #tl.scope<"shared">>
!t = memref<128x128xf32, #tl.scope<"tmem">>
func.func @f(%s: !s, %t: !t, %k: i1) {
  // expected-error@+1 {{shapes do not agree: op(A) is 128x64, half of op(B) is 64x128, C is 128x128}}
  "tl.tcgen05_mma"(%s, %s, %t, %k) {pair, transpose_a = false, transpose_b = true} : (!s, !s, !t, i1) -> ()
  return
}

// -----

!a = memref<128x64xf8E4M3FN, #tl.scope<"shared">>
!t = memref<128x128xf32, #tl.scope<"tmem">>
!s = memref<128x4xi32, #tl.scope<"tmem">>
func.func @f(%a: !a, %t: !t, %k: i1, %s: !s) {
  // expected-error@+1 {{padded B has elements of f8E4M3FN, expected i8}}
  "tl.tcgen05_scaled_mma"(%a, %a, %t, %k, %s, %s) {b_padded = "e2m1", scale_blocks = array<i64: 32, 32>, scale_bytes = array<i64: 0, 0>, transpose_a = false, transpose_b = true} : (!a, !a, !t, i1, !s, !s) -> ()
  return
}

// -----

!a = memref<128x32xf16, #tl.scope<"shared">>
!b = memref<64x64xf16, #tl.scope<"shared">>
!c = memref<128x64xf32, #tl.scope<"tmem">>
!e = memref<128x2xi16, #tl.scope<"shared">>
func.func @f(%a: !a, %b: !b, %c: !c, %k: i1, %e: !e) {
  // expected-error@+1 {{metadata of 2 i16 a row do not describe 64 elements}}
  "tl.tcgen05_sparse_mma"(%a, %b, %c, %k, %e) {transpose_a = false, transpose_b = true} : (!a, !b, !c, i1, !e) -> ()
  return
}

// -----

!a = memref<128x64xf16, #tl.scope<"shared">>
!b = memref<64x64xf16, #tl.scope<"shared">>
!c = memref<128x64xf32, #tl.scope<"tmem">>
!e = memref<128x4xi16, #tl.scope<"shared">>
func.func @f(%a: !a, %b: !b, %c: !c, %k: i1, %e: !e) {
  // expected-error@+1 {{op(A) is 128x64, op(B) is 64x64, C is 128x64, the metadata have 128 rows, and B is twice as deep as A}}
  "tl.tcgen05_sparse_mma"(%a, %b, %c, %k, %e) {transpose_a = false, transpose_b = true} : (!a, !b, !c, i1, !e) -> ()
  return
}

// -----

!s = memref<128x64xf16, #tl.scope<"shared">>
!t = memref<128x32xf16, #tl.scope<"tmem">>
func.func @f(%s: !s, %t: !t) {
  // expected-error@+1 {{rows of 128x64 of f16 are copied to 128x32 of f16, expected the same shape and dtype}}
  "tl.tcgen05_cp"(%s, %t) {by_rows} : (!s, !t) -> ()
  return
}
