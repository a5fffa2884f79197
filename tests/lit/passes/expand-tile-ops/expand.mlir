// RUN: tl-opt %s --expand-tile-ops --canonicalize --cse --target=sm_80 | filecheck %s

!f = memref<32x8xf32, #tl.scope<"fragment">>
!s = memref<32x8xf16, #tl.scope<"shared">>
!l = memref<4xf32, #tl.scope<"local">>

// A copy runs where its fragment's elements lie and converts; a transpose between shared tiles is spread in vectors of its
// target; an array of each thread is filled by a loop in every thread.
// CHECK-LABEL: func.func @copy
// CHECK: %[[F:.*]] = "tl.alloc"() {layout = #tl.fragment<[[L:.*]]>} : () -> memref<32x8xf32
// CHECK: "tl.parallel"() ({
// CHECK: %[[X:.*]] = memref.load %[[S:.*]][%[[I:.*]], %[[J:.*]]] : memref<32x8xf16
// CHECK: %[[Y:.*]] = "tl.cast"(%[[X]]) {from = "float16", to = "float32"} : (f16) -> f32
// CHECK: memref.store %[[Y]], %[[F]][%[[I]], %[[J]]] : memref<32x8xf32
// CHECK: }) {extents = array<i64: 32, 8>, layout = #tl.fragment<[[L]]>}
// CHECK: %[[T:.*]] = memref.load %[[S]][%[[A:.*]], %[[B:.*]]] : memref<32x8xf16
// CHECK: memref.store %[[T]], %{{.*}}[%[[B]], %[[A]]] : memref<8x32xf16
// CHECK: }) {extents = array<i64: 8, 32>, layout = #tl.fragment<array<i64: 8, 32>, array<i64: 4, 1, 8, 8, 0, 1>, array<i64: 8, 1, 1>>}
// CHECK: scf.for
// CHECK: memref.store {{.*}} : memref<4xf32, #tl.scope<"local">>
// CHECK: {tl.unroll}
func.func @copy() {
  %one = arith.constant 1 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %z = arith.constant 0.0 : f32
    %f = "tl.alloc"() {layout = #tl.fragment<array<i64: 32, 8>, array<i64: 32, 0, 1>, array<i64: 8, 1, 1>>} : () -> !f
    %s = "tl.alloc"() {layout = #tl.smem<array<i64: 32, 8>, array<i64: 8, 1, 1, 1, 32, 0, 1, 8>, array<i64: 0, 0, 0>>} : () -> !s
    %t = "tl.alloc"() {layout = #tl.smem<array<i64: 8, 32>, array<i64: 32, 1, 1, 1, 8, 0, 1, 32>, array<i64: 0, 0, 0>>} : () -> memref<8x32xf16, #tl.scope<"shared">>
    %l = "tl.alloc"() : () -> !l
    "tl.copy"(%s, %f) : (!s, !f) -> ()
    "tl.transpose"(%s, %t) : (!s, memref<8x32xf16, #tl.scope<"shared">>) -> ()
    "tl.fill"(%l, %z) : (!l, f32) -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
