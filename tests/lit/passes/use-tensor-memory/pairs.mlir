// Products of pairs of CTAs: loads to barriers of the cluster complete in the first CTA of the pair, others do not; it issues what no
// branch leaves to one of them.
// RUN: tl-opt %s --target=sm_100a --use-tensor-memory | filecheck %s
!a = memref<128x64xf16, #tl.scope<"shared">>
!b = memref<32x64xf16, #tl.scope<"shared">>
!c = memref<128x64xf32, #tl.scope<"tmem">>

func.func @pair(%n: i32, %p: !llvm.ptr<1>) {
  %g = "tl.tensor"(%p) {shape = array<i64: 128, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<128x64xf16, #tl.scope<"global">>
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    %i = arith.constant 0 : i32
    %no = arith.constant false
    %a = "tl.alloc"() : () -> !a
    %b = "tl.alloc"() : () -> !b
    %c = "tl.alloc"() : () -> !c
    %own = "tl.alloc_barrier"() {counts = array<i64: 1>} : () -> !tl.barrier<1 : i64>
    %all = "tl.alloc_barrier"() {counts = array<i64: 1>, cluster} : () -> !tl.barrier<1 : i64>
    // CHECK: "tl.tma_load"({{.*}}) {explicit} :
    "tl.tma_load"(%g, %a, %own, %i) {explicit} : (memref<128x64xf16, #tl.scope<"global">>, !a, !tl.barrier<1 : i64>, i32) -> ()
    // CHECK: "tl.tma_load"({{.*}}) {explicit, pair} :
    "tl.tma_load"(%g, %a, %all, %i) {explicit} : (memref<128x64xf16, #tl.scope<"global">>, !a, !tl.barrier<1 : i64>, i32) -> ()
    // CHECK: %[[RANK:.*]] = "tl.intrinsic"() {name = "cluster_rank"}
    // CHECK: %[[LOW:.*]] = arith.andi %[[RANK]]
    // CHECK: %[[EVEN:.*]] = arith.cmpi eq, %[[LOW]]
    // CHECK: scf.if %[[EVEN]]
    // CHECK: "tl.tcgen05_mma"({{.*}}) {pair, transpose_a = false, transpose_b = true}
    "tl.tcgen05_mma"(%a, %b, %c, %no) {pair, transpose_a = false, transpose_b = true} : (!a, !b, !c, i1) -> ()
  }) {threads = array<i32: 128, 1, 1>, cluster = array<i32: 2, 1, 1>} : (i32) -> ()
  return
}
