// The verifier messages.
// RUN: tl-opt %s --split-input-file --verify-diagnostics

func.func @f(%s: memref<16x16xf16, #tl.scope<"shared">>, %i: i32) {
  // expected-error@+1 {{moves 3 matrices, expected 1, 2 or 4}}
  %w:3 = "tl.load_matrix"(%s, %i, %i) {transpose = false} : (memref<16x16xf16, #tl.scope<"shared">>, i32, i32) -> (i32, i32, i32)
  return
}

// -----

func.func @f(%s: memref<16x16xf16, #tl.scope<"global">>, %i: i32) {
  // expected-error@+1 {{operand #0 is in scope 'global', expected shared}}
  %w = "tl.load_matrix"(%s, %i, %i) {transpose = false} : (memref<16x16xf16, #tl.scope<"global">>, i32, i32) -> i32
  return
}

// -----

func.func @f(%s: memref<16x16xf16, #tl.scope<"shared">>, %i: i32) {
  // expected-error@+1 {{has 1 indices for a buffer of rank 2}}
  "tl.store_matrix"(%s, %i, %i) {transpose = false, count = 1 : i32} : (memref<16x16xf16, #tl.scope<"shared">>, i32, i32) -> ()
  return
}

// -----

func.func @f(%i: i32) {
  // expected-error@+1 {{multiplies f16 with e4m3 into f32, which is no matrix product}}
  %d:4 = "tl.warp_mma"(%i, %i, %i, %i, %i, %i, %i, %i, %i, %i) {shape = array<i32: 16, 8, 16>, segments = array<i32: 4, 2, 4>, a = "f16", b = "e4m3", c = "f32"} : (i32, i32, i32, i32, i32, i32, i32, i32, i32, i32) -> (i32, i32, i32, i32)
  return
}

// -----

func.func @f(%i: i32) {
  // expected-error@+1 {{segments [4, 2, 2] do not fit 10 operands, 4 results}}
  %d:4 = "tl.warp_mma"(%i, %i, %i, %i, %i, %i, %i, %i, %i, %i) {shape = array<i32: 16, 8, 16>, segments = array<i32: 4, 2, 2>, a = "f16", b = "f16", c = "f32"} : (i32, i32, i32, i32, i32, i32, i32, i32, i32, i32) -> (i32, i32, i32, i32)
  return
}

// -----

func.func @f(%i: i32) {
  // expected-error@+1 {{has registers [2, 1, 4], expected [4, 2, 4] for its shape and types}}
  %d:4 = "tl.warp_mma"(%i, %i, %i, %i, %i, %i, %i) {shape = array<i32: 16, 8, 16>, segments = array<i32: 2, 1, 4>, a = "bf16", b = "bf16", c = "f32"} : (i32, i32, i32, i32, i32, i32, i32) -> (i32, i32, i32, i32)
  return
}

// -----

func.func @f(%c: memref<4xf32, #tl.scope<"local">>, %i: i32) {
  // expected-error@+1 {{has 7 values, expected 6 (A in shared memory) or 8 (in registers)}}
  "tl.warpgroup_mma"(%c, %i, %i, %i, %i, %i, %i, %i) {n = 8 : i32, a = "f16", b = "f16"} : (memref<4xf32, #tl.scope<"local">>, i32, i32, i32, i32, i32, i32, i32) -> ()
  return
}

// -----

func.func @f(%c: memref<4xf32, #tl.scope<"local">>, %i: i32) {
  // expected-error@+1 {{multiplies f64 with f64, which is no product of a warpgroup}}
  "tl.warpgroup_mma"(%c, %i, %i, %i, %i, %i, %i) {n = 8 : i32, a = "f64", b = "f64"} : (memref<4xf32, #tl.scope<"local">>, i32, i32, i32, i32, i32, i32) -> ()
  return
}
