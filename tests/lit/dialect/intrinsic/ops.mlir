// Single instructions by name.
// RUN: tl-opt %s | filecheck %s
// RUN: tl-opt %s > %t
// RUN: tl-opt %t | diff %t -

// CHECK-LABEL: func.func @registers(
// CHECK: "tl.intrinsic"() {count = 24 : i32, increase = 0 : i32, name = "set_registers"} : () -> ()
func.func @registers() {
  "tl.intrinsic"() {name = "set_registers", count = 24 : i32, increase = 0 : i32} : () -> ()
  return
}

// CHECK-LABEL: func.func @cluster(
// CHECK: %{{[0-9]+}} = "tl.intrinsic"() {name = "cluster_rank"} : () -> i32
// CHECK: "tl.intrinsic"() {name = "cluster_arrive", relaxed = 0 : i32} : () -> ()
// CHECK: "tl.intrinsic"() {name = "cluster_wait"} : () -> ()
func.func @cluster() {
  %r = "tl.intrinsic"() {name = "cluster_rank"} : () -> i32
  "tl.intrinsic"() {name = "cluster_arrive", relaxed = 0 : i32} : () -> ()
  "tl.intrinsic"() {name = "cluster_wait"} : () -> ()
  return
}
