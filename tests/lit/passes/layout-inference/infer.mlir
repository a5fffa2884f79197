// RUN: tl-opt %s --layout-inference --target=sm_80 | filecheck %s

// The product fixes its accumulator and swizzles its operands (B's 24 columns admit no swizzle: rows padded by 16 bytes).
// The copy, the reduction's result and the loop follow from the accumulator.
// CHECK-LABEL: func.func @gemm
// CHECK: "tl.alloc"() {layout = #tl.smem<array<i64: 32, 64>, {{.*}}, array<i64: 3, 3, 3>>} : () -> memref<32x64xf16
// CHECK: "tl.alloc"() {layout = #tl.smem<array<i64: 64, 24>, array<i64: 24, 1, 1, 1, 64, 0, 1, 32>, array<i64: 0, 0, 0>>}
// CHECK: "tl.alloc"() {layout = #tl.fragment<[[C:array<i64: 32, 24>, array<i64: 4, 1, 2, 8, 0, 1, 2, 0, 16>, array<i64: 2, 1, 1, 2, 0, 8, 3, 1, 8>]]>} : () -> memref<32x24xf32
// CHECK: "tl.alloc"() {layout = #tl.fragment<[[C]]>} : () -> memref<32x24xf16
// CHECK: "tl.alloc"() {layout = #tl.fragment<array<i64: 32>, array<i64: 4, -1, {{[12]}}, 8, 0, 1, 2, 0, 16>, array<i64: 2, 0, 8>>} : () -> memref<32xf32
// CHECK: }) {extents = array<i64: 32, 24>, layout = #tl.fragment<[[C]]>}
func.func @gemm() {
  %one = arith.constant 1 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<32x64xf16, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<64x24xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<32x24xf32, #tl.scope<"fragment">>
    %h = "tl.alloc"() : () -> memref<32x24xf16, #tl.scope<"fragment">>
    %m = "tl.alloc"() : () -> memref<32xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "full_row", transpose_a = false, transpose_b = false} : (memref<32x64xf16, #tl.scope<"shared">>, memref<64x24xf16, #tl.scope<"shared">>, memref<32x24xf32, #tl.scope<"fragment">>) -> ()
    "tl.copy"(%c, %h) : (memref<32x24xf32, #tl.scope<"fragment">>, memref<32x24xf16, #tl.scope<"fragment">>) -> ()
    "tl.reduce"(%c, %m) {clear = true, dim = 1 : i32, kind = "max"} : (memref<32x24xf32, #tl.scope<"fragment">>, memref<32xf32, #tl.scope<"fragment">>) -> ()
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      %x = memref.load %c[%ii, %jj] : memref<32x24xf32, #tl.scope<"fragment">>
      %y = memref.load %m[%ii] : memref<32xf32, #tl.scope<"fragment">>
      %z = arith.subf %x, %y : f32
      memref.store %z, %c[%ii, %jj] : memref<32x24xf32, #tl.scope<"fragment">>
    }) {extents = array<i64: 32, 24>} : () -> ()
  }) {threads = array<i32: 64, 1, 1>} : (i32) -> ()
  return
}

// What nothing fixes is spread in 16-byte vectors, neighbours in neighbouring threads. A fragment only touched outside of
// tile operations is every thread's own. A loop without fragments gives an iteration to each thread.
// CHECK-LABEL: func.func @free
// CHECK: "tl.alloc"() {layout = #tl.fragment<array<i64: 32, 64>, array<i64: 8, 1, 8, 4, 0, 1>, array<i64: 8, 1, 1, 8, 0, 4>>}
// CHECK: "tl.alloc"() {layout = #tl.smem<array<i64: 32, 64>, array<i64: 64, 1, 1, 1, 32, 0, 1, 64>, array<i64: 0, 0, 0>>}
// CHECK: "tl.alloc"() {layout = #tl.fragment<array<i64: 2>, array<i64: 32, -1, 1>, array<i64: 2, 0, 1>>} : () -> memref<2xi32
// CHECK: }) {extents = array<i64: 32>, layout = #tl.fragment<array<i64: 32>, array<i64: 32, 0, 1>, array<i64>>}
func.func @free() {
  %one = arith.constant 1 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %f = "tl.alloc"() : () -> memref<32x64xf16, #tl.scope<"fragment">>
    %s = "tl.alloc"() : () -> memref<32x64xf16, #tl.scope<"shared">>
    %p = "tl.alloc"() : () -> memref<2xi32, #tl.scope<"fragment">>
    "tl.copy"(%s, %f) : (memref<32x64xf16, #tl.scope<"shared">>, memref<32x64xf16, #tl.scope<"fragment">>) -> ()
    %z = arith.constant 0 : index
    %v = arith.constant 7 : i32
    memref.store %v, %p[%z] : memref<2xi32, #tl.scope<"fragment">>
    "tl.parallel"() ({
    ^bb0(%i: i32):
      %ii = arith.index_cast %i : i32 to index
      %x = memref.load %s[%z, %ii] : memref<32x64xf16, #tl.scope<"shared">>
      memref.store %x, %s[%ii, %z] : memref<32x64xf16, #tl.scope<"shared">>
    }) {extents = array<i64: 32>} : () -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
