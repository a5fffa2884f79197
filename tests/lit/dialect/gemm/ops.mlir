// Matrix products.
// RUN: tl-opt %s | filecheck %s
// RUN: tl-opt %s > %t
// RUN: tl-opt %t | diff %t -

// CHECK-LABEL: func.func @gemm(
// CHECK: "tl.gemm"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (memref<128x32xf16, #tl.scope<"shared">>, memref<32x64xf16, #tl.scope<"shared">>, memref<128x64xf32, #tl.scope<"fragment">>) -> ()
// CHECK: "tl.gemm"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {clear = true, policy = "full_row", transpose_a = true, transpose_b = true} : (memref<32x128xf16, #tl.scope<"fragment">>, memref<1x64x32xf16, #tl.scope<"shared">>, memref<128x64xf32, #tl.scope<"fragment">>) -> ()
// CHECK: "tl.gemm"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {policy = "full_col", transpose_a = false, transpose_b = false, wgmma} : (memref<128x32xf16, #tl.scope<"shared">>, memref<32x64xf16, #tl.scope<"shared">>, memref<128x64xf32, #tl.scope<"fragment">>, i1) -> ()
func.func @gemm(%a: memref<128x32xf16, #tl.scope<"shared">>, %b: memref<32x64xf16, #tl.scope<"shared">>, %c: memref<128x64xf32, #tl.scope<"fragment">>, %at: memref<32x128xf16, #tl.scope<"fragment">>, %bt: memref<1x64x32xf16, #tl.scope<"shared">>, %z: i1) {
  "tl.gemm"(%a, %b, %c) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (memref<128x32xf16, #tl.scope<"shared">>, memref<32x64xf16, #tl.scope<"shared">>, memref<128x64xf32, #tl.scope<"fragment">>) -> ()
  "tl.gemm"(%at, %bt, %c) {clear = true, policy = "full_row", transpose_a = true, transpose_b = true} : (memref<32x128xf16, #tl.scope<"fragment">>, memref<1x64x32xf16, #tl.scope<"shared">>, memref<128x64xf32, #tl.scope<"fragment">>) -> ()
  "tl.gemm"(%a, %b, %c, %z) {policy = "full_col", transpose_a = false, transpose_b = false, wgmma} : (memref<128x32xf16, #tl.scope<"shared">>, memref<32x64xf16, #tl.scope<"shared">>, memref<128x64xf32, #tl.scope<"fragment">>, i1) -> ()
  return
}

// CHECK-LABEL: func.func @integers(
// CHECK: "tl.gemm"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {a_unsigned, policy = "square", transpose_a = false, transpose_b = false} : (memref<16x32xi8, #tl.scope<"shared">>, memref<32x8xi8, #tl.scope<"shared">>, memref<16x8xi32, #tl.scope<"fragment">>) -> ()
func.func @integers(%a: memref<16x32xi8, #tl.scope<"shared">>, %b: memref<32x8xi8, #tl.scope<"shared">>, %c: memref<16x8xi32, #tl.scope<"fragment">>) {
  "tl.gemm"(%a, %b, %c) {a_unsigned, policy = "square", transpose_a = false, transpose_b = false} : (memref<16x32xi8, #tl.scope<"shared">>, memref<32x8xi8, #tl.scope<"shared">>, memref<16x8xi32, #tl.scope<"fragment">>) -> ()
  return
}

// CHECK-LABEL: func.func @ten_bits(
// CHECK: "tl.gemm"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {policy = "square", tf32, transpose_a = false, transpose_b = false} : (memref<16x32xf32, #tl.scope<"shared">>, memref<32x16xf32, #tl.scope<"shared">>, memref<16x16xf32, #tl.scope<"fragment">>) -> ()
func.func @ten_bits(%a: memref<16x32xf32, #tl.scope<"shared">>, %b: memref<32x16xf32, #tl.scope<"shared">>, %c: memref<16x16xf32, #tl.scope<"fragment">>) {
  "tl.gemm"(%a, %b, %c) {tf32, policy = "square", transpose_a = false, transpose_b = false} : (memref<16x32xf32, #tl.scope<"shared">>, memref<32x16xf32, #tl.scope<"shared">>, memref<16x16xf32, #tl.scope<"fragment">>) -> ()
  return
}

// CHECK-LABEL: func.func @load_operand(
// CHECK: "tl.load_operand"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {k_dim = 1 : i32, side = "a", warps = array<i32: 2, 2>} : (memref<1x64x16xf16, #tl.scope<"shared">>, memref<64x16xf16, #tl.scope<"fragment">>) -> ()
func.func @load_operand(%s: memref<1x64x16xf16, #tl.scope<"shared">>, %f: memref<64x16xf16, #tl.scope<"fragment">>) {
  "tl.load_operand"(%s, %f) {side = "a", k_dim = 1 : i32, warps = array<i32: 2, 2>} : (memref<1x64x16xf16, #tl.scope<"shared">>, memref<64x16xf16, #tl.scope<"fragment">>) -> ()
  return
}

// CHECK-LABEL: func.func @scaled(
// CHECK: "tl.mma_scaled"({{.*}}) {a_packed = "e2m1", b_packed = "e2m1", policy = "square", scale_blocks = array<i64: 16, 16>, scale_bytes = array<i64: 0, 0>, transpose_a = false, transpose_b = true}
func.func @scaled(%a: memref<64x32xi8, #tl.scope<"shared">>, %b: memref<48x32xi8, #tl.scope<"shared">>, %c: memref<64x48xf32, #tl.scope<"fragment">>, %x: memref<64x1xi32, #tl.scope<"shared">>, %y: memref<48x1xi32, #tl.scope<"shared">>) {
  "tl.mma_scaled"(%a, %b, %c, %x, %y) {a_packed = "e2m1", b_packed = "e2m1", policy = "square", scale_blocks = array<i64: 16, 16>, scale_bytes = array<i64: 0, 0>, transpose_a = false, transpose_b = true} : (memref<64x32xi8, #tl.scope<"shared">>, memref<48x32xi8, #tl.scope<"shared">>, memref<64x48xf32, #tl.scope<"fragment">>, memref<64x1xi32, #tl.scope<"shared">>, memref<48x1xi32, #tl.scope<"shared">>) -> ()
  return
}

// One operand of 4 bits: its bytes hold two elements along k.
// CHECK-LABEL: func.func @mixed(
// CHECK: "tl.mma_scaled"({{.*}}) {b_packed = "e2m1", policy = "square", scale_blocks = array<i64: 32, 32>, scale_bytes = array<i64: 0, 0>, transpose_a = false, transpose_b = true}
func.func @mixed(%a: memref<64x64xf8E4M3FN, #tl.scope<"shared">>, %b: memref<48x32xi8, #tl.scope<"shared">>, %c: memref<64x48xf32, #tl.scope<"fragment">>, %x: memref<64x1xi32, #tl.scope<"shared">>, %y: memref<48x1xi32, #tl.scope<"shared">>) {
  "tl.mma_scaled"(%a, %b, %c, %x, %y) {b_packed = "e2m1", policy = "square", scale_blocks = array<i64: 32, 32>, scale_bytes = array<i64: 0, 0>, transpose_a = false, transpose_b = true} : (memref<64x64xf8E4M3FN, #tl.scope<"shared">>, memref<48x32xi8, #tl.scope<"shared">>, memref<64x48xf32, #tl.scope<"fragment">>, memref<64x1xi32, #tl.scope<"shared">>, memref<48x1xi32, #tl.scope<"shared">>) -> ()
  return
}
