// Matrix instructions on registers that the program holds.
// RUN: tl-opt %s | filecheck %s
// RUN: tl-opt %s > %t
// RUN: tl-opt %t | diff %t -

// CHECK-LABEL: func.func @matrices(
// CHECK: %[[W:[0-9]+]]:4 = "tl.load_matrix"(%arg0, %arg1, %arg2) {transpose = true} : (memref<16x16xf16, #tl.scope<"shared">>, i32, i32) -> (i32, i32, i32, i32)
// CHECK: %[[D:[0-9]+]]:4 = "tl.warp_mma"(%[[W]]#0, %[[W]]#1, %[[W]]#2, %[[W]]#3, %[[W]]#0, %[[W]]#1
// CHECK-SAME: a = "f16", b = "f16", c = "f32", segments = array<i32: 4, 2, 4>, shape = array<i32: 16, 8, 16>
// CHECK: "tl.store_matrix"(%arg0, %arg1, %arg2, %[[D]]#0, %[[D]]#1) {count = 2 : i32, transpose = false}
func.func @matrices(%s: memref<16x16xf16, #tl.scope<"shared">>, %i: i32, %j: i32) {
  %w:4 = "tl.load_matrix"(%s, %i, %j) {transpose = true} : (memref<16x16xf16, #tl.scope<"shared">>, i32, i32) -> (i32, i32, i32, i32)
  %d:4 = "tl.warp_mma"(%w#0, %w#1, %w#2, %w#3, %w#0, %w#1, %i, %i, %j, %j) {shape = array<i32: 16, 8, 16>, segments = array<i32: 4, 2, 4>, a = "f16", b = "f16", c = "f32"} : (i32, i32, i32, i32, i32, i32, i32, i32, i32, i32) -> (i32, i32, i32, i32)
  "tl.store_matrix"(%s, %i, %j, %d#0, %d#1) {count = 2 : i32, transpose = false} : (memref<16x16xf16, #tl.scope<"shared">>, i32, i32, i32, i32) -> ()
  return
}

// CHECK-LABEL: func.func @doubles(
// CHECK: "tl.warp_mma"(%arg0, %arg0, %arg0, %arg0) {{.*}} : (f64, f64, f64, f64) -> (f64, f64)
func.func @doubles(%x: f64) {
  %d:2 = "tl.warp_mma"(%x, %x, %x, %x) {shape = array<i32: 8, 8, 4>, segments = array<i32: 1, 1, 2>, a = "f64", b = "f64", c = "f64"} : (f64, f64, f64, f64) -> (f64, f64)
  return
}

// CHECK-LABEL: func.func @warpgroup(
// CHECK: "tl.warpgroup_mma"(%arg0, %arg1, %arg1, %arg1, %arg1, %arg1, %arg1) {a = "f16", b = "f16", n = 8 : i32, negate_a, transpose_b}
func.func @warpgroup(%c: memref<4xf32, #tl.scope<"local">>, %i: i32) {
  "tl.warpgroup_mma"(%c, %i, %i, %i, %i, %i, %i) {n = 8 : i32, a = "f16", b = "f16", transpose_b, negate_a} : (memref<4xf32, #tl.scope<"local">>, i32, i32, i32, i32, i32, i32) -> ()
  return
}
