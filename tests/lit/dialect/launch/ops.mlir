// Kernels and loops over tiles.
// RUN: tl-opt %s | filecheck %s
// RUN: tl-opt %s > %t
// RUN: tl-opt %t | diff %t -

// CHECK-LABEL: func.func @launch(
// CHECK: "tl.launch"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) ({
// CHECK: %{{[0-9a-z_]+}} = "tl.thread_id"() {dim = 0 : i32} : () -> i32
// CHECK: "tl.parallel"() ({
// CHECK: }) {extents = array<i64: 8, 4>} : () -> ()
// CHECK: "tl.parallel"(%{{[0-9a-z_]+}}) ({
// CHECK: }) {coalesced_width = 4 : i32, extents = array<i64: 8, -1>} : (i32) -> ()
// CHECK: }) {cluster = array<i32: 2, 1, 1>, min_blocks = 2 : i32, name = "main", threads = array<i32: 32, 4, 1>} : (i32, i32, i32) -> ()
func.func @launch(%n: i32) {
  "tl.launch"(%n, %n, %n) ({
  ^bb0(%x: i32, %y: i32, %z: i32):
    %t = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
    }) {extents = array<i64: 8, 4>} : () -> ()
    "tl.parallel"(%n) ({
    ^bb0(%i: i32, %j: i32):
    }) {coalesced_width = 4 : i32, extents = array<i64: 8, -1>} : (i32) -> ()
  }) {cluster = array<i32: 2, 1, 1>, min_blocks = 2 : i32, name = "main", threads = array<i32: 32, 4, 1>} : (i32, i32, i32) -> ()
  return
}
