// Four rows at a time: one thread copies, a box of one row per panel of the tile.
// RUN: tl-opt %s --target=sm_100a --lower-to-threads --canonicalize | filecheck %s

// CHECK-LABEL: llvm.func @rows_kernel(
// CHECK-SAME: tl.tensor_maps = [{box = array<i64: 1, 64>, param = 0 : i64, swizzle = "128B"}]
// CHECK: nvvm.elect.sync
// Rows 4 to 7 of the tile lie 512 bytes down, in both panels.
// CHECK: llvm.getelementptr %{{[0-9]+}}[512]
// CHECK: %[[PANEL:[0-9]+]] = llvm.getelementptr %{{[0-9]+}}[1024] : (!llvm.ptr<3>) -> !llvm.ptr<3>, f16
// CHECK: llvm.getelementptr %[[PANEL]][512]
// CHECK: nvvm.inline_ptx "cp.async.bulk.tensor.2d.shared::cta.global.tile::gather4{{.*}}%c0_i32, %{{[a-z0-9]+}}, %{{[a-z0-9]+}}, %{{[a-z0-9]+}}, %{{[a-z0-9]+}} :
// CHECK: nvvm.inline_ptx "cp.async.bulk.tensor.2d.shared::cta.global.tile::gather4{{.*}}%c64_i32
// CHECK: nvvm.inline_ptx "cp.async.bulk.tensor.2d.global.shared::cta.tile::scatter4
// CHECK: nvvm.inline_ptx "cp.async.bulk.tensor.2d.global.shared::cta.tile::scatter4
// CHECK-NEXT: nvvm.cp.async.bulk.commit.group
#swizzled = #tl.smem<array<i64: 16, 128>, array<i64: 64, 1, 1, 1, 16, 0, 1, 64, 2, 1, 64, 1024>, array<i64: 3, 3, 3>>
!s = memref<16x128xf16, #tl.scope<"shared">>
!g = memref<256x128xf16, #tl.scope<"global">>
!four = memref<4x128xf16, strided<[128, 1], offset: ?>, #tl.scope<"shared">>
func.func @rows(%x: !llvm.ptr<1>, %one: i32) {
  %g = "tl.tensor"(%x) {shape = array<i64: 256, 128>, strides = array<i64: 128, 1>} : (!llvm.ptr<1>) -> !g
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %zero = arith.constant 0 : i32
    %down = arith.constant 4 : i32
    %b = "tl.alloc_barrier"() {counts = array<i64: 1>, tl.offset = 4096 : i64} : () -> !tl.barrier<1 : i64>
    %s = "tl.alloc"() {layout = #swizzled, tl.offset = 0 : i64} : () -> !s
    %rows = "tl.slice"(%s, %down, %zero) {sizes = array<i64: 4, 128>} : (!s, i32, i32) -> !four
    "tl.tma_gather4"(%g, %rows, %b, %zero, %zero, %bx, %bx, %bx, %bx) : (!g, !four, !tl.barrier<1 : i64>, i32, i32, i32, i32, i32, i32) -> ()
    "tl.tma_scatter4"(%rows, %g, %zero, %bx, %bx, %bx, %bx) : (!four, !g, i32, i32, i32, i32, i32) -> ()
  }) {threads = array<i32: 128, 1, 1>, tl.shared_bytes = 4104 : i64, name = "rows_kernel"} : (i32) -> ()
  return
}
