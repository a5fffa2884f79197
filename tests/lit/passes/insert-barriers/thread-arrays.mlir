// RUN: tl-opt %s --plan-shared-memory --insert-barriers | filecheck %s

!s = memref<64xf32, #tl.scope<"shared">>
!m = memref<1xi1, #tl.scope<"local">>
!g = memref<8xi1, #tl.scope<"global">>

// A condition from an array of the threads is uniform when what was stored there is: the barrier is inside.
// CHECK-LABEL: func.func @uniform(
// CHECK: scf.if
// CHECK: "tl.parallel"
// CHECK: "tl.sync_threads"()
// CHECK: "tl.parallel"
// What differs between threads keeps its branch free of barriers.
// CHECK-LABEL: func.func @divergent(
// CHECK: scf.if
// CHECK-NOT: "tl.sync_threads"()
func.func @uniform(%p: !llvm.ptr<1>) {
  %one = arith.constant 1 : i32
  %c0 = arith.constant 0 : index
  %x = arith.constant 1.0 : f32
  %G = "tl.tensor"(%p) {shape = array<i64: 8>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> !g
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() {layout = #tl.smem<array<i64: 64>, array<i64: 64, 0, 1, 1>, array<i64: 0, 0, 0>>} : () -> !s
    %m = "tl.alloc"() : () -> !m
    %at = arith.index_cast %b : i32 to index
    %bit = memref.load %G[%at] : !g
    memref.store %bit, %m[%c0] : !m
    %cond = memref.load %m[%c0] : !m
    scf.if %cond {
      "tl.parallel"() ({
      ^bb0(%i: i32):
        %ii = arith.index_cast %i : i32 to index
        memref.store %x, %s[%ii] : !s
      }) {extents = array<i64: 64>} : () -> ()
      "tl.parallel"() ({
      ^bb0(%i: i32):
        %y = memref.load %s[%c0] : !s
      }) {extents = array<i64: 64>} : () -> ()
    }
  }) {threads = array<i32: 64, 1, 1>} : (i32) -> ()
  return
}

func.func @divergent(%p: !llvm.ptr<1>) {
  %one = arith.constant 1 : i32
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0 : i32
  %x = arith.constant 1.0 : f32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() {layout = #tl.smem<array<i64: 64>, array<i64: 64, 0, 1, 1>, array<i64: 0, 0, 0>>} : () -> !s
    %m = "tl.alloc"() : () -> !m
    %tid = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %bit = arith.cmpi eq, %tid, %zero : i32
    memref.store %bit, %m[%c0] : !m
    %cond = memref.load %m[%c0] : !m
    scf.if %cond {
      memref.store %x, %s[%c0] : !s
      %y = memref.load %s[%c0] : !s
    }
  }) {threads = array<i32: 64, 1, 1>} : (i32) -> ()
  return
}

// A variable that only some threads change differs between threads, whatever they store.
// CHECK-LABEL: func.func @counted(
// CHECK: "tl.sync_threads"()
// CHECK: scf.if {{.*}} {
// CHECK-NEXT: memref.store {{.*}}#tl.scope<"shared">
// CHECK-NOT: "tl.sync_threads"()
func.func @counted(%p: !llvm.ptr<1>) {
  %one = arith.constant 1 : i32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0 : i32
  %x = arith.constant 1.0 : f32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() {layout = #tl.smem<array<i64: 64>, array<i64: 64, 0, 1, 1>, array<i64: 0, 0, 0>>} : () -> !s
    %n = "tl.alloc"() : () -> memref<1xi32, #tl.scope<"var">>
    memref.store %zero, %n[%c0] : memref<1xi32, #tl.scope<"var">>
    %tid = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %first = arith.cmpi eq, %tid, %zero : i32
    scf.if %first {
      memref.store %one, %n[%c0] : memref<1xi32, #tl.scope<"var">>
    }
    %y = memref.load %s[%c1] : !s
    %count = memref.load %n[%c0] : memref<1xi32, #tl.scope<"var">>
    %some = arith.cmpi sgt, %count, %zero : i32
    scf.if %some {
      memref.store %x, %s[%c0] : !s
    }
  }) {threads = array<i32: 64, 1, 1>} : (i32) -> ()
  return
}

// Threads run this loop differently often: nothing in it can wait for all of them.
// CHECK-LABEL: func.func @rounds(
// CHECK: "tl.sync_threads"()
// CHECK-NEXT: scf.for
// CHECK-NOT: "tl.sync_threads"()
func.func @rounds(%p: !llvm.ptr<1>) {
  %one = arith.constant 1 : i32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = arith.constant 100 : i32
  %step = arith.constant 64 : i32
  %x = arith.constant 1.0 : f32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() {layout = #tl.smem<array<i64: 64>, array<i64: 64, 0, 1, 1>, array<i64: 0, 0, 0>>} : () -> !s
    %tid = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    memref.store %x, %s[%c0] : !s
    scf.for %i = %tid to %n step %step : i32 {
      memref.store %x, %s[%c1] : !s
      %y = memref.load %s[%c0] : !s
    }
  }) {threads = array<i32: 64, 1, 1>} : (i32) -> ()
  return
}
