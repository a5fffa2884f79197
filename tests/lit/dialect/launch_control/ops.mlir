// Round trip of cluster launch control.
// RUN: tl-opt %s | tl-opt | filecheck %s

!a = memref<4xi32, #tl.scope<"shared">>
func.func @f(%a: !a, %b: !tl.barrier<1 : i64>, %i: i32) {
  // CHECK: "tl.clc_try_cancel"
  "tl.clc_try_cancel"(%a, %b, %i) : (!a, !tl.barrier<1 : i64>, i32) -> ()
  // CHECK: "tl.clc_try_cancel"({{.*}}) {multicast}
  "tl.clc_try_cancel"(%a, %b, %i) {multicast} : (!a, !tl.barrier<1 : i64>, i32) -> ()
  // CHECK: "tl.clc_query"(%{{.*}}) {field = "is_canceled"}
  %0 = "tl.clc_query"(%a) {field = "is_canceled"} : (!a) -> i32
  return
}
