
// What a target lacks is named, with the targets that have it.
// RUN: tl-opt %s --stage=lowered --target=gfx1100 --verify-diagnostics

func.func @product(%a: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float64", kind = "tensor", name = "A"}]} {
  %c1 = arith.constant 1 : i32
  "tl.launch"(%c1) ({
  ^bb0(%x: i32):
    %s = "tl.alloc"() : () -> memref<16x16xf64, #tl.scope<"shared">>
    %f = "tl.alloc"() : () -> memref<16x16xf64, #tl.scope<"fragment">>
    // expected-error@below {{a matrix product of f64 needs mfma, which hip:gfx1100 lacks}}
    "tl.gemm"(%s, %s, %f) {clear = true, policy = "square", transpose_a = false, transpose_b = true} : (memref<16x16xf64, #tl.scope<"shared">>, memref<16x16xf64, #tl.scope<"shared">>, memref<16x16xf64, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
