// RUN: not tl-opt %s --layout-inference --target=sm_80 --split-input-file 2>&1 | filecheck %s
// RUN: tl-opt %s --layout-inference --target=sm_80 --split-input-file --verify-diagnostics

// The error shows both layouts and both lines.
// CHECK: invalid.mlir:23:5: error: the buffer needs two different layouts
// CHECK: invalid.mlir:23:5: note: here it needs fragment [64, 64] threads (4@1*2, 8@0*1, 4@1*16) registers (2@1*1, 2@0*8, 2@1*8, 4@0*16)
// CHECK: invalid.mlir:21:5: note: here it needs fragment [64, 64] threads (4@1*2, 8@0*1, 4@0*16) registers (2@1*1, 2@0*8, 8@1*8)
// CHECK: note: allocated here
// CHECK: hint: copy it to a second buffer, or make the operations agree
!c = memref<64x64xf32, #tl.scope<"fragment">>
!h = memref<64x64xf16, #tl.scope<"fragment">>
!s = memref<64x64xf16, #tl.scope<"shared">>

func.func @conflict() {
  %one = arith.constant 1 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> !s
    %b = "tl.alloc"() : () -> !s
    %c = "tl.alloc"() : () -> !c
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "full_row", transpose_a = false, transpose_b = false} : (!s, !s, !c) -> ()
    // expected-error@+1 {{the buffer needs two different layouts}}
    "tl.gemm"(%a, %b, %c) {clear = false, policy = "full_col", transpose_a = false, transpose_b = false} : (!s, !s, !c) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

// CHECK: error: C of 24x24 is no multiple of 16x8, which one instruction computes
// CHECK: hint: choose other block sizes
func.func @warps() {
  %one = arith.constant 1 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<24x24xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<24x24xf32, #tl.scope<"fragment">>
    // expected-error@+1 {{C of 24x24 is no multiple of 16x8}}
    "tl.gemm"(%a, %a, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = false} : (memref<24x24xf16, #tl.scope<"shared">>, memref<24x24xf16, #tl.scope<"shared">>, memref<24x24xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

// CHECK: error: K = 24 is no multiple of 16
func.func @depth() {
  %one = arith.constant 1 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x24xf16, #tl.scope<"fragment">>
    %b = "tl.alloc"() : () -> memref<24x64xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    // expected-error@+1 {{K = 24 is no multiple of 16}}
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "full_row", transpose_a = false, transpose_b = false} : (memref<64x24xf16, #tl.scope<"fragment">>, memref<24x64xf16, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
