// A shared tile of 128 rows goes to tensor memory by itself; one whose rows are no whole 32 bytes, one of 64 rows and one
// of other elements pass through registers.
// RUN: tl-opt %s --target=sm_100a --use-tensor-memory | filecheck %s

// CHECK: %[[A:.*]] = "tl.alloc"() : () -> memref<128x64xf16, #tl.scope<"shared">>
// CHECK: "tl.tcgen05_cp"(%[[A]], %{{.*}}) {by_rows}
// CHECK-NEXT: "tl.tcgen05_commit"(%{{.*}}, %{{.*}}) {tl.synchronous}
// CHECK: "tl.mbarrier_wait"
// CHECK-COUNT-3: "tl.copy"
// CHECK-NOT: "tl.tcgen05_cp"
func.func @f(%n: i32) {
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    %a = "tl.alloc"() : () -> memref<128x64xf16, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<128x24xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %ta = "tl.alloc"() : () -> memref<128x64xf16, #tl.scope<"tmem">>
    %tb = "tl.alloc"() : () -> memref<128x24xf16, #tl.scope<"tmem">>
    %tc = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"tmem">>
    %td = "tl.alloc"() : () -> memref<128x64xf32, #tl.scope<"tmem">>
    "tl.copy"(%a, %ta) : (memref<128x64xf16, #tl.scope<"shared">>, memref<128x64xf16, #tl.scope<"tmem">>) -> ()
    "tl.copy"(%b, %tb) : (memref<128x24xf16, #tl.scope<"shared">>, memref<128x24xf16, #tl.scope<"tmem">>) -> ()
    "tl.copy"(%c, %tc) : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"tmem">>) -> ()
    "tl.copy"(%a, %td) : (memref<128x64xf16, #tl.scope<"shared">>, memref<128x64xf32, #tl.scope<"tmem">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
