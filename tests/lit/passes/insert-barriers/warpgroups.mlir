// Regions of warpgroups: barriers inside are for their own threads; between regions the program's mbarriers decide.
// RUN: tl-opt %s --insert-barriers | filecheck %s

#plain = #tl.smem<array<i64: 128>, array<i64: 128, 0, 1, 1>, array<i64: 0, 0, 0>>
#loop = #tl.fragment<array<i64: 128>, array<i64: 128, 0, 1>, array<i64: 1, 0, 128>>
!s = memref<128xf32, #tl.scope<"shared">>

// The loop before is ordered against the region; writes of one region are not ordered against the other's.
// CHECK-LABEL: func.func @regions(
// CHECK: tag = "all write"
// CHECK-NEXT: "tl.sync_threads"()
// CHECK-NEXT: "tl.warpgroups"
// CHECK: tag = "first write"
// CHECK-NEXT: "tl.sync_threads"()
// CHECK-NEXT: "tl.parallel"
// CHECK: tag = "first write again"
// CHECK: groups = array<i32: 0>
// CHECK-NEXT: "tl.warpgroups"
// CHECK: tag = "second write"
// CHECK: groups = array<i32: 1>
// CHECK-NEXT: "tl.sync_threads"()
// CHECK: tag = "all write again"
func.func @regions(%one: i32, %z: f32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() {layout = #plain, tl.offset = 0 : i64} : () -> !s
    "tl.parallel"() ({
    ^bb0(%i: i32):
      %ii = arith.index_cast %i : i32 to index
      memref.store %z, %a[%ii] : !s
    }) {extents = array<i64: 128>, layout = #loop, tag = "all write"} : () -> ()
    "tl.warpgroups"() ({
      "tl.parallel"() ({
      ^bb0(%i: i32):
        %ii = arith.index_cast %i : i32 to index
        memref.store %z, %a[%ii] : !s
      }) {extents = array<i64: 128>, layout = #loop, tag = "first write"} : () -> ()
      "tl.parallel"() ({
      ^bb0(%i: i32):
        %ii = arith.index_cast %i : i32 to index
        memref.store %z, %a[%ii] : !s
      }) {extents = array<i64: 128>, layout = #loop, tag = "first write again"} : () -> ()
    }) {groups = array<i32: 0>} : () -> ()
    "tl.warpgroups"() ({
      "tl.parallel"() ({
      ^bb0(%i: i32):
        %ii = arith.index_cast %i : i32 to index
        memref.store %z, %a[%ii] : !s
      }) {extents = array<i64: 128>, layout = #loop, tag = "second write"} : () -> ()
    }) {groups = array<i32: 1>} : () -> ()
    "tl.parallel"() ({
    ^bb0(%i: i32):
      %ii = arith.index_cast %i : i32 to index
      memref.store %z, %a[%ii] : !s
    }) {extents = array<i64: 128>, layout = #loop, tag = "all write again"} : () -> ()
  }) {threads = array<i32: 256, 1, 1>} : (i32) -> ()
  return
}

// Only the second region reads what all wrote: the barrier is in front of the first, which runs beside it.
// CHECK-LABEL: func.func @beside(
// CHECK: tag = "all write"
// CHECK-NEXT: "tl.sync_threads"()
// CHECK-NEXT: "tl.warpgroups"
// CHECK: groups = array<i32: 0>
// CHECK-NEXT: "tl.warpgroups"
// CHECK-NEXT: "tl.parallel"
func.func @beside(%one: i32, %z: f32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() {layout = #plain, tl.offset = 0 : i64} : () -> !s
    %b = "tl.alloc_barrier"() {counts = array<i64: 128>} : () -> !tl.barrier<1 : i64>
    %c = arith.constant 0 : i32
    "tl.parallel"() ({
    ^bb0(%i: i32):
      %ii = arith.index_cast %i : i32 to index
      memref.store %z, %a[%ii] : !s
    }) {extents = array<i64: 128>, layout = #loop, tag = "all write"} : () -> ()
    "tl.warpgroups"() ({
      "tl.mbarrier_wait"(%b, %c, %c) : (!tl.barrier<1 : i64>, i32, i32) -> ()
    }) {groups = array<i32: 0>} : () -> ()
    "tl.warpgroups"() ({
      "tl.parallel"() ({
      ^bb0(%i: i32):
        %ii = arith.index_cast %i : i32 to index
        memref.store %z, %a[%ii] : !s
      }) {extents = array<i64: 128>, layout = #loop, tag = "second write"} : () -> ()
      "tl.mbarrier_arrive"(%b, %c) : (!tl.barrier<1 : i64>, i32) -> ()
    }) {groups = array<i32: 1>} : () -> ()
  }) {threads = array<i32: 256, 1, 1>} : (i32) -> ()
  return
}

// Stores that a bulk copy reads are fenced before an mbarrier hears of them.
// CHECK-LABEL: func.func @told(
// CHECK: tag = "write"
// CHECK-NEXT: "tl.fence_proxy"()
// CHECK-NEXT: "tl.mbarrier_arrive"
func.func @told(%one: i32, %z: f32, %g: memref<128xf32, #tl.scope<"global">>) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() {layout = #plain, tl.offset = 0 : i64} : () -> !s
    %b = "tl.alloc_barrier"() {counts = array<i64: 128>, tl.offset = 512 : i64} : () -> !tl.barrier<1 : i64>
    "tl.warpgroups"() ({
      "tl.parallel"() ({
      ^bb0(%i: i32):
        %ii = arith.index_cast %i : i32 to index
        memref.store %z, %a[%ii] : !s
      }) {extents = array<i64: 128>, layout = #loop, tag = "write"} : () -> ()
      "tl.mbarrier_arrive"(%b, %one) : (!tl.barrier<1 : i64>, i32) -> ()
    }) {groups = array<i32: 0>} : () -> ()
    "tl.warpgroups"() ({
      "tl.mbarrier_wait"(%b, %one, %one) : (!tl.barrier<1 : i64>, i32, i32) -> ()
      "tl.tma_store"(%a, %g) {explicit} : (!s, memref<128xf32, #tl.scope<"global">>) -> ()
    }) {groups = array<i32: 1>} : () -> ()
  }) {threads = array<i32: 256, 1, 1>} : (i32) -> ()
  return
}

// The same in a branch and a loop of some threads, where no barrier can stand; the store of the second arm has its own.
// CHECK-LABEL: func.func @told_in_a_branch(
// CHECK: "tl.warpgroups"
// CHECK-NOT: "tl.fence_proxy"()
// CHECK: tag = "write"
// CHECK: "tl.fence_proxy"()
// CHECK-NEXT: "tl.mbarrier_arrive"
// CHECK-NOT: "tl.fence_proxy"()
// CHECK: tag = "own"
// CHECK-NEXT: "tl.fence_proxy"()
// CHECK-NEXT: "tl.tma_store"
// CHECK-NOT: "tl.fence_proxy"()
func.func @told_in_a_branch(%one: i32, %z: f32, %g: memref<128xf32, #tl.scope<"global">>) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() {layout = #plain, tl.offset = 0 : i64} : () -> !s
    %other = "tl.alloc"() {layout = #plain, tl.offset = 512 : i64} : () -> !s
    %b = "tl.alloc_barrier"() {counts = array<i64: 128>, tl.offset = 1024 : i64} : () -> !tl.barrier<1 : i64>
    %t = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %zero = arith.constant 0 : i32
    %four = arith.constant 4 : i32
    %place = arith.index_cast %t : i32 to index
    "tl.warpgroups"() ({
      %some = arith.cmpi slt, %t, %four : i32
      scf.if %some {
        scf.for %i = %zero to %t step %one : i32 {
          memref.store %z, %a[%place] {tag = "write"} : !s
        }
        "tl.mbarrier_arrive"(%b, %zero) : (!tl.barrier<1 : i64>, i32) -> ()
      } else {
        memref.store %z, %other[%place] {tag = "own"} : !s
        "tl.tma_store"(%other, %g) {explicit} : (!s, memref<128xf32, #tl.scope<"global">>) -> ()
      }
    }) {groups = array<i32: 0>} : () -> ()
    "tl.warpgroups"() ({
      "tl.mbarrier_wait"(%b, %zero, %zero) : (!tl.barrier<1 : i64>, i32, i32) -> ()
      "tl.tma_store"(%a, %g) {explicit} : (!s, memref<128xf32, #tl.scope<"global">>) -> ()
    }) {groups = array<i32: 1>} : () -> ()
  }) {threads = array<i32: 256, 1, 1>} : (i32) -> ()
  return
}

// A barrier that the threads of a region meet at orders nothing for others: one for all is in front of what all write.
// CHECK-LABEL: func.func @met_among_themselves(
// CHECK: memref.store
// CHECK-NEXT: "tl.sync_threads"()
// CHECK: groups = array<i32: 0>
// CHECK-NEXT: "tl.sync_threads"()
// CHECK: tag = "all write"
func.func @met_among_themselves(%one: i32, %z: f32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() {layout = #plain, tl.offset = 0 : i64} : () -> !s
    %t = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %place = arith.index_cast %t : i32 to index
    "tl.warpgroups"() ({
      memref.store %z, %a[%place] : !s
      "tl.sync_threads"() : () -> ()
    }) {groups = array<i32: 0>, tl.branch = 0 : i32} : () -> ()
    "tl.parallel"() ({
    ^bb0(%i: i32):
      %ii = arith.index_cast %i : i32 to index
      memref.store %z, %a[%ii] : !s
    }) {extents = array<i64: 128>, layout = #loop, tag = "all write"} : () -> ()
  }) {threads = array<i32: 256, 1, 1>} : (i32) -> ()
  return
}
