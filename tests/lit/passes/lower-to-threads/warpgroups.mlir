// Regions of warpgroups: arms of one branch, each with its own thread index and its own barrier.
// RUN: tl-opt %s --target=sm_90a --lower-to-threads --canonicalize | filecheck %s

// CHECK-LABEL: llvm.func @apart_kernel(
// CHECK: %[[TID:[0-9]+]] = nvvm.read.ptx.sreg.tid.x
// CHECK: %[[IN:[0-9]+]] = arith.subi %[[TID]], %c128_i32
// CHECK: %[[SECOND:[0-9]+]] = arith.cmpi ult, %[[IN]], %c128_i32
// CHECK: scf.if %[[SECOND]] {
// CHECK-NEXT: nvvm.setmaxregister decrease 24
// CHECK-NEXT: nvvm.barrier id = %c15_i32 number_of_threads = %c128_i32
// CHECK-NEXT: } else {
// The first warpgroup is all that is left.
// CHECK-NEXT: nvvm.setmaxregister increase 240
// CHECK-NEXT: nvvm.barrier id = %c14_i32 number_of_threads = %c128_i32
// CHECK-NEXT: }
// CHECK-NEXT: nvvm.barrier{{$}}
func.func @apart(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    "tl.warpgroups"() ({
      "tl.intrinsic"() {name = "set_registers", count = 24 : i32, increase = 0 : i32} : () -> ()
      "tl.sync_threads"() : () -> ()
    }) {groups = array<i32: 1>} : () -> ()
    %c = arith.constant 1 : i32
    "tl.warpgroups"() ({
      "tl.intrinsic"() {name = "set_registers", count = 240 : i32, increase = 1 : i32} : () -> ()
      "tl.sync_threads"() : () -> ()
    }) {groups = array<i32: 0>} : () -> ()
    "tl.sync_threads"() : () -> ()
  }) {threads = array<i32: 256, 1, 1>} : (i32) -> ()
  return
}

// What stands between them keeps them apart.
// CHECK-LABEL: llvm.func @in_turn_kernel(
// CHECK: scf.if
// CHECK-NEXT: nvvm.wgmma.fence.aligned
// CHECK-NEXT: }
// CHECK: nvvm.barrier{{$}}
// CHECK: scf.if
// CHECK-NEXT: nvvm.wgmma.commit.group.sync.aligned
// CHECK-NEXT: }
func.func @in_turn(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    "tl.warpgroups"() ({
      "tl.intrinsic"() {name = "wgmma_fence"} : () -> ()
    }) {groups = array<i32: 1>} : () -> ()
    "tl.sync_threads"() : () -> ()
    "tl.warpgroups"() ({
      "tl.intrinsic"() {name = "wgmma_commit"} : () -> ()
    }) {groups = array<i32: 0>} : () -> ()
  }) {threads = array<i32: 256, 1, 1>} : (i32) -> ()
  return
}

// Instructions by name, and the launch attributes that follow from them.
// CHECK-LABEL: llvm.func @cluster_kernel(
// CHECK-SAME: nvvm.cluster_dim = array<i32: 2, 1, 1>
// CHECK-SAME: tl.programmatic
// CHECK: nvvm.griddepcontrol wait
// CHECK: nvvm.read.ptx.sreg.cluster.ctarank
// CHECK: nvvm.cluster.arrive {aligned}
// CHECK: nvvm.cluster.wait {aligned}
// CHECK: nvvm.inline_ptx {{.*}}tl.instr = "mbarrier.arrive.cluster"
// CHECK: nvvm.barrier.arrive id = %c3_i32 number_of_threads = %c64_i32
// CHECK: nvvm.griddepcontrol launch_dependents
func.func @cluster(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %b = "tl.alloc_barrier"() {counts = array<i64: 128>, tl.offset = 0 : i64} : () -> !tl.barrier<1 : i64>
    "tl.intrinsic"() {name = "wait_dependencies"} : () -> ()
    %r = "tl.intrinsic"() {name = "cluster_rank"} : () -> i32
    "tl.intrinsic"() {name = "cluster_arrive", relaxed = 0 : i32} : () -> ()
    "tl.intrinsic"() {name = "cluster_wait"} : () -> ()
    %zero = arith.constant 0 : i32
    "tl.mbarrier_arrive"(%b, %zero, %r) : (!tl.barrier<1 : i64>, i32, i32) -> ()
    "tl.intrinsic"() {name = "named_arrive", id = 3 : i32, count = 64 : i32} : () -> ()
    "tl.intrinsic"() {name = "launch_dependents"} : () -> ()
  }) {threads = array<i32: 128, 1, 1>, cluster = array<i32: 2, 1, 1>, tl.shared_bytes = 8 : i64} : (i32) -> ()
  return
}
