
// What a target lacks is named, with the targets that have it.
// RUN: tl-opt %s --stage=lowered --target=gfx1100 --split-input-file --verify-diagnostics

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

// -----

// Fewer rows than an instruction has: elsewhere there are some of four.
func.func @few_rows(%a: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}]} {
  %c1 = arith.constant 1 : i32
  "tl.launch"(%c1) ({
  ^bb0(%x: i32):
    %s = "tl.alloc"() : () -> memref<4x16xf16, #tl.scope<"shared">>
    %t = "tl.alloc"() : () -> memref<64x16xf16, #tl.scope<"shared">>
    %f = "tl.alloc"() : () -> memref<4x64xf32, #tl.scope<"fragment">>
    // expected-error@below {{C of 4x64 is no multiple of 16x16, which one instruction computes}}
    "tl.gemm"(%s, %t, %f) {clear = true, policy = "square", transpose_a = false, transpose_b = true} : (memref<4x16xf16, #tl.scope<"shared">>, memref<64x16xf16, #tl.scope<"shared">>, memref<4x64xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
