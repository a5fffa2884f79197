// A product that clears its sums in the first iteration adds to sums that are cleared in front of the loop. Not so where the
// iteration is another one, or where something else of the loop touches the sums.
// RUN: tl-opt %s --target=sm_90a --legalize-tile-ops | filecheck %s

// CHECK-LABEL: @first
// CHECK: "tl.fill"(%[[C:.*]], %{{.*}}) : (memref<64x64xf32
// CHECK-NEXT: scf.for
// CHECK: "tl.gemm"(%{{[0-9]+}}, %{{[0-9]+}}, %[[C]]) {clear = false

// CHECK-LABEL: @other
// CHECK-NOT: "tl.fill"
// CHECK: i1) -> ()

// CHECK-LABEL: @touched
// CHECK: scf.for
// CHECK: i1) -> ()
func.func @first() attributes {tl.params = []} {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c4 = arith.constant 4 : i32
  %one = arith.constant 1.0 : f32
  "tl.launch"(%c1) ({
  ^bb0(%block: i32):
    %a = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    scf.for %k = %c0 to %c4 step %c1 : i32 {
      %when = arith.cmpi eq, %k, %c0 : i32
      "tl.gemm"(%a, %a, %c, %when) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>, i1) -> ()
    }
  }) {name = "first_kernel", threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
func.func @other() attributes {tl.params = []} {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c4 = arith.constant 4 : i32
  %one = arith.constant 1.0 : f32
  "tl.launch"(%c1) ({
  ^bb0(%block: i32):
    %a = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    scf.for %k = %c0 to %c4 step %c1 : i32 {
      %when = arith.cmpi eq, %k, %c1 : i32
      "tl.gemm"(%a, %a, %c, %when) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>, i1) -> ()
    }
  }) {name = "other_kernel", threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
func.func @touched() attributes {tl.params = []} {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c4 = arith.constant 4 : i32
  %one = arith.constant 1.0 : f32
  "tl.launch"(%c1) ({
  ^bb0(%block: i32):
    %a = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    scf.for %k = %c0 to %c4 step %c1 : i32 {
      %when = arith.cmpi eq, %k, %c0 : i32
      "tl.gemm"(%a, %a, %c, %when) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>, i1) -> ()
      "tl.fill"(%c, %one) : (memref<64x64xf32, #tl.scope<"fragment">>, f32) -> ()
    }
  }) {name = "touched_kernel", threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
