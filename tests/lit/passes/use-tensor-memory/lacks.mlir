// A target without tensor memory.
// RUN: tl-opt %s --target=sm_90a --verify-diagnostics --use-tensor-memory

func.func @alloc(%n: i32) {
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    // expected-error@+1 {{T.alloc_tmem needs tcgen05 and tensor memory, which cuda:sm_90a lacks}}
    %t = "tl.alloc"() : () -> memref<128x64xf32, #tl.scope<"tmem">>
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
