// Calls of device functions from outside.
// RUN: tl-opt %s | filecheck %s
// RUN: tl-opt %s > %t
// RUN: tl-opt %t | diff %t -

// CHECK-LABEL: func.func @calls(
// CHECK: %[[A:[0-9]+]] = "tl.address"(%arg0, %arg1) {access = "w"} : (memref<8xf16, #tl.scope<"local">>, i32) -> i64
// CHECK: "tl.call_extern"(%[[A]], %arg2) {name = "f", result = "float32", types = ["float16*", "int32"]} : (i64, i64) -> i64
func.func @calls(%l: memref<8xf16, #tl.scope<"local">>, %i: i32, %x: i64) {
  %a = "tl.address"(%l, %i) {access = "w"} : (memref<8xf16, #tl.scope<"local">>, i32) -> i64
  %r = "tl.call_extern"(%a, %x) {name = "f", result = "float32", types = ["float16*", "int32"]} : (i64, i64) -> i64
  return
}
