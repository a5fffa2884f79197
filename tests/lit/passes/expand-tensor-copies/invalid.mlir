// Half a warpgroup reaches half of the lanes.
// RUN: tl-opt %s --target=sm_100a --verify-diagnostics --layout-inference --expand-tensor-copies

func.func @copies(%n: i32) {
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    %t = "tl.alloc"() : () -> memref<128x64xf32, #tl.scope<"tmem">>
    %s = "tl.alloc"() : () -> memref<128x64xf32, #tl.scope<"shared">>
    // expected-error@+1 {{64 threads cannot access 32 columns of a tensor memory tile of [128, 64]}}
    "tl.copy"(%t, %s) : (memref<128x64xf32, #tl.scope<"tmem">>, memref<128x64xf32, #tl.scope<"shared">>) -> ()
  }) {threads = array<i32: 64, 1, 1>} : (i32) -> ()
  return
}
