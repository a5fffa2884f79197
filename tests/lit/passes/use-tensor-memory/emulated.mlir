// A product of 8-bit floats that starts from zero is computed in tensor memory; of 16-bit ones, or added to what the
// fragment holds, mma.sync does it.
// RUN: tl-opt %s --target=sm_100a --use-tensor-memory | filecheck %s

// CHECK: %[[T:.*]] = "tl.alloc"() : () -> memref<128x64xf32, #tl.scope<"tmem">>
// CHECK: %[[C:.*]] = "tl.alloc"() : () -> memref<128x64xf32, #tl.scope<"fragment">>
// CHECK: "tl.tcgen05_mma"(%{{.*}}, %{{.*}}, %[[T]]
// CHECK: "tl.mbarrier_wait"
// CHECK: "tl.copy"(%[[T]], %[[C]])
// CHECK-NOT: tcgen05
// CHECK-COUNT-2: "tl.gemm"
!s = memref<128x64xf8E4M3FN, #tl.scope<"shared">>
!b = memref<64x64xf8E4M3FN, #tl.scope<"shared">>
!h = memref<128x64xf16, #tl.scope<"shared">>
!g = memref<64x64xf16, #tl.scope<"shared">>
!f = memref<128x64xf32, #tl.scope<"fragment">>
func.func @product(%n: i32) attributes {tl.params = [{dtype = "int32", kind = "symbol", name = "n"}]} {
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    %a = "tl.alloc"() : () -> !s
    %b = "tl.alloc"() : () -> !b
    %h = "tl.alloc"() : () -> !h
    %g = "tl.alloc"() : () -> !g
    %c = "tl.alloc"() : () -> !f
    %d = "tl.alloc"() : () -> !f
    %e = "tl.alloc"() : () -> !f
    "tl.gemm"(%a, %b, %c) {transpose_a = false, transpose_b = true, clear = true, policy = "square"} : (!s, !b, !f) -> ()
    "tl.gemm"(%h, %g, %d) {transpose_a = false, transpose_b = true, clear = true, policy = "square"} : (!h, !g, !f) -> ()
    "tl.gemm"(%a, %b, %e) {transpose_a = false, transpose_b = true, clear = false, policy = "square"} : (!s, !b, !f) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
