// Single elements: a read takes its half of a byte, writes come in pairs.
// RUN: tl-opt %s --target=sm_90a --pack-elements | filecheck %s

// CHECK-LABEL: func.func @pairs(
// CHECK: "tl.parallel"() ({
// CHECK-NEXT: ^bb0(%[[I:.*]]: i32, %[[W:.*]]: i32):
// CHECK: memref.load %{{.*}} : memref<8x32xf32
// CHECK: "tl.bitcast"(%{{.*}}) : (f4E2M1FN) -> i8
// CHECK: memref.load %{{.*}} : memref<8x32xf32
// CHECK: "tl.bitcast"(%{{.*}}) : (f4E2M1FN) -> i8
// CHECK: arith.shli %{{.*}} : i8
// CHECK: %[[BYTE:.*]] = arith.ori %{{.*}} : i8
// CHECK: memref.store %[[BYTE]], %{{.*}} : memref<8x16xi8
// CHECK-NOT: memref.store
// CHECK: {extents = array<i64: 8, 16>}
// CHECK: "tl.parallel"() ({
// CHECK: arith.divui
// CHECK: memref.load %{{.*}} : memref<8x16xi8
// CHECK: arith.shrui %{{.*}} : i8
// CHECK: %[[CODE:.*]] = "tl.bitcast"(%{{.*}}) : (i8) -> f4E2M1FN
// CHECK: "tl.cast"(%[[CODE]]) {from = "float4_e2m1fn", to = "float32"}
// CHECK: {extents = array<i64: 8, 32>}
func.func @pairs(%n: i32) {
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    %q = "tl.alloc"() : () -> memref<8x32xf4E2M1FN, #tl.scope<"shared">>
    %f = "tl.alloc"() : () -> memref<8x32xf32, #tl.scope<"fragment">>
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      %v = memref.load %f[%ii, %jj] : memref<8x32xf32, #tl.scope<"fragment">>
      %c = "tl.cast"(%v) {from = "float32", to = "float4_e2m1fn"} : (f32) -> f4E2M1FN
      memref.store %c, %q[%ii, %jj] : memref<8x32xf4E2M1FN, #tl.scope<"shared">>
    }) {extents = array<i64: 8, 32>} : () -> ()
    "tl.copy"(%q, %f) : (memref<8x32xf4E2M1FN, #tl.scope<"shared">>, memref<8x32xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 64, 1, 1>} : (i32) -> ()
  return
}
