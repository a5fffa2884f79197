// RUN: tl-opt %s --layout-inference --target=sm_80 | filecheck %s

// Two dimensions of one tile are reduced, and a loop adds the results: the second one's comes from another fragment.
// CHECK-LABEL: func.func @rows_and_columns
// CHECK: "tl.reduce"([[TILE:%.+]], [[ROWS:%.+]]) {clear = true, dim = 1
// CHECK: [[STAGED:%.+]] = "tl.alloc"() {layout = {{.*}}} : () -> memref<8xf32
// CHECK: "tl.copy"([[SUMS:%.+]], [[STAGED]])
// CHECK: "tl.reduce"({{%.+}}, [[STAGED]]) {clear = false, dim = 0
// CHECK: "tl.copy"([[STAGED]], [[SUMS]])
func.func @rows_and_columns() {
  %one = arith.constant 1 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %x = "tl.alloc"() : () -> memref<8x8xf32, #tl.scope<"fragment">>
    %y = "tl.alloc"() : () -> memref<8x8xf32, #tl.scope<"fragment">>
    %r = "tl.alloc"() : () -> memref<8xf32, #tl.scope<"fragment">>
    %c = "tl.alloc"() : () -> memref<8xf32, #tl.scope<"fragment">>
    "tl.reduce"(%x, %r) {clear = true, dim = 1 : i32, kind = "sum"} : (memref<8x8xf32, #tl.scope<"fragment">>, memref<8xf32, #tl.scope<"fragment">>) -> ()
    "tl.copy"(%r, %c) : (memref<8xf32, #tl.scope<"fragment">>, memref<8xf32, #tl.scope<"fragment">>) -> ()
    "tl.reduce"(%y, %c) {clear = false, dim = 0 : i32, kind = "sum"} : (memref<8x8xf32, #tl.scope<"fragment">>, memref<8xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 64, 1, 1>} : (i32) -> ()
  return
}
