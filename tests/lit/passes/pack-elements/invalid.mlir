// RUN: tl-opt %s --target=sm_100a --split-input-file --verify-diagnostics --pack-elements
!s = memref<128x64xf4E2M1FN, #tl.scope<"fragment">>

func.func @alone(%n: i32) {
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    %s = "tl.alloc"() : () -> !s
    %c0 = arith.constant 0 : index
    %x1 = arith.constant 1.0 : f4E2M1FN
    // expected-error@+1 {{a 4-bit element is written by itself}}
    memref.store %x1, %s[%c0, %c0] : !s
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

func.func @arithmetic(%n: i32) {
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    %s = "tl.alloc"() : () -> memref<128x64xf4E2M1FN, #tl.scope<"shared">>
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      %v = memref.load %s[%ii, %jj] : memref<128x64xf4E2M1FN, #tl.scope<"shared">>
      %w = arith.negf %v : f4E2M1FN
      // expected-error@+1 {{arithmetic on 4-bit elements}}
      memref.store %w, %s[%ii, %jj] : memref<128x64xf4E2M1FN, #tl.scope<"shared">>
    }) {extents = array<i64: 128, 64>} : () -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

func.func @transposed(%n: i32) {
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    %s = "tl.alloc"() : () -> memref<64x64xf4E2M1FN, #tl.scope<"shared">>
    %t = "tl.alloc"() : () -> memref<64x64xf4E2M1FN, #tl.scope<"shared">>
    // expected-error@+1 {{tl.transpose of 4-bit elements}}
    "tl.transpose"(%s, %t) : (memref<64x64xf4E2M1FN, #tl.scope<"shared">>, memref<64x64xf4E2M1FN, #tl.scope<"shared">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

func.func @odd(%n: i32) {
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    // expected-error@+1 {{4-bit elements with a last dimension, stride or place of 63}}
    %s = "tl.alloc"() : () -> memref<128x63xf4E2M1FN, #tl.scope<"shared">>
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

func.func @no_whole_group(%n: i32) {
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    // expected-error@+1 {{6-bit elements with a last dimension, stride or place of 62}}
    %s = "tl.alloc"() : () -> memref<128x62xf6E2M3FN, #tl.scope<"shared">>
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
