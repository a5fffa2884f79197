// The verifier messages.
// RUN: tl-opt %s --split-input-file --verify-diagnostics

func.func @f(%g: memref<64xf16, #tl.scope<"global">>, %p: i1, %i: i32) {
  // expected-error@+1 {{moves 3 words, expected 1, 2, 4 or 8}}
  %w:3 = "tl.load_words"(%g, %p, %i) : (memref<64xf16, #tl.scope<"global">>, i1, i32) -> (i32, i32, i32)
  return
}

// -----

func.func @f(%g: memref<64xf16, #tl.scope<"fragment">>, %p: i1, %i: i32) {
  // expected-error@+1 {{operand #0 is in scope 'fragment', expected global or shared or local}}
  %w = "tl.load_words"(%g, %p, %i) : (memref<64xf16, #tl.scope<"fragment">>, i1, i32) -> i32
  return
}

// -----

func.func @f(%g: memref<64xf16, #tl.scope<"global">>, %i: i32) {
  // expected-error@+1 {{the predicate must be i1, got i32}}
  "tl.store_words"(%g, %i, %i, %i) : (memref<64xf16, #tl.scope<"global">>, i32, i32, i32) -> ()
  return
}

// -----

func.func @f(%g: memref<64xf16, #tl.scope<"global">>, %s: memref<64xf16, #tl.scope<"shared">>, %p: i1, %i: i32) {
  // expected-error@+1 {{copies 6 bytes, expected 4, 8 or 16}}
  "tl.copy_words"(%g, %s, %p, %i, %i) {bytes = 6 : i32} : (memref<64xf16, #tl.scope<"global">>, memref<64xf16, #tl.scope<"shared">>, i1, i32, i32) -> ()
  return
}
