// RUN: tl-opt %s --insert-barriers | filecheck %s

#plain = #tl.smem<array<i64: 64>, array<i64: 64, 0, 1, 1>, array<i64: 0, 0, 0>>
#loop = #tl.fragment<array<i64: 64>, array<i64: 64, 0, 1>, array<i64>>
!s = memref<64xf32, #tl.scope<"shared">>

// Two writes to different tiles need no barrier; reading one needs one, and so does writing a tile that shares its memory.
// CHECK-LABEL: func.func @write_then_read
// CHECK: "tl.parallel"
// CHECK: tag = "write a"
// CHECK-NEXT: "tl.parallel"
// CHECK: tag = "write b"
// CHECK-NEXT: "tl.sync_threads"()
// CHECK: tag = "read a"
// CHECK-NEXT: "tl.sync_threads"()
// CHECK: tag = "write c"
func.func @write_then_read() {
  %one = arith.constant 1 : i32
  %z = arith.constant 0.0 : f32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() {layout = #plain, tl.offset = 0 : i64} : () -> !s
    %b = "tl.alloc"() {layout = #plain, tl.offset = 256 : i64} : () -> !s
    %c = "tl.alloc"() {layout = #plain, tl.offset = 0 : i64} : () -> !s
    "tl.parallel"() ({
    ^bb0(%i: i32):
      %ii = arith.index_cast %i : i32 to index
      memref.store %z, %a[%ii] : !s
    }) {extents = array<i64: 64>, layout = #loop, tag = "write a"} : () -> ()
    "tl.parallel"() ({
    ^bb0(%i: i32):
      %ii = arith.index_cast %i : i32 to index
      memref.store %z, %b[%ii] : !s
    }) {extents = array<i64: 64>, layout = #loop, tag = "write b"} : () -> ()
    "tl.parallel"() ({
    ^bb0(%i: i32):
      %ii = arith.index_cast %i : i32 to index
      %x = memref.load %a[%ii] : !s
      memref.store %x, %b[%ii] : !s
    }) {extents = array<i64: 64>, layout = #loop, tag = "read a"} : () -> ()
    "tl.parallel"() ({
    ^bb0(%i: i32):
      %ii = arith.index_cast %i : i32 to index
      memref.store %z, %c[%ii] : !s
    }) {extents = array<i64: 64>, layout = #loop, tag = "write c"} : () -> ()
  }) {threads = array<i32: 64, 1, 1>} : (i32) -> ()
  return
}

// The read at the end of an iteration comes before the write at the start of the next.
// CHECK-LABEL: func.func @around_the_loop
// CHECK: scf.for
// CHECK-NEXT: "tl.sync_threads"()
// CHECK: tag = "write a"
// CHECK-NEXT: "tl.sync_threads"()
// CHECK: tag = "read a"
// CHECK-NEXT: }
func.func @around_the_loop() {
  %one = arith.constant 1 : i32
  %zero = arith.constant 0 : i32
  %four = arith.constant 4 : i32
  %z = arith.constant 0.0 : f32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() {layout = #plain, tl.offset = 0 : i64} : () -> !s
    %b = "tl.alloc"() {layout = #plain, tl.offset = 256 : i64} : () -> !s
    scf.for %k = %zero to %four step %one : i32 {
      "tl.parallel"() ({
      ^bb0(%i: i32):
        %ii = arith.index_cast %i : i32 to index
        memref.store %z, %a[%ii] : !s
      }) {extents = array<i64: 64>, layout = #loop, tag = "write a"} : () -> ()
      "tl.parallel"() ({
      ^bb0(%i: i32):
        %ii = arith.index_cast %i : i32 to index
        %x = memref.load %a[%ii] : !s
        memref.store %x, %b[%ii] : !s
      }) {extents = array<i64: 64>, layout = #loop, tag = "read a"} : () -> ()
    }
  }) {threads = array<i32: 64, 1, 1>} : (i32) -> ()
  return
}

// A branch that threads may take differently gets its barrier in front; one that all take alike may hold it.
// CHECK-LABEL: func.func @divergent
// CHECK: %[[P:.*]] = arith.cmpi
// CHECK-NEXT: "tl.sync_threads"()
// CHECK-NEXT: scf.if %[[P]] {
// CHECK-NOT: tl.sync_threads
// CHECK: }
// CHECK: scf.if
// CHECK-NEXT: "tl.sync_threads"()
// CHECK-NEXT: memref.store
func.func @divergent() {
  %one = arith.constant 1 : i32
  %zero = arith.constant 0 : i32
  %z = arith.constant 0.0 : f32
  %i = arith.constant 0 : index
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() {layout = #plain, tl.offset = 0 : i64} : () -> !s
    %l = "tl.alloc"() : () -> memref<1xf32, #tl.scope<"local">>
    memref.store %z, %a[%i] : !s
    %t = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %p = arith.cmpi eq, %t, %zero : i32
    scf.if %p {
      %x = memref.load %a[%i] : !s
      memref.store %x, %l[%i] : memref<1xf32, #tl.scope<"local">>
    }
    %q = arith.cmpi eq, %bx, %zero : i32
    scf.if %q {
      memref.store %z, %a[%i] : !s
    }
  }) {threads = array<i32: 64, 1, 1>} : (i32) -> ()
  return
}
