// A loop of run-time length: the sum is copied where it ran, and zero elsewhere.
// RUN: tl-opt %s --target=sm_100a --use-tensor-memory | filecheck %s

// CHECK: %[[T:.*]] = "tl.alloc"() : () -> memref<128x64xf32, #tl.scope<"tmem">>
// CHECK: %[[C:.*]] = "tl.alloc"() : () -> memref<128x64xf32, #tl.scope<"fragment">>
// CHECK-NOT: "tl.fill"
// CHECK: scf.for %{{.*}} = %[[LO:.*]] to %[[HI:.*]] step
// CHECK: "tl.tcgen05_mma"(%{{.*}}, %{{.*}}, %[[T]]
// CHECK: %[[RAN:.*]] = arith.cmpi slt, %[[LO]], %[[HI]]
// CHECK: scf.if %[[RAN]] {
// CHECK-NEXT: "tl.copy"(%[[T]], %[[C]])
// CHECK-NEXT: } else {
// CHECK: "tl.fill"(%[[C]]
!s = memref<128x64xf16, #tl.scope<"shared">>
!b = memref<64x64xf16, #tl.scope<"shared">>
!f = memref<128x64xf32, #tl.scope<"fragment">>
func.func @product(%n: i32) attributes {tl.params = [{dtype = "int32", kind = "symbol", name = "n"}]} {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %zero = arith.constant 0.0 : f32
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    %a = "tl.alloc"() : () -> !s
    %b = "tl.alloc"() : () -> !b
    %c = "tl.alloc"() : () -> !f
    "tl.fill"(%c, %zero) : (!f, f32) -> ()
    scf.for %k = %c0 to %n step %c1 : i32 {
      "tl.gemm"(%a, %b, %c) {transpose_a = false, transpose_b = true, clear = false, policy = "square"} : (!s, !b, !f) -> ()
    }
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
