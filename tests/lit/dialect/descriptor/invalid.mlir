// The verifier messages.
// RUN: tl-opt %s --split-input-file --verify-diagnostics

func.func @f(%g: memref<128x64xf16, #tl.scope<"global">>, %i: i32) {
  // expected-error@+1 {{has 2 indices, sizes and strides, expected 3}}
  %v = "tl.view"(%g, %i, %i) {id = 0, shape = array<i64: -1, 64>, strides = array<i64: 64, 1>} : (memref<128x64xf16, #tl.scope<"global">>, i32, i32) -> memref<?x64xf16, strided<[64, 1]>, #tl.scope<"global">>
  return
}

// -----

func.func @f(%g: memref<128x64xf16, #tl.scope<"global">>, %i: i32) {
  // expected-error@+1 {{has 1 sizes but 2 strides}}
  %v = "tl.view"(%g, %i, %i) {id = 0, shape = array<i64: 64>, strides = array<i64: 64, 1>} : (memref<128x64xf16, #tl.scope<"global">>, i32, i32) -> memref<64xf16, strided<[1]>, #tl.scope<"global">>
  return
}

// -----

func.func @f(%g: memref<128x64xf16, #tl.scope<"global">>, %i: i32) {
  // expected-error@+1 {{sizes [32, 64] do not match the result's shape [16, 64]}}
  %v = "tl.view"(%g, %i, %i) {id = 0, shape = array<i64: 32, 64>, strides = array<i64: 64, 1>} : (memref<128x64xf16, #tl.scope<"global">>, i32, i32) -> memref<16x64xf16, strided<[64, 1]>, #tl.scope<"global">>
  return
}

// -----

func.func @f(%g: memref<128x64xf16, #tl.scope<"global">>, %i: i32) {
  // expected-error@+1 {{strides [128, 1] do not match the result's strides [64, 1]}}
  %v = "tl.view"(%g, %i, %i) {id = 0, shape = array<i64: 32, 64>, strides = array<i64: 128, 1>} : (memref<128x64xf16, #tl.scope<"global">>, i32, i32) -> memref<32x64xf16, strided<[64, 1]>, #tl.scope<"global">>
  return
}

// -----

func.func @f(%g: memref<128x64xf16, #tl.scope<"global">>, %s: memref<8x128xi8, #tl.scope<"shared">>) {
  // expected-error@+1 {{describes what is no tl.view}}
  "tl.make_descriptor"(%g, %s) : (memref<128x64xf16, #tl.scope<"global">>, memref<8x128xi8, #tl.scope<"shared">>) -> ()
  return
}

// -----

func.func @f(%g: memref<128x64xf16, #tl.scope<"global">>, %i: i32, %s: memref<8x64xi8, #tl.scope<"shared">>) {
  %v = "tl.view"(%g, %i, %i) {id = 0, shape = array<i64: 32, 64>, strides = array<i64: 64, 1>} : (memref<128x64xf16, #tl.scope<"global">>, i32, i32) -> memref<32x64xf16, strided<[64, 1]>, #tl.scope<"global">>
  // expected-error@+1 {{stages through memref<8x64xi8, #tl.scope<"shared">>, expected rows of 128 bytes}}
  "tl.make_descriptor"(%v, %s) : (memref<32x64xf16, strided<[64, 1]>, #tl.scope<"global">>, memref<8x64xi8, #tl.scope<"shared">>) -> ()
  return
}
