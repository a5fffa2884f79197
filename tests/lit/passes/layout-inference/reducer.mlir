// RUN: tl-opt %s --layout-inference --target=sm_80 | filecheck %s

!f = memref<32x64xf32, #tl.scope<"fragment">>
!m = memref<32x1xf32, #tl.scope<"fragment">>
!r = memref<1xf32, #tl.scope<"fragment">>

// The reduction's result lies where its parts were, and the loop that collects it into a reducer follows.
// CHECK-LABEL: func.func @collect
// CHECK: "tl.alloc"() {layout = #tl.fragment<array<i64: 32, 64>, array<i64: 16, 1, 4, 2, 0, 1>, {{.*}}>} : () -> memref<32x64xf32
// CHECK: "tl.alloc"() {layout = #tl.fragment<[[M:array<i64: 32, 1>, array<i64: 16, -1, 1, 2, 0, 1>, array<i64: 16, 0, 2>]]>}
// CHECK: }) {extents = array<i64: 32, 1>, layout = #tl.fragment<[[M]]>}
func.func @collect() {
  %one = arith.constant 1 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %f = "tl.alloc"() : () -> !f
    %m = "tl.alloc"() : () -> !m
    %r = "tl.alloc_reducer"() {kind = "sum"} : () -> !r
    "tl.reduce"(%f, %m) {clear = true, dim = 1 : i32, kind = "max"} : (!f, !m) -> ()
    "tl.reducer_init"(%r) : (!r) -> ()
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      %x = memref.load %m[%ii, %jj] : !m
      "tl.reducer_update"(%r, %x, %jj) : (!r, f32, index) -> ()
    }) {extents = array<i64: 32, 1>} : () -> ()
    "tl.finalize_reducer"(%r, %r) : (!r, !r) -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
