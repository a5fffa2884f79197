// Tiles in front of a tile are copied one by one, to registers that a fragment has for each.
// RUN: tl-opt %s --target=sm_100a --layout-inference --expand-tensor-copies | filecheck %s

// CHECK: %[[T:.*]] = "tl.alloc"() {layout = #tl.tmem<
// CHECK: %[[F:.*]] = "tl.alloc"() {layout = #tl.fragment<array<i64: 2, 128, 8>, array<i64: 32, 1, 1, 4, 1, 32>, array<i64: 8, 2, 1, 2, 0, 1>>}
// CHECK-COUNT-2: "tl.slice"(%[[T]]
// CHECK-NOT: "tl.copy"(%[[T]]
func.func @copies(%n: i32) {
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    %t = "tl.alloc"() : () -> memref<2x128x8xf32, #tl.scope<"tmem">>
    %f = "tl.alloc"() : () -> memref<2x128x8xf32, #tl.scope<"fragment">>
    "tl.copy"(%t, %f) : (memref<2x128x8xf32, #tl.scope<"tmem">>, memref<2x128x8xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
