// A branch that the thread index decides together with the rank of the block, in front of others: each arm gets its
// threads, those that share it with the rank take the rest of the chain by their rank. What decides the arms stands in
// front of all of them.
// RUN: tl-opt %s --target=sm_100a --legalize-tile-ops | filecheck %s

// CHECK-LABEL: func.func @roles
// CHECK: [[RANK:%.*]] = "tl.intrinsic"
// CHECK: [[LEADS:%.*]] = arith.cmpi eq, [[RANK]]
// CHECK: "tl.warpgroups"() ({
// CHECK: "tl.mbarrier_arrive"
// CHECK: }) {groups = array<i32: 0>, tl.branch = 0 : i32, warps}
// CHECK-NEXT: "tl.warpgroups"() ({
// CHECK-NEXT: scf.if [[LEADS]] {
// CHECK: "tl.tcgen05_commit"
// CHECK-NOT: "tl.fill"
// CHECK: }) {groups = array<i32: 1>, tl.branch = 0 : i32, warps}
// CHECK-NEXT: "tl.warpgroups"() ({
// CHECK-NEXT: "tl.fill"
// CHECK-NEXT: }) {groups = array<i32: 1>, tl.branch = 0 : i32}
func.func @roles() {
  %c0 = arith.constant 0 : i32
  %c2 = arith.constant 2 : i32
  %c32 = arith.constant 32 : i32
  %c64 = arith.constant 64 : i32
  %c128 = arith.constant 128 : i32
  %x = arith.constant 1.0 : f32
  "tl.launch"(%c2) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> memref<128xf32, #tl.scope<"shared">>
    %bar = "tl.alloc_barrier"() {counts = array<i64: 1>} : () -> !tl.barrier<1 : i64>
    %tid = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %rank = "tl.intrinsic"() {name = "cluster_rank"} : () -> i32
    %first = arith.cmpi slt, %tid, %c32 : i32
    scf.if %first {
      "tl.mbarrier_arrive"(%bar, %c0) : (!tl.barrier<1 : i64>, i32) -> ()
    } else {
      %second = arith.cmpi slt, %tid, %c64 : i32
      %leads = arith.cmpi eq, %rank, %c0 : i32
      %both = arith.andi %second, %leads : i1
      scf.if %both {
        "tl.tcgen05_commit"(%bar, %c0) : (!tl.barrier<1 : i64>, i32) -> ()
      } else {
        %rest = arith.cmpi sge, %tid, %c128 : i32
        scf.if %rest {
          "tl.fill"(%s, %x) : (memref<128xf32, #tl.scope<"shared">>, f32) -> ()
        }
      }
    }
  }) {threads = array<i32: 256, 1, 1>, cluster = array<i32: 2, 1, 1>} : (i32) -> ()
  return
}
