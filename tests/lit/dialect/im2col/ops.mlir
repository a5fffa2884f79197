// Tiles of the matrix of a convolution.
// RUN: tl-opt %s | filecheck %s
// RUN: tl-opt %s > %t
// RUN: tl-opt %t | diff %t -

// CHECK-LABEL: func.func @tiles(
// CHECK: "tl.im2col"(%arg0, %arg1, %arg2, %arg2, %arg2, %arg2, %arg2) {dilation = 1 : i32, kernel = 3 : i32, pad = 1 : i32, stride = 2 : i32}
// CHECK: "tl.im2col_load"(%arg0, %arg1, %{{.*}}, %arg2, %arg2, %arg2, %arg2, %arg2, %arg2) {dilation = 1 : i32, eviction = "evict_last"
func.func @tiles(%x: memref<2x9x7x64xf16, #tl.scope<"global">>, %t: memref<64x64xf16, #tl.scope<"shared">>, %i: i32) {
  "tl.im2col"(%x, %t, %i, %i, %i, %i, %i) {dilation = 1 : i32, kernel = 3 : i32, pad = 1 : i32, stride = 2 : i32} : (memref<2x9x7x64xf16, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>, i32, i32, i32, i32, i32) -> ()
  %b = "tl.alloc_barrier"() {counts = array<i64: 1>} : () -> !tl.barrier<1 : i64>
  "tl.im2col_load"(%x, %t, %b, %i, %i, %i, %i, %i, %i) {dilation = 1 : i32, eviction = "evict_last", kernel = 3 : i32, pad = 1 : i32, stride = 2 : i32} : (memref<2x9x7x64xf16, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>, !tl.barrier<1 : i64>, i32, i32, i32, i32, i32, i32) -> ()
  return
}
