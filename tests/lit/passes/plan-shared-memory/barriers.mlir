// mbarriers live through the whole kernel: behind the tiles, 8 bytes an element, in front of what reductions exchange.
// RUN: tl-opt %s --plan-shared-memory --target=sm_90a | filecheck %s

#odd = #tl.smem<array<i64: 33>, array<i64: 33, 0, 1, 1>, array<i64: 0, 0, 0>>
#swizzled = #tl.smem<array<i64: 64, 64>, array<i64: 64, 1, 1, 1, 64, 0, 1, 64>, array<i64: 3, 3, 3>>
!odd = memref<33xf16, #tl.scope<"shared">>
!ring = memref<3x64x64xf16, #tl.scope<"shared">>

// CHECK-LABEL: func.func @behind_the_tiles(
// CHECK: "tl.alloc_barrier"() {counts = array<i64: 1, 1, 1>, tl.offset = 24648 : i64}
// CHECK: "tl.alloc_barrier"() {counts = array<i64: 4, 4, 4>, tl.offset = 24672 : i64}
// CHECK: tl.offset = 0 : i64} : () -> memref<3x64x64xf16
// CHECK: tl.offset = 24576 : i64} : () -> memref<33xf16
// CHECK: tl.shared_bytes = 24696 : i64
func.func @behind_the_tiles(%one: i32, %z: f16) {
  %i = arith.constant 0 : index
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %full = "tl.alloc_barrier"() {counts = array<i64: 1, 1, 1>} : () -> !tl.barrier<3 : i64>
    %empty = "tl.alloc_barrier"() {counts = array<i64: 4, 4, 4>} : () -> !tl.barrier<3 : i64>
    %ring = "tl.alloc"() {layout = #swizzled} : () -> !ring
    %odd = "tl.alloc"() {layout = #odd} : () -> !odd
    memref.store %z, %ring[%i, %i, %i] : !ring
    memref.store %z, %odd[%i] : !odd
    %x = memref.load %ring[%i, %i, %i] : !ring
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// The ring and the tile that a result is staged in have their lives one after the other.
// CHECK-LABEL: func.func @staged_result(
// CHECK: tl.offset = 24576 : i64
// CHECK: tl.offset = 0 : i64} : () -> memref<3x64x64xf16
// CHECK: tl.offset = 0 : i64} : () -> memref<64x64xf16
// CHECK: tl.shared_bytes = 24584 : i64
func.func @staged_result(%one: i32, %p: !llvm.ptr<1>) {
  %zero = arith.constant 0 : i32
  %g = "tl.tensor"(%p) {shape = array<i64: 64, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<64x64xf16, #tl.scope<"global">>
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %full = "tl.alloc_barrier"() {counts = array<i64: 1>} : () -> !tl.barrier<1 : i64>
    %ring = "tl.alloc"() {layout = #swizzled} : () -> !ring
    %tile = "tl.slice"(%ring, %zero, %zero, %zero) {sizes = array<i64: 1, 64, 64>} : (!ring, i32, i32, i32) -> memref<1x64x64xf16, strided<[4096, 64, 1], offset: ?>, #tl.scope<"shared">>
    "tl.specialize"() ({
      scf.for %k = %zero to %one step %one : i32 {
        "tl.tma_load"(%g, %tile, %full, %zero) : (memref<64x64xf16, #tl.scope<"global">>, memref<1x64x64xf16, strided<[4096, 64, 1], offset: ?>, #tl.scope<"shared">>, !tl.barrier<1 : i64>, i32) -> ()
      }
    }, {
      %f = "tl.alloc"() {layout = #tl.fragment<array<i64: 64, 64>, array<i64: 64, 1, 1, 2, 0, 1>, array<i64: 32, 0, 2>>} : () -> memref<64x64xf16, #tl.scope<"fragment">>
      scf.for %k = %zero to %one step %one : i32 {
        "tl.copy"(%tile, %f) : (memref<1x64x64xf16, strided<[4096, 64, 1], offset: ?>, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"fragment">>) -> ()
      }
      %staged = "tl.alloc"() {layout = #swizzled} : () -> memref<64x64xf16, #tl.scope<"shared">>
      "tl.copy"(%f, %staged) : (memref<64x64xf16, #tl.scope<"fragment">>, memref<64x64xf16, #tl.scope<"shared">>) -> ()
      "tl.tma_store"(%staged, %g) : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"global">>) -> ()
    }) {consumers = 128 : i32} : () -> ()
  }) {threads = array<i32: 256, 1, 1>} : (i32) -> ()
  return
}
