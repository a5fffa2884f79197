// Bulk copies that a program builds itself.
// RUN: tl-opt %s | filecheck %s
// RUN: tl-opt %s > %t
// RUN: tl-opt %t | diff %t -

// CHECK-LABEL: func.func @copies(
// CHECK: "tl.box_load"(%arg0, %arg1, %arg2, %arg3, %arg3, %arg3, %arg3, %arg3) {box = array<i64: 32, 64>, swizzle = "128B"}
// CHECK: "tl.box_store"(%arg1, %arg0, %arg3, %arg3, %arg3, %arg3) {bytes = 256 : i32}
func.func @copies(%g: memref<128x64xf16, #tl.scope<"global">>, %s: memref<32x64xf16, #tl.scope<"shared">>, %bar: !tl.barrier<1 : i64>, %i: i32) {
  "tl.box_load"(%g, %s, %bar, %i, %i, %i, %i, %i) {box = array<i64: 32, 64>, swizzle = "128B"} : (memref<128x64xf16, #tl.scope<"global">>, memref<32x64xf16, #tl.scope<"shared">>, !tl.barrier<1 : i64>, i32, i32, i32, i32, i32) -> ()
  "tl.box_store"(%s, %g, %i, %i, %i, %i) {bytes = 256 : i32} : (memref<32x64xf16, #tl.scope<"shared">>, memref<128x64xf16, #tl.scope<"global">>, i32, i32, i32, i32) -> ()
  return
}

// CHECK-LABEL: func.func @sums(
// CHECK: "tl.box_store"(%arg1, %arg0, %arg2, %arg2) {bytes = 64 : i32, reduce = "add"}
func.func @sums(%g: memref<64xf32, #tl.scope<"global">>, %s: memref<64xf32, #tl.scope<"shared">>, %i: i32) {
  "tl.box_store"(%s, %g, %i, %i) {bytes = 64 : i32, reduce = "add"} : (memref<64xf32, #tl.scope<"shared">>, memref<64xf32, #tl.scope<"global">>, i32, i32) -> ()
  return
}

// CHECK-LABEL: func.func @addresses(
// CHECK: "tl.shared_address"(%arg0, %arg1, %arg1) : (memref<32x64xf16, #tl.scope<"shared">>, i32, i32) -> i32
func.func @addresses(%s: memref<32x64xf16, #tl.scope<"shared">>, %i: i32) {
  %a = "tl.shared_address"(%s, %i, %i) : (memref<32x64xf16, #tl.scope<"shared">>, i32, i32) -> i32
  return
}
