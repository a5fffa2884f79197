// Accesses of words.
// RUN: tl-opt %s | filecheck %s
// RUN: tl-opt %s > %t
// RUN: tl-opt %t | diff %t -

// CHECK-LABEL: func.func @words(
// CHECK: %[[W:[0-9]+]]:2 = "tl.load_words"(%arg0, %arg2, %arg3) : (memref<64xf16, #tl.scope<"global">>, i1, i32) -> (i32, i32)
// CHECK: "tl.store_words"(%arg1, %arg2, %arg3, %[[W]]#0, %[[W]]#1) : (memref<64xf16, #tl.scope<"shared">>, i1, i32, i32, i32) -> ()
// CHECK: "tl.copy_words"(%arg0, %arg1, %arg2, %arg3, %arg3) {bytes = 16 : i32}
func.func @words(%g: memref<64xf16, #tl.scope<"global">>, %s: memref<64xf16, #tl.scope<"shared">>, %p: i1, %i: i32) {
  %w:2 = "tl.load_words"(%g, %p, %i) : (memref<64xf16, #tl.scope<"global">>, i1, i32) -> (i32, i32)
  "tl.store_words"(%s, %p, %i, %w#0, %w#1) : (memref<64xf16, #tl.scope<"shared">>, i1, i32, i32, i32) -> ()
  "tl.copy_words"(%g, %s, %p, %i, %i) {bytes = 16 : i32} : (memref<64xf16, #tl.scope<"global">>, memref<64xf16, #tl.scope<"shared">>, i1, i32, i32) -> ()
  return
}
