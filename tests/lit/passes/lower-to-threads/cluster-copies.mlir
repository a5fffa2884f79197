// Copies into several CTAs of a cluster and between them: who issues them, and at which barrier they end.
// RUN: tl-opt %s --target=sm_90a --lower-to-threads --canonicalize | filecheck %s

// Each CTA announces its bytes; the one of rank 1 copies for ranks 1 and 2, ranks 0 and 3 for themselves.
// CHECK-LABEL: llvm.func @multicast_kernel(
// CHECK-SAME: nvvm.cluster_dim = array<i32: 4, 1, 1>
// CHECK: nvvm.mbarrier.expect_tx %[[BAR:[0-9]+]], %c8192_i32
// CHECK: %[[RANK:[0-9]+]] = nvvm.read.ptx.sreg.cluster.ctarank
// CHECK: %[[FIRST:[0-9]+]] = arith.cmpi eq, %[[RANK]], %c1_i32
// CHECK: scf.if %[[FIRST]] {
// CHECK: llvm.addrspacecast %{{[0-9]+}} : !llvm.ptr<3> to !llvm.ptr<7>
// CHECK: nvvm.cp.async.bulk.tensor.shared.cluster.global %{{[0-9]+}}, %{{[a-z0-9]+}}, %[[BAR]], box[%c0_i32, %{{[a-z0-9]+}}] multicast_mask = %c6_i16
// CHECK: arith.shrui %c6_i32, %[[RANK]]
// CHECK: scf.if
// CHECK: nvvm.cp.async.bulk.tensor.shared.cluster.global {{.*}} {isCTAOnly = true}
// All threads arrive; the arrival says which phase they wait for.
// CHECK: %[[PHASE:[0-9]+]] = nvvm.mbarrier.arrive %[[BAR]] : !llvm.ptr<3> -> i64
// CHECK: nvvm.mbarrier.try_wait %[[BAR]], %[[PHASE]] : !llvm.ptr<3>, i64 -> i1
#plain = #tl.smem<array<i64: 64, 64>, array<i64: 64, 1, 1, 1, 64, 0, 1, 64>, array<i64: 0, 0, 0>>
!s = memref<64x64xf16, #tl.scope<"shared">>
!tile = memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>
func.func @multicast(%x: !llvm.ptr<1>, %four: i32) {
  %g = "tl.tensor"(%x) {shape = array<i64: 256, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<256x64xf16, #tl.scope<"global">>
  "tl.launch"(%four) ({
  ^bb0(%bx: i32):
    %zero = arith.constant 0 : i32
    %b = "tl.alloc_barrier"() {counts = array<i64: 128>, cluster, tl.offset = 8192 : i64} : () -> !tl.barrier<1 : i64>
    %s = "tl.alloc"() {layout = #plain, tl.offset = 0 : i64} : () -> !s
    %tile = "tl.slice"(%g, %bx, %zero) {sizes = array<i64: 64, 64>} : (memref<256x64xf16, #tl.scope<"global">>, i32, i32) -> !tile
    "tl.tma_load"(%tile, %s, %b, %zero) {explicit, multicast = 6 : i32} : (!tile, !s, !tl.barrier<1 : i64>, i32) -> ()
    "tl.mbarrier_meet"(%b, %zero) : (!tl.barrier<1 : i64>, i32) -> ()
  }) {threads = array<i32: 128, 1, 1>, cluster = array<i32: 4, 1, 1>, tl.shared_bytes = 8200 : i64, name = "multicast_kernel"} : (i32) -> ()
  return
}

// A whole tile goes at once; one thread announces the bytes at the other CTA and copies.
// CHECK-LABEL: llvm.func @exchange_kernel(
// CHECK: nvvm.elect.sync
// CHECK: nvvm.inline_ptx {{.*}}mbarrier.arrive.expect_tx.release.cluster.shared::cluster.b64 {{.*}}, %c8192_i32
// CHECK-COUNT-1: nvvm.inline_ptx {{.*}}cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes
// Three rows of 16 bytes each.
// CHECK: nvvm.inline_ptx {{.*}}mbarrier.arrive.expect_tx.release.cluster.shared::cluster.b64 {{.*}}, %c48_i32
// CHECK-COUNT-3: nvvm.inline_ptx {{.*}}cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes {{.*}}%c16_i32
// Rows of ten bytes, element by element; one thread arrives for all. Then the same without a barrier.
// CHECK: scf.for
// CHECK: nvvm.inline_ptx {{.*}}st.shared::cluster.b16
// CHECK: nvvm.barrier
// CHECK: nvvm.inline_ptx {{.*}}mbarrier.arrive.release.cluster.shared::cluster.b64
// CHECK: nvvm.inline_ptx {{.*}}st.shared::cluster.b16
// A thread's bulk copy.
// CHECK: nvvm.cp.async.bulk.shared.cluster.global %{{[0-9]+}}, %{{[0-9]+}}, %{{[0-9]+}}, %c128_i32
// CHECK: nvvm.cp.async.bulk.tensor.prefetch %{{[a-z0-9]+}}, box[%c0_i32, %{{[a-z0-9]+}}]
!narrow = memref<3x5xf16, strided<[64, 1], offset: ?>, #tl.scope<"shared">>
!rows = memref<3x8xf16, strided<[64, 1], offset: ?>, #tl.scope<"shared">>
func.func @exchange(%x: !llvm.ptr<1>, %two: i32) {
  %g = "tl.tensor"(%x) {shape = array<i64: 256, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<256x64xf16, #tl.scope<"global">>
  "tl.launch"(%two) ({
  ^bb0(%bx: i32):
    %zero = arith.constant 0 : i32
    %b = "tl.alloc_barrier"() {counts = array<i64: 1>, cluster, tl.offset = 16384 : i64} : () -> !tl.barrier<1 : i64>
    %s = "tl.alloc"() {layout = #plain, tl.offset = 0 : i64} : () -> !s
    %t = "tl.alloc"() {layout = #plain, tl.offset = 8192 : i64} : () -> !s
    "tl.cluster_copy"(%s, %t, %b, %zero, %bx) : (!s, !s, !tl.barrier<1 : i64>, i32, i32) -> ()
    %from = "tl.slice"(%s, %bx, %zero) {sizes = array<i64: 3, 8>} : (!s, i32, i32) -> !rows
    %to = "tl.slice"(%t, %zero, %bx) {sizes = array<i64: 3, 8>} : (!s, i32, i32) -> !rows
    "tl.cluster_copy"(%from, %to, %b, %zero, %bx) : (!rows, !rows, !tl.barrier<1 : i64>, i32, i32) -> ()
    %narrow = "tl.slice"(%s, %bx, %zero) {sizes = array<i64: 3, 5>} : (!s, i32, i32) -> !narrow
    %place = "tl.slice"(%t, %zero, %bx) {sizes = array<i64: 3, 5>} : (!s, i32, i32) -> !narrow
    "tl.cluster_copy"(%narrow, %place, %b, %zero, %bx) : (!narrow, !narrow, !tl.barrier<1 : i64>, i32, i32) -> ()
    "tl.cluster_store"(%narrow, %place, %bx) : (!narrow, !narrow, i32) -> ()
    "tl.bulk_words"(%g, %t, %b, %zero, %bx, %zero, %zero, %zero) {bytes = 128 : i32} : (memref<256x64xf16, #tl.scope<"global">>, !s, !tl.barrier<1 : i64>, i32, i32, i32, i32, i32) -> ()
    %tile = "tl.slice"(%g, %bx, %zero) {sizes = array<i64: 64, 64>} : (memref<256x64xf16, #tl.scope<"global">>, i32, i32) -> !tile
    "tl.prefetch"(%tile) : (!tile) -> ()
  }) {threads = array<i32: 128, 1, 1>, cluster = array<i32: 2, 1, 1>, tl.shared_bytes = 16400 : i64, name = "exchange_kernel"} : (i32) -> ()
  return
}

// One thread of every warp announces and copies.
// CHECK-LABEL: llvm.func @led_kernel(
// CHECK: %[[LANE:[0-9]+]] = arith.andi %{{[0-9]+}}, %c31_i32
// CHECK: %[[FIRST:[0-9]+]] = arith.cmpi eq, %[[LANE]], %c0_i32
// CHECK: scf.if %[[FIRST]] {
// CHECK: nvvm.mbarrier.expect_tx
// CHECK: nvvm.cp.async.bulk.tensor.shared.cluster.global
func.func @led(%x: !llvm.ptr<1>, %four: i32) {
  %g = "tl.tensor"(%x) {shape = array<i64: 256, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<256x64xf16, #tl.scope<"global">>
  "tl.launch"(%four) ({
  ^bb0(%bx: i32):
    %zero = arith.constant 0 : i32
    %b = "tl.alloc_barrier"() {counts = array<i64: 128>, tl.offset = 8192 : i64} : () -> !tl.barrier<1 : i64>
    %s = "tl.alloc"() {layout = #plain, tl.offset = 0 : i64} : () -> !s
    %tile = "tl.slice"(%g, %bx, %zero) {sizes = array<i64: 64, 64>} : (memref<256x64xf16, #tl.scope<"global">>, i32, i32) -> !tile
    "tl.tma_load"(%tile, %s, %b, %zero) {explicit, leaders = 32 : i32} : (!tile, !s, !tl.barrier<1 : i64>, i32) -> ()
  }) {threads = array<i32: 128, 1, 1>, tl.shared_bytes = 8200 : i64, name = "led_kernel"} : (i32) -> ()
  return
}
