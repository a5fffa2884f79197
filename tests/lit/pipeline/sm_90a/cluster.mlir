// Instructions of clusters and of dependent launches, as PTX.
// RUN: tl-opt %s --stage=lowered --emit=ptx --target=sm_90a | filecheck %s

!x = memref<256x64xf16, #tl.scope<"global">>
!tile = memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>
!s = memref<64x64xf16, #tl.scope<"shared">>
!b = !tl.barrier<1 : i64>
// CHECK: .visible .entry cluster_kernel(
// CHECK: .reqnctapercluster 2, 1, 1
// All CTAs of the cluster see the barrier before any of them touches that of another.
// CHECK: mbarrier.init.shared.b64
// CHECK: fence.mbarrier_init.release.cluster
// CHECK: barrier.cluster.arrive.aligned
// CHECK: barrier.cluster.wait.aligned
// CHECK: griddepcontrol.wait
// CHECK: barrier.cluster.arrive.relaxed.aligned
// CHECK: barrier.cluster.wait.aligned
// CHECK: elect.sync
// CHECK: cp.async.bulk.prefetch.tensor.2d.L2.global.tile
// CHECK: mbarrier.expect_tx.relaxed.cta.shared.b64
// CHECK: cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster
// The neighbour's barrier and tile.
// CHECK: mapa.shared::cluster.u32 a, {{.*}}; mbarrier.arrive.expect_tx.release.cluster.shared::cluster.b64 _, [a]
// CHECK: mapa.shared::cluster.u32 d, {{.*}}; mapa.shared::cluster.u32 b, {{.*}}; cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [d]
// CHECK: mapa.shared::cluster.u32 a, {{.*}}; mbarrier.arrive.release.cluster.shared::cluster.b64 _, [a]
// CHECK: mbarrier.try_wait.parity.shared.b64
// CHECK: griddepcontrol.launch_dependents
func.func @cluster(%p: !llvm.ptr<1>, %four: i32) attributes {tl.params = [{kind = "tensor", name = "X", dtype = "float16"}, {kind = "scalar", name = "four", dtype = "int32"}]} {
  %X = "tl.tensor"(%p) {shape = array<i64: 256, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !x
  "tl.launch"(%four) ({
  ^bb0(%bx: i32):
    %zero = arith.constant 0 : i32
    %one = arith.constant 1 : i32
    %b = "tl.alloc_barrier"() {counts = array<i64: 128>, cluster} : () -> !b
    %s = "tl.alloc"() : () -> !s
    %t = "tl.alloc"() : () -> !s
    "tl.intrinsic"() {name = "wait_dependencies"} : () -> ()
    "tl.intrinsic"() {name = "cluster_arrive", relaxed = 1 : i32} : () -> ()
    "tl.intrinsic"() {name = "cluster_wait"} : () -> ()
    %r = "tl.intrinsic"() {name = "cluster_rank"} : () -> i32
    %tile = "tl.slice"(%X, %bx, %zero) {sizes = array<i64: 64, 64>} : (!x, i32, i32) -> !tile
    "tl.prefetch"(%tile) : (!tile) -> ()
    "tl.tma_load"(%tile, %s, %b, %zero) {explicit, multicast = 3 : i32} : (!tile, !s, !b, i32) -> ()
    %other = arith.xori %r, %one : i32
    "tl.cluster_copy"(%s, %t, %b, %zero, %other) : (!s, !s, !b, i32, i32) -> ()
    "tl.mbarrier_arrive"(%b, %zero, %other) : (!b, i32, i32) -> ()
    "tl.mbarrier_wait"(%b, %zero, %zero) : (!b, i32, i32) -> ()
    "tl.intrinsic"() {name = "launch_dependents"} : () -> ()
  }) {threads = array<i32: 128, 1, 1>, cluster = array<i32: 2, 1, 1>, name = "cluster_kernel"} : (i32) -> ()
  return
}
