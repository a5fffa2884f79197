// Branches have regions of whole waves, of 64 threads here.
// RUN: tl-opt %s --target=gfx942 --legalize-tile-ops | filecheck %s

// CHECK-LABEL: func.func @one_wave(
// CHECK: "tl.warpgroups"() ({
// CHECK-NEXT: "tl.fill"
// CHECK-NEXT: }) {groups = array<i32: 0, 1>, tl.branch = 0 : i32, warps}
func.func @one_wave() {
  %one = arith.constant 1 : i32
  %few = arith.constant 64 : i32
  %x = arith.constant 1.0 : f32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> memref<128xf32, #tl.scope<"shared">>
    %tid = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %early = arith.cmpi slt, %tid, %few : i32
    scf.if %early {
      "tl.fill"(%s, %x) : (memref<128xf32, #tl.scope<"shared">>, f32) -> ()
    }
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
