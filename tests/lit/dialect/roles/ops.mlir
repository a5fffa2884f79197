// Warp roles.
// RUN: tl-opt %s | filecheck %s
// RUN: tl-opt %s > %t
// RUN: tl-opt %t | diff %t -

// CHECK-LABEL: func.func @roles(
// CHECK: "tl.specialize"() ({
// CHECK-NEXT: "tl.mbarrier_wait"
// CHECK-NEXT: }, {
// CHECK-NEXT: "tl.mbarrier_arrive"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {per_warp} : (!tl.barrier<2 : i64>, i32) -> ()
// CHECK-NEXT: }) {consumers = 256 : i32, registers = array<i32: 24, 240>} : () -> ()
func.func @roles(%b: !tl.barrier<2 : i64>, %i: i32) {
  "tl.specialize"() ({
    "tl.mbarrier_wait"(%b, %i, %i) : (!tl.barrier<2 : i64>, i32, i32) -> ()
  }, {
    "tl.mbarrier_arrive"(%b, %i) {per_warp} : (!tl.barrier<2 : i64>, i32) -> ()
  }) {consumers = 256 : i32, registers = array<i32: 24, 240>} : () -> ()
  return
}

// CHECK-LABEL: func.func @registers_as_they_are(
// CHECK: }) {consumers = 128 : i32} : () -> ()
func.func @registers_as_they_are() {
  "tl.specialize"() ({
    "tl.fence_proxy"() : () -> ()
  }, {
    "tl.fence_proxy"() : () -> ()
  }) {consumers = 128 : i32} : () -> ()
  return
}

// CHECK-LABEL: func.func @turns(
// CHECK: "tl.turn"() {action = "open"} : () -> ()
// CHECK: "tl.turn"() {action = "take"} : () -> ()
// CHECK: "tl.turn"() {action = "pass"} : () -> ()
func.func @turns() {
  "tl.specialize"() ({
    "tl.fence_proxy"() : () -> ()
  }, {
    "tl.turn"() {action = "open"} : () -> ()
    "tl.turn"() {action = "take"} : () -> ()
    "tl.turn"() {action = "pass"} : () -> ()
  }) {consumers = 256 : i32} : () -> ()
  return
}

// CHECK-LABEL: func.func @warpgroups(
// CHECK: "tl.warpgroups"() ({
// CHECK-NEXT: "tl.fence_proxy"
// CHECK-NEXT: }) {groups = array<i32: 1, 2>} : () -> ()
func.func @warpgroups() {
  "tl.warpgroups"() ({
    "tl.fence_proxy"() : () -> ()
  }) {groups = array<i32: 1, 2>} : () -> ()
  return
}
