// RUN: tl-opt %s --target=sm_90a --legalize-tile-ops | filecheck %s

// A copy of a part of a fragment is a loop over its elements.
// CHECK-LABEL: func.func @part(
// CHECK: "tl.parallel"
// CHECK: memref.load %[[F:[0-9]+]][%{{[0-9]+}}, %{{[0-9]+}}] : memref<4x32xf32, #tl.scope<"fragment">>
// CHECK: {extents = array<i64: 32>}
func.func @part(%k: i32) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %f = "tl.alloc"() : () -> memref<4x32xf32, #tl.scope<"fragment">>
    %r = "tl.alloc"() : () -> memref<32xf32, #tl.scope<"fragment">>
    %line = "tl.slice"(%f, %k, %zero) {sizes = array<i64: 1, 32>} : (memref<4x32xf32, #tl.scope<"fragment">>, i32, i32) -> memref<1x32xf32, strided<[32, 1], offset: ?>, #tl.scope<"fragment">>
    "tl.copy"(%line, %r) : (memref<1x32xf32, strided<[32, 1], offset: ?>, #tl.scope<"fragment">>, memref<32xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// A branch of whole warpgroups becomes their regions where it has tile operations.
// CHECK-LABEL: func.func @branch(
// CHECK: "tl.warpgroups"() ({
// CHECK-NEXT: "tl.fill"
// CHECK-NEXT: }) {groups = array<i32: 1>, tl.branch = 0 : i32}
// CHECK-NEXT: "tl.warpgroups"() ({
// CHECK-NEXT: "tl.fill"
// CHECK-NEXT: }) {groups = array<i32: 0>, tl.branch = 0 : i32}
// CHECK: scf.if
func.func @branch() {
  %one = arith.constant 1 : i32
  %half = arith.constant 128 : i32
  %x = arith.constant 1.0 : f32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> memref<128xf32, #tl.scope<"shared">>
    %t = "tl.alloc"() : () -> memref<128xf32, #tl.scope<"shared">>
    %v = "tl.alloc"() : () -> memref<1xf32, #tl.scope<"var">>
    %c0 = arith.constant 0 : index
    %tid = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %late = arith.cmpi sge, %tid, %half : i32
    scf.if %late {
      "tl.fill"(%s, %x) : (memref<128xf32, #tl.scope<"shared">>, f32) -> ()
    } else {
      "tl.fill"(%t, %x) : (memref<128xf32, #tl.scope<"shared">>, f32) -> ()
    }
    scf.if %late {
      memref.store %x, %v[%c0] : memref<1xf32, #tl.scope<"var">>
    }
  }) {threads = array<i32: 256, 1, 1>} : (i32) -> ()
  return
}

// One that parts a warpgroup becomes regions of warps.
// CHECK-LABEL: func.func @branch_of_a_warp(
// CHECK: "tl.warpgroups"() ({
// CHECK: }) {groups = array<i32: 0>, tl.branch = 0 : i32, warps}
// CHECK-NEXT: "tl.warpgroups"() ({
// CHECK: }) {groups = array<i32: 1, 2>, tl.branch = 0 : i32, warps}
func.func @branch_of_a_warp() {
  %one = arith.constant 1 : i32
  %few = arith.constant 32 : i32
  %x = arith.constant 1.0 : f32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> memref<96xf32, #tl.scope<"shared">>
    %t = "tl.alloc"() : () -> memref<96xf32, #tl.scope<"shared">>
    %tid = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %early = arith.cmpi slt, %tid, %few : i32
    scf.if %early {
      "tl.fill"(%s, %x) : (memref<96xf32, #tl.scope<"shared">>, f32) -> ()
    } else {
      "tl.fill"(%t, %x) : (memref<96xf32, #tl.scope<"shared">>, f32) -> ()
    }
  }) {threads = array<i32: 96, 1, 1>} : (i32) -> ()
  return
}

// A branch beside other operations of a role is nested in it: all threads of the role run those. A thread number taken
// in the branch still counts from the first thread of the block.
// CHECK-LABEL: func.func @branch_in_a_role(
// CHECK: "tl.thread_id"
// CHECK: "tl.thread_id"
// CHECK: "tl.warpgroups"() ({
// CHECK-NEXT: "tl.fill"
// CHECK-NEXT: }) {groups = array<i32: 0>, tl.branch = 0 : i32}
// CHECK-NEXT: "tl.warpgroups"() ({
// CHECK-NEXT: "tl.intrinsic"() {count = 24 : i64, increase = 0 : i64, name = "set_registers"}
// CHECK-NEXT: arith.cmpi
// CHECK-NEXT: "tl.warpgroups"() ({
// CHECK-NEXT: "tl.fill"
// CHECK-NEXT: }) {groups = array<i32: 4>, tl.branch = 1 : i32, warps}
// CHECK-NEXT: "tl.warpgroups"() ({
// CHECK-NEXT: "tl.fill"
// CHECK-NEXT: }) {groups = array<i32: 5, 6, 7>, tl.branch = 1 : i32, warps}
// CHECK-NEXT: "tl.sync_threads"
// CHECK-NEXT: }) {groups = array<i32: 1>, tl.branch = 0 : i32}
func.func @branch_in_a_role() {
  %one = arith.constant 1 : i32
  %half = arith.constant 128 : i32
  %few = arith.constant 160 : i32
  %x = arith.constant 1.0 : f32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> memref<128xf32, #tl.scope<"shared">>
    %t = "tl.alloc"() : () -> memref<128xf32, #tl.scope<"shared">>
    %r = "tl.alloc"() : () -> memref<128xf32, #tl.scope<"shared">>
    %tid = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %early = arith.cmpi slt, %tid, %half : i32
    scf.if %early {
      "tl.fill"(%s, %x) : (memref<128xf32, #tl.scope<"shared">>, f32) -> ()
    } else {
      "tl.intrinsic"() {count = 24 : i64, increase = 0 : i64, name = "set_registers"} : () -> ()
      %again = "tl.thread_id"() {dim = 0 : i32} : () -> i32
      %first = arith.cmpi slt, %again, %few : i32
      scf.if %first {
        "tl.fill"(%t, %x) : (memref<128xf32, #tl.scope<"shared">>, f32) -> ()
      } else {
        "tl.fill"(%r, %x) : (memref<128xf32, #tl.scope<"shared">>, f32) -> ()
      }
      "tl.sync_threads"() : () -> ()
    }
  }) {threads = array<i32: 256, 1, 1>} : (i32) -> ()
  return
}

// A guard on a loop variable that is the whole body shortens the loop.
// CHECK-LABEL: func.func @guarded(
// CHECK-NOT: scf.if
// CHECK: {extents = array<i64: 16, 64>}
func.func @guarded() {
  %one = arith.constant 1 : i32
  %few = arith.constant 16 : i32
  %x = arith.constant 1.0 : f32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> memref<16x64xf32, #tl.scope<"shared">>
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %in = arith.cmpi slt, %i, %few : i32
      scf.if %in {
        %ii = arith.index_cast %i : i32 to index
        %jj = arith.index_cast %j : i32 to index
        memref.store %x, %s[%ii, %jj] : memref<16x64xf32, #tl.scope<"shared">>
      }
    }) {extents = array<i64: 32, 64>} : () -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// A slice of run-time size bounds the loop over the tile: what it does not cover stays as it is.
// CHECK-LABEL: func.func @slice(
// CHECK: "tl.parallel"() ({
// CHECK: %[[IN:[0-9]+]] = arith.cmpi slt, %{{.*}}, %arg1 : i32
// CHECK: scf.if %[[IN]] {
// CHECK: memref.load
// CHECK: memref.store
// CHECK: {extents = array<i64: 64>}
// CHECK-NOT: "tl.copy"
func.func @slice(%p: !llvm.ptr<1>, %n: i32) {
  %one = arith.constant 1 : i32
  %zero = arith.constant 0 : i32
  %A = "tl.tensor"(%p, %n) {shape = array<i64: -1>, strides = array<i64: 1>} : (!llvm.ptr<1>, i32) -> memref<?xf32, #tl.scope<"global">>
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> memref<64xf32, #tl.scope<"shared">>
    %from = "tl.slice"(%A, %one, %n) {sizes = array<i64: -1>} : (memref<?xf32, #tl.scope<"global">>, i32, i32) -> memref<?xf32, strided<[1], offset: ?>, #tl.scope<"global">>
    %to = "tl.slice"(%s, %zero, %n) {sizes = array<i64: -1>} : (memref<64xf32, #tl.scope<"shared">>, i32, i32) -> memref<?xf32, strided<[1], offset: ?>, #tl.scope<"shared">>
    "tl.copy"(%from, %to) : (memref<?xf32, strided<[1], offset: ?>, #tl.scope<"global">>, memref<?xf32, strided<[1], offset: ?>, #tl.scope<"shared">>) -> ()
  }) {threads = array<i32: 64, 1, 1>} : (i32) -> ()
  return
}

// Where threads start no copies, an arrival after them is a plain one, which orders stores.
// CHECK-LABEL: func.func @arrive(
// CHECK: "tl.mbarrier_arrive"(%{{.*}}, %{{.*}}) :
func.func @arrive() {
  %one = arith.constant 1 : i32
  %zero = arith.constant 0 : i32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %bars = "tl.alloc_barrier"() {counts = array<i32: 64>} : () -> !tl.barrier<1 : i64>
    "tl.mbarrier_arrive"(%bars, %zero) {copies} : (!tl.barrier<1 : i64>, i32) -> ()
  }) {threads = array<i32: 64, 1, 1>} : (i32) -> ()
  return
}

// A reduction of a part of a fragment takes a fragment of its own, and gives back what it wrote to a part.
// CHECK-LABEL: func.func @sums_of_a_part(
// CHECK: %[[T:[0-9]+]] = "tl.alloc"() : () -> memref<4x8xf32, #tl.scope<"fragment">>
// CHECK-NEXT: "tl.parallel"
// CHECK: memref.store %{{.*}}, %[[T]]
// CHECK: %[[R:[0-9]+]] = "tl.alloc"() : () -> memref<4xf32, #tl.scope<"fragment">>
// CHECK-NEXT: "tl.reduce"(%[[T]], %[[R]])
// CHECK-NEXT: "tl.parallel"
// CHECK: memref.load %[[R]]
func.func @sums_of_a_part(%p: !llvm.ptr<1>) {
  %one = arith.constant 1 : i32
  %zero = arith.constant 0 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %f = "tl.alloc"() : () -> memref<8x8xf32, #tl.scope<"fragment">>
    %r = "tl.alloc"() : () -> memref<8xf32, #tl.scope<"fragment">>
    %lower = "tl.slice"(%f, %zero, %zero) {sizes = array<i64: 4, 8>} : (memref<8x8xf32, #tl.scope<"fragment">>, i32, i32) -> memref<4x8xf32, strided<[8, 1], offset: ?>, #tl.scope<"fragment">>
    %half = "tl.slice"(%r, %zero) {sizes = array<i64: 4>} : (memref<8xf32, #tl.scope<"fragment">>, i32) -> memref<4xf32, strided<[1], offset: ?>, #tl.scope<"fragment">>
    "tl.reduce"(%lower, %half) {clear = true, dim = 1 : i32, kind = "sum"} : (memref<4x8xf32, strided<[8, 1], offset: ?>, #tl.scope<"fragment">>, memref<4xf32, strided<[1], offset: ?>, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}

// A branch that all threads take is none; one thread copies by itself; where threads of a branch read or write
// what others of them wrote they get a region with barriers of its own, not where each has elements of its own.
// CHECK-LABEL: func.func @threads_of_a_branch(
// CHECK-NOT: scf.if
// CHECK: "tl.fill"
// CHECK: scf.if
// CHECK: scf.for
// CHECK: "tl.warpgroups"() ({
// CHECK: memref.load
// CHECK: }) {groups = array<i32: 1>, tl.branch = 0 : i32, warps}
// CHECK: scf.if
// CHECK: "tl.warpgroups"() ({
// CHECK-NEXT: memref.store
// CHECK-NEXT: memref.store
func.func @threads_of_a_branch() {
  %one = arith.constant 1 : i32
  %zero = arith.constant 0 : i32
  %warp = arith.constant 32 : i32
  %all = arith.constant 96 : i32
  %x = arith.constant 1.0 : f32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> memref<96xf32, #tl.scope<"shared">>
    %t = "tl.alloc"() : () -> memref<96xf32, #tl.scope<"shared">>
    %tid = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %within = arith.cmpi ult, %tid, %all : i32
    scf.if %within {
      "tl.fill"(%s, %x) : (memref<96xf32, #tl.scope<"shared">>, f32) -> ()
    }
    %first = arith.cmpi eq, %tid, %zero : i32
    scf.if %first {
      "tl.copy"(%s, %t) : (memref<96xf32, #tl.scope<"shared">>, memref<96xf32, #tl.scope<"shared">>) -> ()
    }
    %number = arith.divui %tid, %warp : i32
    %second = arith.cmpi eq, %number, %one : i32
    %other = arith.xori %tid, %one : i32
    %mine = arith.index_cast %tid : i32 to index
    %theirs = arith.index_cast %other : i32 to index
    scf.if %second {
      %v = memref.load %s[%theirs] : memref<96xf32, #tl.scope<"shared">>
      memref.store %v, %s[%mine] : memref<96xf32, #tl.scope<"shared">>
    }
    scf.if %second {
      %v = memref.load %s[%mine] : memref<96xf32, #tl.scope<"shared">>
      memref.store %v, %s[%mine] : memref<96xf32, #tl.scope<"shared">>
    }
    scf.if %second {
      memref.store %x, %s[%mine] : memref<96xf32, #tl.scope<"shared">>
      memref.store %x, %s[%theirs] : memref<96xf32, #tl.scope<"shared">>
    }
  }) {threads = array<i32: 96, 1, 1>} : (i32) -> ()
  return
}
