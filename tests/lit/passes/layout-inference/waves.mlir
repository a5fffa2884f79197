// MFMA needs all 64 lanes of a wave.
// RUN: tl-opt %s --layout-inference --target=gfx942 --verify-diagnostics
!s = memref<32x32xf16, #tl.scope<"shared">>
!c = memref<32x32xf32, #tl.scope<"fragment">>

func.func @parts_of_waves() {
  %one = arith.constant 1 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> !s
    %c = "tl.alloc"() : () -> !c
    // expected-error@+1 {{a matrix product by 160 threads: hip:gfx942 multiplies with whole waves of 64}}
    "tl.gemm"(%a, %a, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !c) -> ()
  }) {threads = array<i32: 160, 1, 1>} : (i32) -> ()
  return
}
