// Fences stand around every synchronisation, once; a kernel without tensor memory gets none.
// RUN: tl-opt %s --target=sm_100a --order-tensor-memory | filecheck %s

// CHECK-LABEL: @with
// CHECK: "tl.tcgen05_fence"() {kind = "before"}
// CHECK-NEXT: "tl.sync_threads"
// CHECK-NEXT: "tl.tcgen05_fence"() {kind = "after"}
// CHECK: "tl.mbarrier_wait"
// CHECK-NEXT: "tl.tcgen05_fence"() {kind = "after"}
// CHECK-NEXT: "tl.tcgen05_fence"() {kind = "before"}
// CHECK-NEXT: "tl.mbarrier_arrive"
// CHECK-LABEL: @without
// CHECK-NOT: tcgen05_fence
func.func @with(%n: i32) {
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    %t = "tl.alloc"() : () -> memref<128x64xf32, #tl.scope<"tmem">>
    %b = "tl.alloc_barrier"() {counts = array<i64: 1>} : () -> !tl.barrier<1 : i64>
    "tl.tcgen05_fence"() {kind = "before"} : () -> ()
    "tl.sync_threads"() : () -> ()
    "tl.mbarrier_wait"(%b, %x, %x) : (!tl.barrier<1 : i64>, i32, i32) -> ()
    "tl.mbarrier_arrive"(%b, %x) : (!tl.barrier<1 : i64>, i32) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
func.func @without(%n: i32) {
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    "tl.sync_threads"() : () -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
