// The verifier messages.
// RUN: tl-opt %s --split-input-file --verify-diagnostics

func.func @f(%s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{expects 2 or more operands, got 1}}
  "tl.atomic"(%s) {kind = "add", order = "relaxed"} : (memref<8x4xf32, #tl.scope<"shared">>) -> ()
  return
}

// -----

func.func @f(%k: index, %x: f32, %s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{requires attribute 'kind'}}
  "tl.atomic"(%s, %x, %k, %k) {order = "relaxed"} : (memref<8x4xf32, #tl.scope<"shared">>, f32, index, index) -> ()
  return
}

// -----

func.func @f(%k: index, %x: f32, %s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{attribute 'kind' is 'mul', expected one of add, max}}
  "tl.atomic"(%s, %x, %k, %k) {kind = "mul", order = "relaxed"} : (memref<8x4xf32, #tl.scope<"shared">>, f32, index, index) -> ()
  return
}

// -----

func.func @f(%k: index, %x: f32, %s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{attribute 'order' is 'weak', expected one of relaxed}}
  "tl.atomic"(%s, %x, %k, %k) {kind = "add", order = "weak"} : (memref<8x4xf32, #tl.scope<"shared">>, f32, index, index) -> ()
  return
}

// -----

func.func @f(%k: index, %x: f32, %f: memref<8x4xf32, #tl.scope<"fragment">>) {
  // expected-error@+1 {{operand #0 is in scope 'fragment', expected global or shared}}
  "tl.atomic"(%f, %x, %k, %k) {kind = "add", order = "relaxed"} : (memref<8x4xf32, #tl.scope<"fragment">>, f32, index, index) -> ()
  return
}

// -----

func.func @f(%k: index, %h: f16, %s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{has a value of f16 for a buffer of f32}}
  "tl.atomic"(%s, %h, %k, %k) {kind = "add", order = "relaxed"} : (memref<8x4xf32, #tl.scope<"shared">>, f16, index, index) -> ()
  return
}

// -----

func.func @f(%k: index, %x: f32, %s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{expects 2 indices, got 1}}
  "tl.atomic"(%s, %x, %k) {kind = "add", order = "relaxed"} : (memref<8x4xf32, #tl.scope<"shared">>, f32, index) -> ()
  return
}

// -----

func.func @f(%i: i32, %x: f32, %s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{expects indices of type index, got i32}}
  "tl.atomic"(%s, %x, %i, %i) {kind = "add", order = "relaxed"} : (memref<8x4xf32, #tl.scope<"shared">>, f32, i32, i32) -> ()
  return
}

// -----

func.func @f(%k: index, %x: f32, %s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{returns f16, expected the buffer's f32}}
  "tl.atomic"(%s, %x, %k, %k) {kind = "add", order = "relaxed"} : (memref<8x4xf32, #tl.scope<"shared">>, f32, index, index) -> f16
  return
}

// -----

func.func @f(%k: index, %x: f32, %s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{kind 'xor' needs integers, got f32}}
  "tl.atomic"(%s, %x, %k, %k) {kind = "xor", order = "relaxed"} : (memref<8x4xf32, #tl.scope<"shared">>, f32, index, index) -> ()
  return
}
