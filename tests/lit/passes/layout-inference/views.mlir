// Tiles that products read under another shape: the view says how the bytes lie.
// RUN: tl-opt %s --layout-inference --target=sm_90a | filecheck %s
// RUN: tl-opt %s --layout-inference --target=gfx942 | filecheck %s --check-prefix=AMD

!s = memref<4x16x64xf16, #tl.scope<"shared">>
!flat = memref<4096xf16, #tl.scope<"shared">>
!v = memref<64x64xf16, #tl.scope<"shared">>
!w = memref<32x128xf16, #tl.scope<"shared">>
!c = memref<64x64xf32, #tl.scope<"fragment">>
!d = memref<32x64xf32, #tl.scope<"fragment">>
!e = memref<128x64xf16, #tl.scope<"shared">>

// Rows of the view are the leading dimensions of the tile: one panel for all of them.
// CHECK-LABEL: func.func @merged(
// CHECK: "tl.alloc"() {layout = #tl.smem<array<i64: 4, 16, 64>, array<i64: 64, 2, 1, 1, 16, 1, 1, 64, 4, 0, 1, 1024>, array<i64: 3, 3, 3>>} : () -> memref<4x16x64xf16
// CHECK: "tl.alloc"() {layout = #tl.smem<array<i64: 4096>, {{.*}}, array<i64: 3, 3, 3>>} : () -> memref<4096xf16
// CHECK: instr = "wgmma"
// AMD: "tl.alloc"() {layout = #tl.smem<array<i64: 4, 16, 64>, array<i64: 64, 2, 1, 1, 16, 1, 1, 64, 4, 0, 1, 1024>, array<i64: 3, 3, 3>>}
func.func @merged(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> !s
    %b = "tl.alloc"() : () -> !flat
    %c = "tl.alloc"() : () -> !c
    %rows = "tl.reshape"(%a) : (!s) -> !v
    %tile = "tl.reshape"(%b) : (!flat) -> !v
    "tl.gemm"(%rows, %tile, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = false} : (!v, !v, !c) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// Products that would have one tile lie in two ways: row by row, and no descriptor names it.
// CHECK-LABEL: func.func @two_shapes(
// CHECK: "tl.alloc"() {layout = #tl.smem<array<i64: 64, 64>, array<i64: 64, 1, 1, 1, 64, 0, 1, 64>, array<i64: 0, 0, 0>>}
// CHECK-NOT: instr = "wgmma"
func.func @two_shapes(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> !v
    %b = "tl.alloc"() : () -> !v
    %e = "tl.alloc"() : () -> !e
    %c = "tl.alloc"() : () -> !c
    %d = "tl.alloc"() : () -> !d
    %wide = "tl.reshape"(%a) : (!v) -> !w
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = false} : (!v, !v, !c) -> ()
    "tl.gemm"(%wide, %e, %d) {clear = true, policy = "square", transpose_a = false, transpose_b = false} : (!w, !e, !d) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
