// The verifier messages.
// RUN: tl-opt %s --split-input-file --verify-diagnostics

func.func @f(%g: memref<128x64xf16, #tl.scope<"global">>, %s: memref<32x64xf16, #tl.scope<"shared">>, %i: i32) {
  // expected-error@+1 {{copies either a box or bytes}}
  "tl.box_store"(%s, %g, %i, %i, %i, %i) : (memref<32x64xf16, #tl.scope<"shared">>, memref<128x64xf16, #tl.scope<"global">>, i32, i32, i32, i32) -> ()
  return
}

// -----

func.func @f(%g: memref<128x64xf16, #tl.scope<"global">>, %s: memref<32x64xf16, #tl.scope<"shared">>, %i: i32) {
  // expected-error@+1 {{copies rows of 128 bytes, expected multiples of 16, at most the swizzle's span}}
  "tl.box_store"(%s, %g, %i, %i, %i, %i) {box = array<i64: 32, 64>, swizzle = "64B"} : (memref<32x64xf16, #tl.scope<"shared">>, memref<128x64xf16, #tl.scope<"global">>, i32, i32, i32, i32) -> ()
  return
}

// -----

func.func @f(%g: memref<128x64xf16, #tl.scope<"global">>, %s: memref<32x64xf16, #tl.scope<"shared">>, %i: i32) {
  // expected-error@+1 {{has 3 places for buffers of rank 2 and 2}}
  "tl.box_store"(%s, %g, %i, %i, %i) {bytes = 64 : i32} : (memref<32x64xf16, #tl.scope<"shared">>, memref<128x64xf16, #tl.scope<"global">>, i32, i32, i32) -> ()
  return
}

// -----

func.func @f(%g: memref<128x64xf16, #tl.scope<"global">>, %i: i32) {
  // expected-error@+1 {{operand #0 is in scope 'global', expected shared}}
  %a = "tl.shared_address"(%g, %i, %i) : (memref<128x64xf16, #tl.scope<"global">>, i32, i32) -> i32
  return
}

// -----

func.func @f(%g: memref<128x64xf16, #tl.scope<"global">>, %s: memref<32x64xf16, #tl.scope<"shared">>, %b: !tl.barrier<1 : i64>, %i: i32) {
  // expected-error@+1 {{copies a box where it completes in the first CTA of a pair}}
  "tl.box_load"(%g, %s, %b, %i, %i, %i, %i, %i) {bytes = 64 : i32, pair} : (memref<128x64xf16, #tl.scope<"global">>, memref<32x64xf16, #tl.scope<"shared">>, !tl.barrier<1 : i64>, i32, i32, i32, i32, i32) -> ()
  return
}

// -----

func.func @f(%g: memref<128x64xf16, #tl.scope<"global">>, %s: memref<32x64xf16, #tl.scope<"shared">>, %i: i32) {
  // expected-error@+1 {{has no xor of elements of f16 and f16; xor is of b32, b64}}
  "tl.box_store"(%s, %g, %i, %i, %i, %i) {bytes = 64 : i32, reduce = "xor"} : (memref<32x64xf16, #tl.scope<"shared">>, memref<128x64xf16, #tl.scope<"global">>, i32, i32, i32, i32) -> ()
  return
}
