// The verifier messages.
// RUN: tl-opt %s --split-input-file --verify-diagnostics

func.func @f(%i: i32) {
  // expected-error@+1 {{requires attribute 'from'}}
  "tl.cast"(%i) {to = "float32"} : (i32) -> f32
  return
}

// -----

func.func @f(%i: i32) {
  // expected-error@+1 {{requires attribute 'to'}}
  "tl.cast"(%i) {from = "int32"} : (i32) -> f32
  return
}

// -----

func.func @f(%i: i32) {
  // expected-error@+1 {{attribute 'to' is 'real', which is no dtype}}
  "tl.cast"(%i) {from = "int32", to = "real"} : (i32) -> f32
  return
}

// -----

func.func @f(%i: i32) {
  // expected-error@+1 {{has a value of i32 where 'from' is 'int64'}}
  "tl.cast"(%i) {from = "int64", to = "float32"} : (i32) -> f32
  return
}

// -----

func.func @f(%i: i32) {
  // expected-error@+1 {{has a value of f32 where 'to' is 'float16'}}
  "tl.cast"(%i) {from = "int32", to = "float16"} : (i32) -> f32
  return
}

// -----

func.func @f(%i: i32) {
  // expected-error@+1 {{attribute 'round' is 'up', expected one of rn, rz, rp, rm, rs}}
  "tl.cast"(%i) {from = "int32", round = "up", to = "float32"} : (i32) -> f32
  return
}

// -----

func.func @f(%i: i32) {
  // expected-error@+1 {{attribute 'sat' must be a boolean, got 1 : i32}}
  "tl.cast"(%i) {from = "int32", sat = 1 : i32, to = "float32"} : (i32) -> f32
  return
}

// -----

func.func @f(%x: f32) {
  // expected-error@+1 {{changes the width: f32 has 32 bits, f16 has 16}}
  "tl.bitcast"(%x) : (f32) -> f16
  return
}

// -----

func.func @f(%s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{reinterprets scalars and vectors, got memref}}
  "tl.bitcast"(%s) : (memref<8x4xf32, #tl.scope<"shared">>) -> f16
  return
}

// -----

func.func @f(%x: f32) {
  // expected-error@+1 {{attribute 'function' is 'sinc', expected one of exp10}}
  "tl.math"(%x) {function = "sinc"} : (f32) -> f32
  return
}

// -----

func.func @f(%x: f32) {
  // expected-error@+1 {{function 'hypot' takes 2 operands, got 1}}
  "tl.math"(%x) {function = "hypot"} : (f32) -> f32
  return
}

// -----

func.func @f(%x: f32) {
  // expected-error@+1 {{operand #0 is f32, expected the result's f16}}
  "tl.math"(%x) {function = "fast_exp"} : (f32) -> f16
  return
}

// -----

func.func @f(%i: i32) {
  // expected-error@+1 {{computes on floats, got i32}}
  "tl.math"(%i) {function = "fast_exp"} : (i32) -> i32
  return
}
