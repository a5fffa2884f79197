// Copies between CTAs of a cluster, prefetches and bulk copies of single threads.
// RUN: tl-opt %s | filecheck %s
// RUN: tl-opt %s > %t
// RUN: tl-opt %t | diff %t -

!g = memref<64x64xf16, #tl.scope<"global">>
!s = memref<64x64xf16, #tl.scope<"shared">>

// CHECK-LABEL: func.func @copies(
// CHECK: "tl.cluster_copy"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"shared">>, !tl.barrier<2 : i64>, i32, i32) -> ()
// CHECK: "tl.cluster_store"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"shared">>, i32) -> ()
// CHECK: "tl.prefetch"(%{{[0-9a-z_]+}}) : (memref<64x64xf16, #tl.scope<"global">>) -> ()
// CHECK: "tl.bulk_words"(%{{.*}}) {bytes = 256 : i32} : (memref<64x64xf16, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>, !tl.barrier<2 : i64>, i32, i32, i32, i32, i32) -> ()
// CHECK: "tl.tma_load"(%{{.*}}) {explicit, multicast = 3 : i32}
// CHECK: "tl.mbarrier_meet"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) : (!tl.barrier<2 : i64>, i32) -> ()
func.func @copies(%g: !g, %s: !s, %t: !s, %b: !tl.barrier<2 : i64>, %i: i32) {
  "tl.cluster_copy"(%s, %t, %b, %i, %i) : (!s, !s, !tl.barrier<2 : i64>, i32, i32) -> ()
  "tl.cluster_store"(%s, %t, %i) : (!s, !s, i32) -> ()
  "tl.prefetch"(%g) : (!g) -> ()
  "tl.bulk_words"(%g, %s, %b, %i, %i, %i, %i, %i) {bytes = 256 : i32} : (!g, !s, !tl.barrier<2 : i64>, i32, i32, i32, i32, i32) -> ()
  "tl.tma_load"(%g, %s, %b, %i) {explicit, multicast = 3 : i32} : (!g, !s, !tl.barrier<2 : i64>, i32) -> ()
  "tl.mbarrier_meet"(%b, %i) : (!tl.barrier<2 : i64>, i32) -> ()
  return
}
