// The metadata of a sparse product go to tensor memory: two half rows of 16-bit groups per lane, four columns per
// instruction of 32 elements along k.
// RUN: tl-opt %s --use-tensor-memory --target=sm_100a | filecheck %s

!a = memref<128x64xf16, #tl.scope<"shared">>
!b = memref<64x128xf16, #tl.scope<"shared">>
!c = memref<128x64xf32, #tl.scope<"tmem">>
!e = memref<128x8xi16, #tl.scope<"shared">>
// CHECK-LABEL: func.func @sparse
func.func @sparse(%n: i32, %k: i1) {
  "tl.launch"(%n) ({
  ^bb0(%bx: i32):
    // CHECK-DAG: %[[X:.*]] = "tl.alloc"() : () -> memref<128x16xi32, #tl.scope<"tmem">>
    // CHECK-DAG: %[[F:.*]] = "tl.alloc"() : () -> memref<128x16xi32, #tl.scope<"fragment">>
    %a = "tl.alloc"() : () -> !a
    %b = "tl.alloc"() : () -> !b
    %c = "tl.alloc"() : () -> !c
    // CHECK: %[[E:.*]] = "tl.alloc"() : () -> memref<128x8xi16, #tl.scope<"shared">>
    %e = "tl.alloc"() : () -> !e
    // CHECK: "tl.parallel"
    // CHECK-COUNT-2: memref.load %[[E]]
    // CHECK: memref.store %{{.*}}, %[[F]]
    // CHECK: extents = array<i64: 128, 16>
    // CHECK: "tl.copy"(%[[F]], %[[X]])
    // CHECK: "tl.tcgen05_sparse_mma"(%{{.*}}, %[[X]])
    "tl.tcgen05_sparse_mma"(%a, %b, %c, %k, %e) {transpose_a = false, transpose_b = true} : (!a, !b, !c, i1, !e) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
