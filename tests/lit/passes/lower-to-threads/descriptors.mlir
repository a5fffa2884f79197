// Tensor maps that a kernel makes: zeroed, described by one lane, copied out and acquired by each warp; made again in a
// loop when the stores through the last ones are complete.
// RUN: tl-opt %s --stage=lowered --target=sm_90a | filecheck %s

// CHECK-LABEL: llvm.func @views_kernel(
// CHECK-SAME: %arg3: !llvm.ptr<1> {llvm.align = 16 : i64, llvm.noalias}) attributes
// CHECK-SAME: tl.made_maps = 8 : i64
// CHECK: scf.for
// CHECK: nvvm.cp.async.bulk.wait_group 0{{$}}
// CHECK: llvm.store %c0_i32
// CHECK: nvvm.bar.warp.sync
// CHECK: scf.if
// CHECK: tensormap.replace.tile.global_address.shared::cta.b1024.b64 [{$r0}], {$r1};" ro(%[[PLACE:[0-9]+]], %{{[0-9]+}} : !llvm.ptr<3>, i64)
// CHECK: tensormap.replace.tile.rank.shared::cta.b1024.b32 [{$r0}], {$r1};" ro(%[[PLACE]], %c1_i32
// CHECK: tensormap.replace.tile.global_dim.shared::cta.b1024.b32 [{$r0}], 0, {$r1};" ro(%[[PLACE]], %c64_i32
// CHECK: tensormap.replace.tile.global_dim.shared::cta.b1024.b32 [{$r0}], 1, {$r1};" ro(%[[PLACE]], %arg2
// CHECK: tensormap.replace.tile.global_stride.shared::cta.b1024.b64 [{$r0}], 0, {$r1};" ro(%[[PLACE]], %c128_i64
// CHECK: tensormap.replace.tile.elemtype.shared::cta.b1024.b32 [{$r0}], 6;
// CHECK: tensormap.replace.tile.box_dim.shared::cta.b1024.b32 [{$r0}], 1, {$r1};" ro(%[[PLACE]], %c32_i32
// CHECK: tensormap.replace.tile.swizzle_mode.shared::cta.b1024.b32 [{$r0}], 0;
// CHECK: nvvm.bar.warp.sync
// CHECK: tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic.release.gpu.sync.aligned [{$r0}], [{$r1}], 128;" ro(%[[LINE:[0-9]+]], %[[PLACE]]
// CHECK-NEXT: fence.proxy.tensormap::generic.acquire.gpu [{$r0}], 128;" ro(%[[LINE]]
// CHECK-NEXT: %[[MAP:[0-9]+]] = llvm.addrspacecast %[[LINE]] : !llvm.ptr<1> to !llvm.ptr
// CHECK: nvvm.cp.async.bulk.tensor.global.shared.cta %[[MAP]]
!g = memref<100x64xf16, #tl.scope<"global">>
!v = memref<?x64xf16, strided<[64, 1]>, #tl.scope<"global">>
!s = memref<32x64xf16, #tl.scope<"shared">>
!t = memref<32x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>

func.func @views(%p: !llvm.ptr<1>, %n: i32, %rows: i32) attributes {tl.params = [{kind = "tensor", name = "X", dtype = "float16"}, {kind = "scalar", name = "n", dtype = "int32"}, {kind = "scalar", name = "rows", dtype = "int32"}]} {
  %g = "tl.tensor"(%p) {shape = array<i64: 100, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !g
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    %zero = arith.constant 0 : i32
    %one = arith.constant 1 : i32
    %half = arith.constant 1.0 : f16
    %s = "tl.alloc"() : () -> !s
    "tl.fill"(%s, %half) : (!s, f16) -> ()
    scf.for %i = %zero to %n step %one : i32 {
      %v = "tl.view"(%g, %i, %zero, %rows) {id = 0, shape = array<i64: -1, 64>, strides = array<i64: 64, 1>} : (!g, i32, i32, i32) -> !v
      %t = "tl.slice"(%v, %x, %zero) {sizes = array<i64: 32, 64>} : (!v, i32, i32) -> !t
      "tl.tma_store"(%s, %t) {explicit} : (!s, !t) -> ()
    }
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
