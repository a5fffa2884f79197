// A barrier with a number is the program's own matter, but for number 0 and the count of all threads: it orders as one
// without.
// RUN: tl-opt %s --insert-barriers | filecheck %s

#plain = #tl.smem<array<i64: 64>, array<i64: 64, 0, 1, 1>, array<i64: 0, 0, 0>>
#loop = #tl.fragment<array<i64: 64>, array<i64: 64, 0, 1>, array<i64>>
!s = memref<64xf32, #tl.scope<"shared">>

// CHECK-LABEL: func.func @of_the_block(
// CHECK: tag = "write"
// CHECK-NEXT: "tl.sync_threads"() {count = 64 : i32, id = 0 : i32}
// CHECK-NEXT: "tl.parallel"
// CHECK: tag = "read"
func.func @of_the_block(%z: f32) {
  %one = arith.constant 1 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() {layout = #plain, tl.offset = 0 : i64} : () -> !s
    %b = "tl.alloc"() {layout = #plain, tl.offset = 256 : i64} : () -> !s
    "tl.parallel"() ({
    ^bb0(%i: i32):
      %ii = arith.index_cast %i : i32 to index
      memref.store %z, %a[%ii] : !s
    }) {extents = array<i64: 64>, layout = #loop, tag = "write"} : () -> ()
    "tl.sync_threads"() {count = 64 : i32, id = 0 : i32} : () -> ()
    "tl.parallel"() ({
    ^bb0(%i: i32):
      %ii = arith.index_cast %i : i32 to index
      %x = memref.load %a[%ii] : !s
      memref.store %x, %b[%ii] : !s
    }) {extents = array<i64: 64>, layout = #loop, tag = "read"} : () -> ()
  }) {threads = array<i32: 64, 1, 1>} : (i32) -> ()
  return
}

// CHECK-LABEL: func.func @of_others(
// CHECK: tag = "write"
// CHECK-NEXT: "tl.sync_threads"() {count = 64 : i32, id = 1 : i32}
// CHECK-NEXT: "tl.sync_threads"() :
// CHECK: tag = "read"
func.func @of_others(%z: f32) {
  %one = arith.constant 1 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() {layout = #plain, tl.offset = 0 : i64} : () -> !s
    %b = "tl.alloc"() {layout = #plain, tl.offset = 256 : i64} : () -> !s
    "tl.parallel"() ({
    ^bb0(%i: i32):
      %ii = arith.index_cast %i : i32 to index
      memref.store %z, %a[%ii] : !s
    }) {extents = array<i64: 64>, layout = #loop, tag = "write"} : () -> ()
    "tl.sync_threads"() {count = 64 : i32, id = 1 : i32} : () -> ()
    "tl.parallel"() ({
    ^bb0(%i: i32):
      %ii = arith.index_cast %i : i32 to index
      %x = memref.load %a[%ii] : !s
      memref.store %x, %b[%ii] : !s
    }) {extents = array<i64: 64>, layout = #loop, tag = "read"} : () -> ()
  }) {threads = array<i32: 64, 1, 1>} : (i32) -> ()
  return
}
