// What tensor memory cannot do is an error at the line that asks for it.
// RUN: tl-opt %s --target=sm_100a --split-input-file --verify-diagnostics --use-tensor-memory

func.func @rows(%n: i32) {
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    %a = "tl.alloc"() : () -> memref<96x64xf16, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %t = "tl.alloc"() : () -> memref<96x64xf32, #tl.scope<"tmem">>
    // expected-error@+1 {{T.gemm into tensor memory has no product with an accumulator of 96 rows, which must have 64 or 128}}
    "tl.gemm"(%a, %b, %t) {transpose_a = false, transpose_b = false, policy = "square"} : (memref<96x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"shared">>, memref<96x64xf32, #tl.scope<"tmem">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

func.func @elements(%n: i32) {
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    %t = "tl.alloc"() : () -> memref<128x64xf32, #tl.scope<"tmem">>
    %i = arith.constant 0 : index
    // expected-error@+1 {{elements of tensor memory cannot be accessed one by one}}
    %v = memref.load %t[%i, %i] : memref<128x64xf32, #tl.scope<"tmem">>
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
