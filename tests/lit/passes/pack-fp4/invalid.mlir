// RUN: tl-opt %s --target=sm_100a --split-input-file --verify-diagnostics --pack-fp4
!s = memref<128x64xf4E2M1FN, #tl.scope<"shared">>
!f = memref<128x64xf32, #tl.scope<"fragment">>

func.func @written(%n: i32) {
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    %s = "tl.alloc"() : () -> !s
    %f = "tl.alloc"() : () -> !f
    // expected-error@+1 {{elements of float4_e2m1fn written one by one, or used without a conversion}}
    "tl.copy"(%f, %s) : (!f, !s) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

func.func @odd(%n: i32) {
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    // expected-error@+1 {{float4_e2m1fn with a last dimension, stride or place of 63}}
    %s = "tl.alloc"() : () -> memref<128x63xf4E2M1FN, #tl.scope<"shared">>
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
