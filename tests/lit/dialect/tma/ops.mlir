// Bulk copies and the fence between the proxies.
// RUN: tl-opt %s | filecheck %s
// RUN: tl-opt %s > %t
// RUN: tl-opt %t | diff %t -

!g = memref<512x512xf16, #tl.scope<"global">>
!tile = memref<64x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
!s = memref<64x64xf16, #tl.scope<"shared">>

// CHECK-LABEL: func.func @copies(
// CHECK: "tl.tma_load"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) : (memref<64x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>, !tl.barrier<2 : i64>, i32) -> ()
// CHECK: "tl.tma_load"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) : (memref<64x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>, memref<1x64x64xf16, #tl.scope<"shared">>, !tl.barrier<2 : i64>, i32) -> ()
// CHECK: "tl.fence_proxy"() : () -> ()
// CHECK: "tl.tma_store"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>) -> ()
// CHECK: "tl.tma_wait"() {pending = 0 : i32} : () -> ()
// CHECK: "tl.tma_wait"() {pending = 2 : i32} : () -> ()
func.func @copies(%g: !g, %s: !s, %v: memref<1x64x64xf16, #tl.scope<"shared">>, %b: !tl.barrier<2 : i64>, %i: i32) {
  %tile = "tl.slice"(%g, %i, %i) {sizes = array<i64: 64, 64>} : (!g, i32, i32) -> !tile
  "tl.tma_load"(%tile, %s, %b, %i) : (!tile, !s, !tl.barrier<2 : i64>, i32) -> ()
  "tl.tma_load"(%tile, %v, %b, %i) : (!tile, memref<1x64x64xf16, #tl.scope<"shared">>, !tl.barrier<2 : i64>, i32) -> ()
  "tl.fence_proxy"() : () -> ()
  "tl.tma_store"(%s, %tile) : (!s, !tile) -> ()
  "tl.tma_wait"() {pending = 0 : i32} : () -> ()
  "tl.tma_wait"() {pending = 2 : i32} : () -> ()
  return
}

// CHECK-LABEL: func.func @with_gaps(
// CHECK: "tl.tma_load"(%{{.*}}) {gaps = "e2m3"}
func.func @with_gaps(%g: memref<64x96xi8, #tl.scope<"global">>, %s: memref<64x128xi8, #tl.scope<"shared">>, %b: !tl.barrier<2 : i64>, %i: i32) {
  "tl.tma_load"(%g, %s, %b, %i) {gaps = "e2m3"} : (memref<64x96xi8, #tl.scope<"global">>, memref<64x128xi8, #tl.scope<"shared">>, !tl.barrier<2 : i64>, i32) -> ()
  return
}

// CHECK-LABEL: func.func @led(
// CHECK: "tl.tma_load"(%{{.*}}) {explicit, leaders = 32 : i32}
// CHECK: "tl.tma_store"(%{{.*}}) {explicit, leaders = 128 : i32}
func.func @led(%g: memref<64x64xf16, #tl.scope<"global">>, %s: !s, %b: !tl.barrier<2 : i64>, %i: i32) {
  "tl.tma_load"(%g, %s, %b, %i) {explicit, leaders = 32 : i32} : (memref<64x64xf16, #tl.scope<"global">>, !s, !tl.barrier<2 : i64>, i32) -> ()
  "tl.tma_store"(%s, %g) {explicit, leaders = 128 : i32} : (!s, memref<64x64xf16, #tl.scope<"global">>) -> ()
  return
}

// CHECK-LABEL: func.func @products(
// CHECK: "tl.gemm"(%{{.*}}) {asynchronous, clear = false, instr = "wgmma", policy = "square", transpose_a = false, transpose_b = true}
// CHECK: "tl.wait_products"(%{{[0-9a-z_]+}}) {pending = 1 : i32} : (memref<64x64xf32, #tl.scope<"fragment">>) -> ()
func.func @products(%a: !s, %b: !s, %c: memref<64x64xf32, #tl.scope<"fragment">>) {
  "tl.gemm"(%a, %b, %c) {asynchronous, clear = false, instr = "wgmma", policy = "square", transpose_a = false, transpose_b = true} : (!s, !s, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
  "tl.wait_products"(%c) {pending = 1 : i32} : (memref<64x64xf32, #tl.scope<"fragment">>) -> ()
  return
}

// CHECK-LABEL: func.func @staged(
// CHECK: "tl.staged_store"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {fresh} : (memref<64x64xf32, #tl.scope<"fragment">>, memref<2x64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>) -> ()
// CHECK: "tl.staged_store"(%{{.*}}) {transposed} : (memref<64x16xf32, #tl.scope<"fragment">>, memref<2x64x64xf16, #tl.scope<"shared">>, memref<16x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>) -> ()
// CHECK: "tl.gemm"(%{{.*}}) {clear = true, instr = "wgmma", pending = 1 : i32, policy = "square", transpose_a = false, transpose_b = true}
func.func @staged(%g: !g, %a: !s, %c: memref<64x64xf32, #tl.scope<"fragment">>, %b: memref<2x64x64xf16, #tl.scope<"shared">>, %i: i32) {
  %tile = "tl.slice"(%g, %i, %i) {sizes = array<i64: 64, 64>} : (!g, i32, i32) -> !tile
  "tl.staged_store"(%c, %b, %tile) {fresh} : (memref<64x64xf32, #tl.scope<"fragment">>, memref<2x64x64xf16, #tl.scope<"shared">>, !tile) -> ()
  %narrow = "tl.alloc"() : () -> memref<64x16xf32, #tl.scope<"fragment">>
  %wide = "tl.slice"(%g, %i, %i) {sizes = array<i64: 16, 64>} : (!g, i32, i32) -> memref<16x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
  "tl.staged_store"(%narrow, %b, %wide) {transposed} : (memref<64x16xf32, #tl.scope<"fragment">>, memref<2x64x64xf16, #tl.scope<"shared">>, memref<16x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>) -> ()
  "tl.gemm"(%a, %a, %c) {clear = true, instr = "wgmma", pending = 1 : i32, policy = "square", transpose_a = false, transpose_b = true} : (!s, !s, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
  return
}

// CHECK-LABEL: func.func @rows(
// CHECK: "tl.tma_gather4"(%{{.*}}) {eviction = "evict_first"} : (memref<512x512xf16, #tl.scope<"global">>, memref<4x64xf16, #tl.scope<"shared">>, !tl.barrier<2 : i64>, i32, i32, i32, i32, i32, i32) -> ()
// CHECK: "tl.tma_scatter4"(%{{.*}}) : (memref<4x64xf16, #tl.scope<"shared">>, memref<512x512xf16, #tl.scope<"global">>, i32, i32, i32, i32, i32) -> ()
// CHECK: "tl.fence_proxy"() {device} : () -> ()
func.func @rows(%g: !g, %s: memref<4x64xf16, #tl.scope<"shared">>, %b: !tl.barrier<2 : i64>, %i: i32) {
  "tl.tma_gather4"(%g, %s, %b, %i, %i, %i, %i, %i, %i) {eviction = "evict_first"} : (!g, memref<4x64xf16, #tl.scope<"shared">>, !tl.barrier<2 : i64>, i32, i32, i32, i32, i32, i32) -> ()
  "tl.tma_scatter4"(%s, %g, %i, %i, %i, %i, %i) : (memref<4x64xf16, #tl.scope<"shared">>, !g, i32, i32, i32, i32, i32) -> ()
  "tl.fence_proxy"() {device} : () -> ()
  return
}
