// An operand of 4 bits beside one of 8: the threads bring it into a tile whose every 16 bytes hold 16 elements in the
// first eight.
// RUN: tl-opt %s --use-tensor-memory --target=sm_100a | filecheck %s

!a = memref<128x128xf8E4M3FN, #tl.scope<"shared">>
!b = memref<48x64xi8, #tl.scope<"shared">>
!u = memref<128x1xi32, #tl.scope<"shared">>
!v = memref<48x1xi32, #tl.scope<"shared">>
!c = memref<128x48xf32, #tl.scope<"fragment">>
// CHECK-LABEL: func.func @padded
func.func @padded(%n: i32) {
  "tl.launch"(%n) ({
  ^bb0(%bx: i32):
    // CHECK: %[[P:.*]] = "tl.alloc"() : () -> memref<48x128xi8, #tl.scope<"shared">>
    %a = "tl.alloc"() : () -> !a
    // CHECK: %[[B:.*]] = "tl.alloc"() : () -> memref<48x64xi8, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> !b
    %u = "tl.alloc"() : () -> !u
    %v = "tl.alloc"() : () -> !v
    %c = "tl.alloc"() : () -> !c
    // CHECK: "tl.parallel"
    // CHECK: memref.load %[[B]]
    // CHECK: memref.store %{{.*}}, %[[P]]
    // CHECK: extents = array<i64: 48, 8, 8>
    // CHECK: "tl.tcgen05_scaled_mma"(%{{.*}}, %[[P]], {{.*}}) {b_padded = "e2m1", scale_blocks = array<i64: 32, 32>,
    // CHECK-NOT: packed
    "tl.mma_scaled"(%a, %b, %c, %u, %v) {b_packed = "e2m1", clear = true, policy = "square", scale_blocks = array<i64: 32, 32>, scale_bytes = array<i64: 0, 0>, transpose_a = false, transpose_b = true} : (!a, !b, !c, !u, !v) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// Four 6-bit elements in three bytes: of every 16 bytes the first twelve.
!x = memref<128x96xi8, #tl.scope<"shared">>
!y = memref<48x96xi8, #tl.scope<"shared">>
// CHECK-LABEL: func.func @sixes
func.func @sixes(%n: i32) {
  "tl.launch"(%n) ({
  ^bb0(%bx: i32):
    // CHECK-DAG: %[[Y:.*]] = "tl.alloc"() : () -> memref<48x128xi8, #tl.scope<"shared">>
    // CHECK-DAG: %[[X:.*]] = "tl.alloc"() : () -> memref<128x128xi8, #tl.scope<"shared">>
    %x = "tl.alloc"() : () -> !x
    %y = "tl.alloc"() : () -> !y
    %u = "tl.alloc"() : () -> !u
    %v = "tl.alloc"() : () -> !v
    %c = "tl.alloc"() : () -> !c
    // CHECK: extents = array<i64: 128, 8, 12>
    // CHECK: extents = array<i64: 48, 8, 12>
    // CHECK: "tl.tcgen05_scaled_mma"(%[[X]], %[[Y]], {{.*}}) {a_padded = "e2m3", b_padded = "e3m2",
    "tl.mma_scaled"(%x, %y, %c, %u, %v) {a_packed = "e2m3", b_packed = "e3m2", clear = true, policy = "square", scale_blocks = array<i64: 32, 32>, scale_bytes = array<i64: 0, 0>, transpose_a = false, transpose_b = true} : (!x, !y, !c, !u, !v) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
