// A product reads what threads stored in tensor memory behind a barrier, and without a fence between the proxies, which
// is for shared memory.
// RUN: tl-opt %s --target=sm_100a --insert-barriers | filecheck %s

#swizzled = #tl.smem<array<i64: 64, 64>, array<i64: 64, 1, 1, 1, 64, 0, 1, 64>, array<i64: 3, 3, 3>>
#left = #tl.tmem<array<i64: 128, 64>, array<i64: 128, 1, 1>, 16 : i64, 1 : i64, 0 : i64>
#sums = #tl.tmem<array<i64: 128, 64>, array<i64: 128, 1, 1>, 32 : i64, 1 : i64, 0 : i64>
#rows = #tl.fragment<array<i64: 128, 64>, array<i64: 128, 0, 1>, array<i64: 64, 1, 1>>
#loop = #tl.fragment<array<i64: 64, 64>, array<i64: 64, 1, 1, 2, 0, 1>, array<i64: 32, 0, 2>>
!f = memref<128x64xf16, #tl.scope<"fragment">>
!p = memref<128x64xf16, #tl.scope<"tmem">>
!c = memref<128x64xf32, #tl.scope<"tmem">>
!s = memref<64x64xf16, #tl.scope<"shared">>

// CHECK-LABEL: func.func @stored_in_tensor_memory(
// CHECK: "tl.copy"
// CHECK-NOT: tl.fence_proxy
// CHECK: "tl.sync_threads"()
// CHECK-NEXT: "tl.tcgen05_mma"
// CHECK-LABEL: func.func @stored_in_both(
// CHECK: "tl.copy"
// CHECK: "tl.parallel"
// CHECK: "tl.fence_proxy"()
// CHECK-NEXT: "tl.sync_threads"()
// CHECK-NEXT: "tl.tcgen05_mma"
func.func @stored_in_tensor_memory(%one: i32, %no: i1) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %x = "tl.alloc"() {layout = #rows} : () -> !f
    %p = "tl.alloc"() {layout = #left, tl.arena = 0 : i32, tl.column = 0 : i32} : () -> !p
    %c = "tl.alloc"() {layout = #sums, tl.arena = 0 : i32, tl.column = 32 : i32} : () -> !c
    %b = "tl.alloc"() {layout = #swizzled, tl.offset = 0 : i64} : () -> !s
    "tl.copy"(%x, %p) : (!f, !p) -> ()
    "tl.tcgen05_mma"(%p, %b, %c, %no) {transpose_a = false, transpose_b = false} : (!p, !s, !c, i1) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
func.func @stored_in_both(%one: i32, %no: i1, %z: f16) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %x = "tl.alloc"() {layout = #rows} : () -> !f
    %p = "tl.alloc"() {layout = #left, tl.arena = 0 : i32, tl.column = 0 : i32} : () -> !p
    %c = "tl.alloc"() {layout = #sums, tl.arena = 0 : i32, tl.column = 32 : i32} : () -> !c
    %b = "tl.alloc"() {layout = #swizzled, tl.offset = 0 : i64} : () -> !s
    "tl.copy"(%x, %p) : (!f, !p) -> ()
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      memref.store %z, %b[%ii, %jj] : !s
    }) {extents = array<i64: 64, 64>, layout = #loop} : () -> ()
    "tl.tcgen05_mma"(%p, %b, %c, %no) {transpose_a = false, transpose_b = false} : (!p, !s, !c, i1) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
