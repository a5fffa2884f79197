// A barrier in a branch of whole warps is for the threads that take it; with block-syncs for all threads of the block.
// RUN: tl-opt %s --target=sm_90a --legalize-tile-ops | filecheck %s
// RUN: tl-opt %s --target=sm_90a --legalize-tile-ops=block-syncs=True | filecheck %s --check-prefix=BLOCK

// CHECK-LABEL: func.func @barriers(
// CHECK: "tl.warpgroups"() ({
// CHECK-NEXT: "tl.fill"
// CHECK-NEXT: "tl.sync_threads"() : () -> ()
// CHECK: "tl.warpgroups"() ({
// CHECK-NEXT: "tl.sync_threads"() : () -> ()
// CHECK-NEXT: }) {groups = array<i32: 1>
// BLOCK-LABEL: func.func @barriers(
// BLOCK: "tl.fill"
// BLOCK-NEXT: "tl.sync_threads"() {count = 256 : i32, id = 0 : i32}
// BLOCK: scf.if
// BLOCK-NEXT: "tl.sync_threads"() : () -> ()
func.func @barriers() {
  %one = arith.constant 1 : i32
  %half = arith.constant 128 : i32
  %x = arith.constant 1.0 : f32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> memref<128xf32, #tl.scope<"shared">>
    %tid = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %early = arith.cmpi slt, %tid, %half : i32
    scf.if %early {
      "tl.fill"(%s, %x) : (memref<128xf32, #tl.scope<"shared">>, f32) -> ()
      "tl.sync_threads"() : () -> ()
    }
    %late = arith.cmpi sge, %tid, %half : i32
    scf.if %late {
      "tl.sync_threads"() : () -> ()
    }
  }) {threads = array<i32: 256, 1, 1>} : (i32) -> ()
  return
}
