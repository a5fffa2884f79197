// More columns than a multiprocessor has.
// RUN: tl-opt %s --target=sm_100a --verify-diagnostics --layout-inference --plan-tensor-memory

func.func @plan(%n: i32) {
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    %a = "tl.alloc"() : () -> memref<128x256xf32, #tl.scope<"tmem">>
    // expected-error@+1 {{the kernel needs 1024 columns of tensor memory, a multiprocessor has 512}}
    %b = "tl.alloc"() : () -> memref<2x128x256xf32, #tl.scope<"tmem">>
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
