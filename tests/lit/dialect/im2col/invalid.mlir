// The verifier messages.
// RUN: tl-opt %s --split-input-file --verify-diagnostics

func.func @f(%x: memref<2x9x7x64xf16, #tl.scope<"global">>, %t: memref<64x64xf16, #tl.scope<"shared">>, %f: memref<64x64xf16, #tl.scope<"fragment">>, %w: memref<64x64xf32, #tl.scope<"shared">>, %v: memref<64xf16, #tl.scope<"shared">>, %i: i32, %r: f32) {
  // expected-error@+1 {{expects an image of four dimensions and a two-dimensional tile}}
  "tl.im2col"(%x, %v, %i, %i, %i, %i, %i) {dilation = 1 : i32, kernel = 3 : i32, pad = 1 : i32, stride = 2 : i32} : (memref<2x9x7x64xf16, #tl.scope<"global">>, memref<64xf16, #tl.scope<"shared">>, i32, i32, i32, i32, i32) -> ()
  return
}

// -----

func.func @f(%x: memref<2x9x7x64xf16, #tl.scope<"global">>, %t: memref<64x64xf16, #tl.scope<"shared">>, %f: memref<64x64xf16, #tl.scope<"fragment">>, %w: memref<64x64xf32, #tl.scope<"shared">>, %v: memref<64xf16, #tl.scope<"shared">>, %i: i32, %r: f32) {
  // expected-error@+1 {{image and tile differ}}
  "tl.im2col"(%x, %w, %i, %i, %i, %i, %i) {dilation = 1 : i32, kernel = 3 : i32, pad = 1 : i32, stride = 2 : i32} : (memref<2x9x7x64xf16, #tl.scope<"global">>, memref<64x64xf32, #tl.scope<"shared">>, i32, i32, i32, i32, i32) -> ()
  return
}

// -----

func.func @f(%x: memref<2x9x7x64xf16, #tl.scope<"global">>, %t: memref<64x64xf16, #tl.scope<"shared">>, %f: memref<64x64xf16, #tl.scope<"fragment">>, %w: memref<64x64xf32, #tl.scope<"shared">>, %v: memref<64xf16, #tl.scope<"shared">>, %i: i32, %r: f32) {
  // expected-error@+1 {{operand #0 is in scope 'shared', expected global}}
  "tl.im2col"(%t, %t, %i, %i, %i, %i, %i) {dilation = 1 : i32, kernel = 3 : i32, pad = 1 : i32, stride = 2 : i32} : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"shared">>, i32, i32, i32, i32, i32) -> ()
  return
}

// -----

func.func @f(%x: memref<2x9x7x64xf16, #tl.scope<"global">>, %t: memref<64x64xf16, #tl.scope<"shared">>, %f: memref<64x64xf16, #tl.scope<"fragment">>, %w: memref<64x64xf32, #tl.scope<"shared">>, %v: memref<64xf16, #tl.scope<"shared">>, %i: i32, %r: f32) {
  // expected-error@+1 {{expects integer operands, got f32}}
  "tl.im2col"(%x, %t, %i, %i, %r, %i, %i) {dilation = 1 : i32, kernel = 3 : i32, pad = 1 : i32, stride = 2 : i32} : (memref<2x9x7x64xf16, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>, i32, i32, f32, i32, i32) -> ()
  return
}

// -----

func.func @f(%x: memref<2x9x7x64xf16, #tl.scope<"global">>, %t: memref<64x64xf16, #tl.scope<"shared">>, %f: memref<64x64xf16, #tl.scope<"fragment">>, %w: memref<64x64xf32, #tl.scope<"shared">>, %v: memref<64xf16, #tl.scope<"shared">>, %i: i32, %r: f32) {
  // expected-error@+1 {{kernel}}
  "tl.im2col"(%x, %t, %i, %i, %i, %i, %i) {dilation = 1 : i32, pad = 1 : i32, stride = 2 : i32} : (memref<2x9x7x64xf16, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>, i32, i32, i32, i32, i32) -> ()
  return
}
