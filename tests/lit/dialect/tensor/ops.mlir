// Round trip of the tensor memory ops.
// RUN: tl-opt %s | tl-opt | filecheck %s

!s = memref<128x64xf16, #tl.scope<"shared">>
!e = memref<128x128xf8E4M3FN, #tl.scope<"shared">>
!t = memref<128x128xf32, #tl.scope<"tmem">>
!w = memref<128x4xi32, #tl.scope<"tmem">>
!g = memref<128xi32, #tl.scope<"shared">>
!se = memref<128x8xi16, #tl.scope<"shared">>
!sb = memref<128x128xf16, #tl.scope<"shared">>
func.func @f(%s: !s, %e: !e, %t: !t, %w: !w, %g: !g, %sb: !sb, %se: !se, %b: !tl.barrier<1 : i64>, %i: i32, %keep: i1) {
  // CHECK: "tl.tcgen05_mma"(%{{.*}}) {transpose_a = false, transpose_b = true}
  "tl.tcgen05_mma"(%s, %s, %t, %keep) {transpose_a = false, transpose_b = true} : (!s, !s, !t, i1) -> ()
  // CHECK: "tl.tcgen05_scaled_mma"(%{{.*}}) {scale_blocks = array<i64: 32, 32>, scale_bytes = array<i64: 0, 1>
  "tl.tcgen05_scaled_mma"(%e, %e, %t, %keep, %w, %w) {transpose_a = false, transpose_b = true, scale_bytes = array<i64: 0, 1>, scale_blocks = array<i64: 32, 32>} : (!e, !e, !t, i1, !w, !w) -> ()
  // CHECK: "tl.tcgen05_sparse_mma"(%{{.*}}) {transpose_a = false, transpose_b = true}
  "tl.tcgen05_sparse_mma"(%s, %sb, %t, %keep, %se) {transpose_a = false, transpose_b = true} : (!s, !sb, !t, i1, !se) -> ()
  // CHECK: "tl.tcgen05_cp"
  "tl.tcgen05_cp"(%g, %w) : (!g, !w) -> ()
  // CHECK: "tl.tcgen05_commit"
  "tl.tcgen05_commit"(%b, %i) : (!tl.barrier<1 : i64>, i32) -> ()
  // CHECK: "tl.tcgen05_fence"() {kind = "before"}
  "tl.tcgen05_fence"() {kind = "before"} : () -> ()
  // CHECK: "tl.dealloc_tmem"
  "tl.dealloc_tmem"(%t) : (!t) -> ()
  // CHECK: "tl.tmem_arena"() {columns = 64 : i32, id = 0 : i32}
  "tl.tmem_arena"() {columns = 64 : i32, id = 0 : i32} : () -> ()
  // CHECK: "tl.tmem_free"() {id = 0 : i32}
  "tl.tmem_free"() {id = 0 : i32} : () -> ()
  return
}
