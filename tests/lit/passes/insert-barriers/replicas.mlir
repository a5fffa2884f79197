// Threads that hold the same elements all read what one of them overwrites: they meet in between.
// RUN: tl-opt %s --plan-shared-memory --insert-barriers | filecheck %s

#twice = #tl.fragment<array<i64: 64>, array<i64: 64, 0, 1, 2, -1, 1>, array<i64>>
!s = memref<64xf32, #tl.scope<"shared">>
!f = memref<64xf32, #tl.scope<"fragment">>

// CHECK-LABEL: func.func @main(
// CHECK: "tl.parallel"
// CHECK: memref.load
// CHECK-NEXT: memref.store %{{.*}} #tl.scope<"fragment">
// CHECK-NEXT: "tl.sync_threads"()
// CHECK-NEXT: memref.store %{{.*}} #tl.scope<"shared">
// Without a fragment one thread runs an iteration alone.
// CHECK: "tl.parallel"
// CHECK: memref.load
// CHECK-NEXT: memref.store
// In a loop that all of them run they meet in each iteration, and before they read what was written in the one before.
// CHECK: "tl.parallel"
// CHECK: scf.for
// CHECK-NEXT: "tl.sync_threads"()
// CHECK-NEXT: memref.load
// CHECK-NEXT: memref.store %{{.*}} #tl.scope<"fragment">
// CHECK-NEXT: "tl.sync_threads"()
// CHECK-NEXT: memref.store %{{.*}} #tl.scope<"shared">
func.func @main(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() {layout = #tl.smem<array<i64: 64>, array<i64: 64, 0, 1, 1>, array<i64: 0, 0, 0>>} : () -> !s
    %f = "tl.alloc"() {layout = #twice} : () -> !f
    "tl.parallel"() ({
    ^bb0(%i: i32):
      %at = arith.index_cast %i : i32 to index
      %x = memref.load %s[%at] : !s
      memref.store %x, %f[%at] : !f
      memref.store %x, %s[%at] : !s
    }) {extents = array<i64: 64>, layout = #twice} : () -> ()
    "tl.parallel"() ({
    ^bb0(%i: i32):
      %at = arith.index_cast %i : i32 to index
      %x = memref.load %s[%at] : !s
      memref.store %x, %s[%at] : !s
    }) {extents = array<i64: 64>, layout = #twice} : () -> ()
    %zero = arith.constant 0 : i32
    %three = arith.constant 3 : i32
    "tl.parallel"() ({
    ^bb0(%i: i32):
      %at = arith.index_cast %i : i32 to index
      scf.for %k = %zero to %three step %one : i32 {
        %x = memref.load %s[%at] : !s
        memref.store %x, %f[%at] : !f
        memref.store %x, %s[%at] : !s
      }
    }) {extents = array<i64: 64>, layout = #twice} : () -> ()
  }) {threads = array<i32: 128, 1, 1>, name = "main_kernel"} : (i32) -> ()
  return
}
