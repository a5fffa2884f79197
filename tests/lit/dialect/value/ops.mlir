// Scalar operations.
// RUN: tl-opt %s | filecheck %s
// RUN: tl-opt %s > %t
// RUN: tl-opt %t | diff %t -

// CHECK-LABEL: func.func @casts(
// CHECK: %{{[0-9a-z_]+}} = "tl.cast"(%{{[0-9a-z_]+}}) {from = "uint32", to = "float32"} : (i32) -> f32
// CHECK: %{{[0-9a-z_]+}} = "tl.cast"(%{{[0-9a-z_]+}}) {from = "float32", round = "rz", to = "float8_e4m3fn"} : (f32) -> f8E4M3FN
// CHECK: %{{[0-9a-z_]+}} = "tl.cast"(%{{[0-9a-z_]+}}) {from = "float32", sat = false, to = "float8_e5m2"} : (f32) -> f8E5M2
// CHECK: %{{[0-9a-z_]+}} = "tl.cast"(%{{[0-9a-z_]+}}) {from = "float32x2", to = "bfloat16x2"} : (vector<2xf32>) -> vector<2xbf16>
// CHECK: %{{[0-9a-z_]+}} = "tl.cast"(%{{[0-9a-z_]+}}) {from = "bool", to = "int8"} : (i1) -> i8
// CHECK: %{{[0-9a-z_]+}} = "tl.bitcast"(%{{[0-9a-z_]+}}) : (f32) -> i32
// CHECK: %{{[0-9a-z_]+}} = "tl.bitcast"(%{{[0-9a-z_]+}}) : (f32) -> vector<2xf16>
func.func @casts(%n: i32, %x: f32, %v: vector<2xf32>, %b: i1) {
  %a = "tl.cast"(%n) {from = "uint32", to = "float32"} : (i32) -> f32
  %c = "tl.cast"(%x) {from = "float32", round = "rz", to = "float8_e4m3fn"} : (f32) -> f8E4M3FN
  %d = "tl.cast"(%x) {from = "float32", sat = false, to = "float8_e5m2"} : (f32) -> f8E5M2
  %e = "tl.cast"(%v) {from = "float32x2", to = "bfloat16x2"} : (vector<2xf32>) -> vector<2xbf16>
  %f = "tl.cast"(%b) {from = "bool", to = "int8"} : (i1) -> i8
  %g = "tl.bitcast"(%x) : (f32) -> i32
  %h = "tl.bitcast"(%x) : (f32) -> vector<2xf16>
  return
}

// CHECK-LABEL: func.func @functions(
// CHECK: %{{[0-9a-z_]+}} = "tl.math"(%{{[0-9a-z_]+}}) {function = "fast_exp"} : (f32) -> f32
// CHECK: %{{[0-9a-z_]+}} = "tl.math"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {function = "hypot"} : (f32, f32) -> f32
// CHECK: %{{[0-9a-z_]+}} = "tl.math"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {function = "fma_rz"} : (f32, f32, f32) -> f32
// CHECK: %{{[0-9a-z_]+}} = "tl.math"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {function = "ldexp"} : (f32, f32) -> f32
func.func @functions(%x: f32) {
  %a = "tl.math"(%x) {function = "fast_exp"} : (f32) -> f32
  %b = "tl.math"(%x, %x) {function = "hypot"} : (f32, f32) -> f32
  %c = "tl.math"(%x, %x, %x) {function = "fma_rz"} : (f32, f32, f32) -> f32
  %d = "tl.math"(%x, %x) {function = "ldexp"} : (f32, f32) -> f32
  return
}
