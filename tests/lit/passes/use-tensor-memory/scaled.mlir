// A block-scaled product of fragments: its factors come to tensor memory in the order that the copy reads, rows that fill up
// 128 as zeros; the sum stays there over the loop, or goes there and back where other operations touch it.
// RUN: tl-opt %s --target=sm_100a --use-tensor-memory | filecheck %s
// RUN: tl-opt %s --target=sm_120a --use-tensor-memory | filecheck %s --check-prefix=OTHER

// CHECK-LABEL: func.func @loop
// CHECK: "tl.alloc"() : () -> memref<128x48xf32, #tl.scope<"tmem">>
// CHECK-NOT: tl.fill
// CHECK: scf.for
// CHECK: arith.cmpi ne
// CHECK: "tl.parallel"
// CHECK-NOT: scf.if
// CHECK: "tl.tcgen05_cp"(%{{.*}}, %{{.*}}) : (memref<1x128xi32, #tl.scope<"shared">>, memref<128x4xi32, #tl.scope<"tmem">>) -> ()
// CHECK: "tl.parallel"
// CHECK: scf.if
// CHECK: "tl.tcgen05_cp"
// CHECK: "tl.tcgen05_scaled_mma"({{.*}}) {scale_blocks = array<i64: 32, 32>, scale_bytes = array<i64: 0, 0>, transpose_a = false, transpose_b = true}
// CHECK: "tl.tcgen05_commit"({{.*}}) {tl.synchronous}
// CHECK: "tl.copy"({{.*}}) : (memref<128x48xf32, #tl.scope<"tmem">>, memref<128x48xf32, #tl.scope<"fragment">>) -> ()
// CHECK-LABEL: func.func @alone
// CHECK: "tl.copy"({{.*}}) : (memref<128x48xf32, #tl.scope<"fragment">>, memref<128x48xf32, #tl.scope<"tmem">>) -> ()
// CHECK: "tl.tcgen05_scaled_mma"
// CHECK: "tl.copy"({{.*}}) : (memref<128x48xf32, #tl.scope<"tmem">>, memref<128x48xf32, #tl.scope<"fragment">>) -> ()
// OTHER-NOT: tmem
// OTHER: "tl.mma_scaled"

!a = memref<128x128xf8E4M3FN, #tl.scope<"shared">>
!b = memref<48x128xf8E4M3FN, #tl.scope<"shared">>
!u = memref<128x1xi32, #tl.scope<"shared">>
!v = memref<48x1xi32, #tl.scope<"shared">>
!f = memref<128x48xf32, #tl.scope<"fragment">>
func.func @loop() attributes {tl.params = []} {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c4 = arith.constant 4 : i32
  %zero = arith.constant 0.0 : f32
  "tl.launch"(%c1) ({
  ^bb0(%x: i32):
    %a = "tl.alloc"() : () -> !a
    %b = "tl.alloc"() : () -> !b
    %u = "tl.alloc"() : () -> !u
    %v = "tl.alloc"() : () -> !v
    %c = "tl.alloc"() : () -> !f
    "tl.fill"(%c, %zero) : (!f, f32) -> ()
    scf.for %k = %c0 to %c4 step %c1 : i32 {
      "tl.mma_scaled"(%a, %b, %c, %u, %v) {clear = false, policy = "square", scale_blocks = array<i64: 32, 32>, scale_bytes = array<i64: 0, 0>, transpose_a = false, transpose_b = true} : (!a, !b, !f, !u, !v) -> ()
    }
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
func.func @alone() attributes {tl.params = []} {
  %c1 = arith.constant 1 : i32
  "tl.launch"(%c1) ({
  ^bb0(%x: i32):
    %a = "tl.alloc"() : () -> !a
    %b = "tl.alloc"() : () -> !b
    %u = "tl.alloc"() : () -> !u
    %v = "tl.alloc"() : () -> !v
    %c = "tl.alloc"() : () -> !f
    "tl.mma_scaled"(%a, %b, %c, %u, %v) {clear = false, policy = "square", scale_blocks = array<i64: 32, 32>, scale_bytes = array<i64: 0, 0>, transpose_a = false, transpose_b = true} : (!a, !b, !f, !u, !v) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
