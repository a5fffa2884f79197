// Tensors, tiles and parts of them in bytes; the place along the last dimension is halved.
// RUN: tl-opt %s --target=sm_100a --pack-elements | filecheck %s
!g = memref<128x128xf4E2M1FN, #tl.scope<"global">>
!s = memref<128x64xf4E2M1FN, #tl.scope<"shared">>
!w = memref<128x4xi32, #tl.scope<"tmem">>
!c = memref<128x128xf32, #tl.scope<"tmem">>

// CHECK: "tl.tensor"(%{{.*}}) {shape = array<i64: 128, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<128x64xi8, #tl.scope<"global">>
func.func @pack(%n: i32, %p: !llvm.ptr<1>, %k: i32) {
  %g = "tl.tensor"(%p) {shape = array<i64: 128, 128>, strides = array<i64: 128, 1>} : (!llvm.ptr<1>) -> !g
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    %no = arith.constant false
    // CHECK: "tl.alloc"() : () -> memref<128x32xi8, #tl.scope<"shared">>
    %s = "tl.alloc"() : () -> !s
    %w = "tl.alloc"() : () -> !w
    %c = "tl.alloc"() : () -> !c
    // CHECK: %[[HALF:.*]] = arith.divsi %{{.*}}, %c2_i32
    // CHECK: "tl.slice"(%{{.*}}, %{{.*}}, %[[HALF]]) {sizes = array<i64: 128, 32>}
    %c64 = arith.constant 64 : i32
    %even = arith.muli %k, %c64 : i32
    %t = "tl.slice"(%g, %x, %even) {sizes = array<i64: 128, 64>} : (!g, i32, i32) -> memref<128x64xf4E2M1FN, strided<[128, 1], offset: ?>, #tl.scope<"global">>
    "tl.copy"(%t, %s) : (memref<128x64xf4E2M1FN, strided<[128, 1], offset: ?>, #tl.scope<"global">>, !s) -> ()
    // CHECK: "tl.tcgen05_scaled_mma"({{.*}}) {a_packed = "e2m1", b_packed = "e2m1", scale_blocks
    "tl.tcgen05_scaled_mma"(%s, %s, %c, %no, %w, %w) {scale_blocks = array<i64: 32, 32>, scale_bytes = array<i64: 0, 0>, transpose_a = false, transpose_b = true} : (!s, !s, !c, i1, !w, !w) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
