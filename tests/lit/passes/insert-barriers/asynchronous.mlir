// Readers behind the threads' backs: what ordinary stores wrote is fenced by the writers before the barrier.
// RUN: tl-opt %s --insert-barriers | filecheck %s

#swizzled = #tl.smem<array<i64: 64, 64>, array<i64: 64, 1, 1, 1, 64, 0, 1, 64>, array<i64: 3, 3, 3>>
#loop = #tl.fragment<array<i64: 64, 64>, array<i64: 64, 1, 1, 2, 0, 1>, array<i64: 32, 0, 2>>
#sums = #tl.fragment<array<i64: 64, 64>, array<i64: 4, 1, 2, 8, 0, 1, 4, 0, 16>, array<i64: 2, 1, 1, 2, 0, 8, 8, 1, 8>>
!s = memref<64x64xf16, #tl.scope<"shared">>
!f = memref<64x64xf32, #tl.scope<"fragment">>
!g = memref<64x64xf16, #tl.scope<"global">>

// A product on warpgroups, and one on warps that needs the barrier only.
// CHECK-LABEL: func.func @product(
// CHECK: tag = "write a"
// CHECK-NEXT: "tl.fence_proxy"()
// CHECK-NEXT: "tl.sync_threads"()
// CHECK-NEXT: "tl.gemm"{{.*}}instr = "wgmma"
// CHECK: tag = "write a again"
// CHECK-NEXT: "tl.sync_threads"()
// CHECK-NEXT: "tl.gemm"
func.func @product(%one: i32, %z: f16) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() {layout = #swizzled, tl.offset = 0 : i64} : () -> !s
    %c = "tl.alloc"() {layout = #sums} : () -> !f
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      memref.store %z, %a[%ii, %jj] : !s
    }) {extents = array<i64: 64, 64>, layout = #loop, tag = "write a"} : () -> ()
    "tl.gemm"(%a, %a, %c) {clear = false, instr = "wgmma", policy = "square", transpose_a = false, transpose_b = true} : (!s, !s, !f) -> ()
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      memref.store %z, %a[%ii, %jj] : !s
    }) {extents = array<i64: 64, 64>, layout = #loop, tag = "write a again"} : () -> ()
    "tl.gemm"(%a, %a, %c) {clear = false, policy = "square", transpose_a = false, transpose_b = true} : (!s, !s, !f) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// A barrier that stands there already fences nothing; a fence that stands there is enough.
// CHECK-LABEL: func.func @other_barrier(
// CHECK: tag = "write a"
// CHECK-NEXT: "tl.sync_threads"()
// CHECK-NEXT: "tl.fence_proxy"()
// CHECK-NEXT: "tl.sync_threads"()
// CHECK-NEXT: "tl.gemm"
// CHECK-NEXT: "tl.sync_threads"()
// CHECK-NEXT: "tl.gemm"
func.func @other_barrier(%one: i32, %z: f16) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() {layout = #swizzled, tl.offset = 0 : i64} : () -> !s
    %c = "tl.alloc"() {layout = #sums} : () -> !f
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      memref.store %z, %a[%ii, %jj] : !s
    }) {extents = array<i64: 64, 64>, layout = #loop, tag = "write a"} : () -> ()
    "tl.sync_threads"() : () -> ()
    "tl.gemm"(%a, %a, %c) {clear = false, instr = "wgmma", policy = "square", transpose_a = false, transpose_b = true} : (!s, !s, !f) -> ()
    "tl.sync_threads"() : () -> ()
    "tl.gemm"(%a, %a, %c) {clear = false, instr = "wgmma", policy = "square", transpose_a = false, transpose_b = true} : (!s, !s, !f) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// A bulk store.
// CHECK-LABEL: func.func @store(
// CHECK: tag = "write a"
// CHECK-NEXT: "tl.fence_proxy"()
// CHECK-NEXT: "tl.sync_threads"()
// CHECK-NEXT: "tl.tma_store"
func.func @store(%one: i32, %z: f16, %p: !llvm.ptr<1>) {
  %g = "tl.tensor"(%p) {shape = array<i64: 64, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !g
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() {layout = #swizzled, tl.offset = 0 : i64} : () -> !s
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      memref.store %z, %a[%ii, %jj] : !s
    }) {extents = array<i64: 64, 64>, layout = #loop, tag = "write a"} : () -> ()
    "tl.tma_store"(%a, %g) : (!s, !g) -> ()
    "tl.tma_wait"() {pending = 0 : i32} : () -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// Fence and barrier once before the loop that reads, not in every iteration.
// CHECK-LABEL: func.func @before_the_loop(
// CHECK: tag = "write a"
// CHECK-NEXT: "tl.fence_proxy"()
// CHECK-NEXT: "tl.sync_threads"()
// CHECK-NEXT: scf.for
// CHECK-NEXT: "tl.gemm"{{.*}}instr = "wgmma"
// CHECK-NEXT: }
func.func @before_the_loop(%one: i32, %z: f16) {
  %zero = arith.constant 0 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() {layout = #swizzled, tl.offset = 0 : i64} : () -> !s
    %c = "tl.alloc"() {layout = #sums} : () -> !f
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      memref.store %z, %a[%ii, %jj] : !s
    }) {extents = array<i64: 64, 64>, layout = #loop, tag = "write a"} : () -> ()
    scf.for %k = %zero to %one step %one : i32 {
      "tl.gemm"(%a, %a, %c) {clear = false, instr = "wgmma", policy = "square", transpose_a = false, transpose_b = true} : (!s, !s, !f) -> ()
    }
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// A loop that writes and reads: the write of an iteration waits for the product of the one before.
// CHECK-LABEL: func.func @in_the_loop(
// CHECK: scf.for
// CHECK-NEXT: "tl.sync_threads"()
// CHECK: tag = "write a"
// CHECK-NEXT: "tl.fence_proxy"()
// CHECK-NEXT: "tl.sync_threads"()
// CHECK-NEXT: "tl.gemm"{{.*}}instr = "wgmma"
// CHECK-NEXT: }
func.func @in_the_loop(%one: i32, %z: f16) {
  %zero = arith.constant 0 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() {layout = #swizzled, tl.offset = 0 : i64} : () -> !s
    %c = "tl.alloc"() {layout = #sums} : () -> !f
    scf.for %k = %zero to %one step %one : i32 {
      "tl.parallel"() ({
      ^bb0(%i: i32, %j: i32):
        %ii = arith.index_cast %i : i32 to index
        %jj = arith.index_cast %j : i32 to index
        memref.store %z, %a[%ii, %jj] : !s
      }) {extents = array<i64: 64, 64>, layout = #loop, tag = "write a"} : () -> ()
      "tl.gemm"(%a, %a, %c) {clear = false, instr = "wgmma", policy = "square", transpose_a = false, transpose_b = true} : (!s, !s, !f) -> ()
    }
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// The producer's loads are ordered by mbarriers; among the consumers a tile may share memory with a ring they have left.
// CHECK-LABEL: func.func @roles(
// CHECK: "tl.specialize"
// CHECK-NOT: tl.sync_threads
// CHECK: }, {
// CHECK-NOT: tl.sync_threads
// CHECK: instr = "wgmma"
// CHECK-NEXT: "tl.sync_threads"()
// CHECK: tag = "write b"
// CHECK-NEXT: "tl.fence_proxy"()
// CHECK-NEXT: "tl.sync_threads"()
// CHECK-NEXT: "tl.tma_store"
func.func @roles(%one: i32, %z: f16, %p: !llvm.ptr<1>) {
  %zero = arith.constant 0 : i32
  %g = "tl.tensor"(%p) {shape = array<i64: 64, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !g
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %full = "tl.alloc_barrier"() {counts = array<i64: 1>, tl.offset = 8192 : i64} : () -> !tl.barrier<1 : i64>
    %a = "tl.alloc"() {layout = #swizzled, tl.offset = 0 : i64} : () -> !s
    %b = "tl.alloc"() {layout = #swizzled, tl.offset = 0 : i64} : () -> !s
    "tl.specialize"() ({
      "tl.mbarrier_arrive"(%full, %zero) {expect = 8192 : i32} : (!tl.barrier<1 : i64>, i32) -> ()
      "tl.tma_load"(%g, %a, %full, %zero) : (!g, !s, !tl.barrier<1 : i64>, i32) -> ()
    }, {
      %c = "tl.alloc"() {layout = #sums} : () -> !f
      "tl.mbarrier_wait"(%full, %zero, %zero) : (!tl.barrier<1 : i64>, i32, i32) -> ()
      "tl.gemm"(%a, %a, %c) {clear = true, instr = "wgmma", policy = "square", transpose_a = false, transpose_b = true} : (!s, !s, !f) -> ()
      "tl.parallel"() ({
      ^bb0(%i: i32, %j: i32):
        %ii = arith.index_cast %i : i32 to index
        %jj = arith.index_cast %j : i32 to index
        memref.store %z, %b[%ii, %jj] : !s
      }) {extents = array<i64: 64, 64>, layout = #loop, tag = "write b"} : () -> ()
      "tl.tma_store"(%b, %g) : (!s, !g) -> ()
    }) {consumers = 128 : i32} : () -> ()
  }) {threads = array<i32: 256, 1, 1>} : (i32) -> ()
  return
}

// An asynchronous copy waits for those who read its tile, unless the program orders it.
// CHECK-LABEL: func.func @copies(
// CHECK: memref.load
// CHECK: "tl.sync_threads"()
// CHECK-NEXT: "tl.copy"({{.*}}) {async}
// CHECK: memref.load
// CHECK-NOT: tl.sync_threads
// CHECK: "tl.copy"({{.*}}) {async, ordered}
func.func @copies(%one: i32, %g: !g, %i: index) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() {layout = #swizzled, tl.offset = 0 : i64} : () -> !s
    %x = memref.load %a[%i, %i] : !s
    "tl.copy"(%g, %a) {async} : (!g, !s) -> ()
    "tl.sync_threads"() : () -> ()
    %y = memref.load %a[%i, %i] : !s
    "tl.copy"(%g, %a) {async, ordered} : (!g, !s) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// What copies by hand bring is fenced by the threads that have waited for it: a product reads it behind their backs.
// CHECK-LABEL: func.func @copies_by_hand_before_a_product(
// CHECK: "tl.wait_group"
// CHECK-NEXT: "tl.fence_proxy"()
// CHECK-NEXT: "tl.sync_threads"()
// CHECK-NEXT: "tl.gemm"
func.func @copies_by_hand_before_a_product(%one: i32, %g: !g) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() {layout = #swizzled, tl.offset = 0 : i64} : () -> !s
    %f = "tl.alloc"() {layout = #loop} : () -> !f
    "tl.copy"(%g, %a) {async, explicit} : (!g, !s) -> ()
    "tl.commit_group"() : () -> ()
    "tl.wait_group"() {pending = 0 : i64} : () -> ()
    "tl.gemm"(%a, %a, %f) {clear = true, instr = "wgmma", policy = "square", transpose_a = false, transpose_b = true} : (!s, !s, !f) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// A bulk copy goes another way than the threads: what they have read there is fenced before it is overwritten, in front
// of the barrier or of the arrival that gives it back.
// CHECK-LABEL: func.func @bulk_copy_over_reads(
// CHECK: tag = "read a"
// CHECK-NEXT: "tl.fence_proxy"()
// CHECK-NEXT: "tl.sync_threads"()
// CHECK-NEXT: "tl.tma_load"
// CHECK: tag = "read a again"
// CHECK-NEXT: "tl.fence_proxy"()
// CHECK-NEXT: "tl.mbarrier_arrive"
// CHECK: tag = "read b"
// CHECK-NEXT: "tl.mbarrier_arrive"
func.func @bulk_copy_over_reads(%g: !g, %out: memref<64x64xf16, #tl.scope<"global">>, %i: i32) {
  "tl.launch"(%i) ({
  ^bb0(%bx: i32):
    %q = "tl.alloc_barrier"() {counts = array<i64: 128>, tl.offset = 16384 : i64} : () -> !tl.barrier<1 : i64>
    %a = "tl.alloc"() {layout = #swizzled, tl.offset = 0 : i64} : () -> !s
    %b = "tl.alloc"() {layout = #swizzled, tl.offset = 8192 : i64} : () -> !s
    "tl.copy"(%a, %out) {tag = "read a"} : (!s, !g) -> ()
    "tl.tma_load"(%g, %a, %q, %i) {explicit} : (!g, !s, !tl.barrier<1 : i64>, i32) -> ()
    "tl.mbarrier_wait"(%q, %i, %i) : (!tl.barrier<1 : i64>, i32, i32) -> ()
    "tl.copy"(%a, %out) {tag = "read a again"} : (!s, !g) -> ()
    "tl.mbarrier_arrive"(%q, %i) : (!tl.barrier<1 : i64>, i32) -> ()
    "tl.copy"(%b, %out) {tag = "read b"} : (!s, !g) -> ()
    "tl.mbarrier_arrive"(%q, %i) : (!tl.barrier<1 : i64>, i32) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// Words that some threads copy and wait for in a branch of theirs: they fence them before a bulk store in the branch, and
// all threads do before one behind it, which needs a barrier too. A wait for copies from before the branch counts as well.
// CHECK-LABEL: func.func @words_of_a_branch(
// CHECK: scf.if
// CHECK: "tl.wait_group"
// CHECK-NEXT: "tl.fence_proxy"()
// CHECK-NEXT: "tl.tma_store"{{.*}}tag = "inside"
// CHECK: scf.if
// CHECK: "tl.wait_group"
// CHECK-NEXT: }
// CHECK-NEXT: "tl.fence_proxy"()
// CHECK-NEXT: "tl.sync_threads"()
// CHECK-NEXT: "tl.tma_store"
func.func @words_of_a_branch(%one: i32, %a: !g, %b: !g) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %true = arith.constant true
    %nine = arith.constant 9 : i32
    %zero = arith.constant 0 : i32
    %t = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %first = "tl.alloc"() {layout = #swizzled, tl.offset = 0 : i64} : () -> !s
    %second = "tl.alloc"() {layout = #swizzled, tl.offset = 8192 : i64} : () -> !s
    %few = arith.cmpi slt, %t, %nine : i32
    scf.if %few {
      "tl.copy_words"(%a, %first, %true, %t, %zero, %t, %zero) {bytes = 16 : i32} : (!g, !s, i1, i32, i32, i32, i32) -> ()
      "tl.commit_group"() : () -> ()
      "tl.wait_group"() {pending = 0 : i32} : () -> ()
      "tl.tma_store"(%first, %b) {explicit, tag = "inside"} : (!s, !g) -> ()
    }
    "tl.copy_words"(%a, %second, %true, %t, %zero, %t, %zero) {bytes = 16 : i32} : (!g, !s, i1, i32, i32, i32, i32) -> ()
    "tl.commit_group"() : () -> ()
    scf.if %few {
      "tl.wait_group"() {pending = 0 : i32} : () -> ()
    }
    "tl.tma_store"(%second, %b) {explicit} : (!s, !g) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
