// 6-bit floats: four in three bytes in shared memory, one in a byte in registers; products name the format.
// RUN: tl-opt %s --target=gfx950 --pack-elements | filecheck %s
!s = memref<64x128xf6E2M3FN, #tl.scope<"shared">>
!c = memref<64x64xf32, #tl.scope<"fragment">>

// CHECK-LABEL: func.func @six(
func.func @six(%n: i32) {
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    // CHECK: "tl.alloc"() : () -> memref<64x96xi8, #tl.scope<"shared">>
    %s = "tl.alloc"() : () -> !s
    // CHECK: %[[Q:.*]] = "tl.alloc"() : () -> memref<64x128xi8, #tl.scope<"fragment">>
    %q = "tl.alloc"() : () -> memref<64x128xf6E2M3FN, #tl.scope<"fragment">>
    %c = "tl.alloc"() : () -> !c
    // CHECK: "tl.parallel"
    // CHECK-COUNT-4: memref.load %[[Q]]
    // CHECK-COUNT-3: memref.store %{{.*}} : memref<64x96xi8
    // CHECK-NOT: memref.store
    // CHECK: {extents = array<i64: 64, 32>}
    "tl.copy"(%q, %s) : (memref<64x128xf6E2M3FN, #tl.scope<"fragment">>, !s) -> ()
    // CHECK: "tl.gemm"({{.*}}) {a_packed = "e2m3", b_packed = "e2m3"
    "tl.gemm"(%s, %s, %c) {policy = "square", transpose_a = false, transpose_b = true} : (!s, !s, !c) -> ()
  }) {threads = array<i32: 64, 1, 1>} : (i32) -> ()
  return
}
