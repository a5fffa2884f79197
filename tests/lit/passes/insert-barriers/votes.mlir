// A vote of each warp parts the warps: the barrier that shared memory needs inside comes in front of the branch.
// RUN: tl-opt %s --target=sm_100a --insert-barriers | filecheck %s

// CHECK: memref.store
// CHECK: "tl.outgrows"
// CHECK: "tl.sync_threads"
// CHECK-NEXT: scf.if
// CHECK-NOT: "tl.sync_threads"
// CHECK: memref.store
!f = memref<128x64xf32, #tl.scope<"fragment">>
!r = memref<128xf32, #tl.scope<"fragment">>
!s = memref<128xf32, #tl.scope<"shared">>
func.func @vote() attributes {tl.params = []} {
  %c1 = arith.constant 1 : i32
  "tl.launch"(%c1) ({
  ^bb0(%x: i32):
    %f = "tl.alloc"() {layout = #tl.fragment<array<i64: 128, 64>, array<i64: 32, 0, 1, 4, 0, 32>, array<i64: 64, 1, 1>>} : () -> !f
    %r = "tl.alloc"() {layout = #tl.fragment<array<i64: 128>, array<i64: 32, 0, 1, 4, 0, 32>, array<i64>>} : () -> !r
    %s = "tl.alloc"() {layout = #tl.smem<array<i64: 128>, array<i64: 128, 0, 1, 1>, array<i64: 0, 0, 0>>, tl.offset = 0 : i64} : () -> !s
    "tl.parallel"() ({
    ^bb0(%i: i32):
      %0 = arith.index_cast %i : i32 to index
      %1 = memref.load %r[%0] : !r
      memref.store %1, %s[%0] : !s
    }) {extents = array<i64: 128>, layout = #tl.fragment<array<i64: 128>, array<i64: 32, 0, 1, 4, 0, 32>, array<i64>>} : () -> ()
    %grown = "tl.outgrows"(%f, %r) {margin = 8.0 : f32} : (!f, !r) -> i1
    scf.if %grown {
      "tl.parallel"() ({
      ^bb0(%i: i32):
        %0 = arith.index_cast %i : i32 to index
        %1 = memref.load %s[%0] : !s
        memref.store %1, %r[%0] : !r
      }) {extents = array<i64: 128>, layout = #tl.fragment<array<i64: 128>, array<i64: 32, 0, 1, 4, 0, 32>, array<i64>>} : () -> ()
    }
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
