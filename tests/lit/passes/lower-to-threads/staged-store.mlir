// A fragment through the buffers of its warpgroup: two buffers, three pieces of 64, 32 and 16 columns, each a box of its own map.
// RUN: tl-opt %s --target=sm_90a --lower-to-threads --canonicalize --cse | filecheck %s

// CHECK: llvm.func @store_kernel(
// CHECK-SAME: tl.tensor_maps = [{box = array<i64: 64, 64>, param = 0 : i64, swizzle = "128B"}, {box = array<i64: 64, 32>, param = 0 : i64, swizzle = "64B"}, {box = array<i64: 64, 16>, param = 0 : i64, swizzle = "32B"}]
// CHECK: scf.if {{.*}} {
// Three pieces do not end at the last buffer: the first one waits for all stores before.
// CHECK: nvvm.cp.async.bulk.wait_group 0 {read}
// CHECK: nvvm.barrier id = %{{.*}} number_of_threads = %c128_i32
// CHECK-COUNT-4: nvvm.stmatrix %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {{.*}}layout = #nvvm.mma_layout<row>
// CHECK: nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>
// CHECK-NEXT: nvvm.barrier id = %{{.*}} number_of_threads = %c128_i32
// CHECK: nvvm.cp.async.bulk.tensor.global.shared.cta %{{.*}}, %{{.*}}, box[
// CHECK-NEXT: nvvm.cp.async.bulk.commit.group
// CHECK: nvvm.cp.async.bulk.wait_group 1 {read}
// CHECK-COUNT-2: nvvm.stmatrix
// CHECK: nvvm.cp.async.bulk.tensor.global.shared.cta
// CHECK: nvvm.cp.async.bulk.wait_group 1 {read}
// CHECK: nvvm.stmatrix
// CHECK-NOT: nvvm.stmatrix
// CHECK: nvvm.cp.async.bulk.tensor.global.shared.cta
// The two pieces of the next store would end at the last buffer, but the one before it did not.
// CHECK: nvvm.cp.async.bulk.wait_group 0 {read}
// CHECK-COUNT-4: nvvm.stmatrix
// CHECK: nvvm.cp.async.bulk.tensor.global.shared.cta
// CHECK: nvvm.cp.async.bulk.wait_group 1 {read}
// CHECK-COUNT-4: nvvm.stmatrix
// CHECK-NOT: nvvm.stmatrix
// CHECK: nvvm.cp.async.bulk.tensor.global.shared.cta
// What was stored is awaited by the threads that stored it.
// CHECK: nvvm.cp.async.bulk.wait_group 0 {read}
// CHECK-NEXT: }
#sums = #tl.fragment<array<i64: 128, 112>, array<i64: 4, 1, 2, 8, 0, 1, 4, 0, 16, 2, 0, 64>, array<i64: 2, 1, 1, 2, 0, 8, 14, 1, 8>>
#wide = #tl.fragment<array<i64: 128, 128>, array<i64: 4, 1, 2, 8, 0, 1, 4, 0, 16, 2, 0, 64>, array<i64: 2, 1, 1, 2, 0, 8, 16, 1, 8>>
#rows = #tl.smem<array<i64: 64, 64>, array<i64: 64, 1, 1, 1, 64, 0, 1, 64, 1, 1, 64, 4096>, array<i64: 3, 3, 3>>
!g = memref<512x512xf16, #tl.scope<"global">>
!tile = memref<128x112xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
!s = memref<4x64x64xf16, #tl.scope<"shared">>
!f = memref<128x112xf32, #tl.scope<"fragment">>
!whole = memref<128x128xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
!w = memref<128x128xf32, #tl.scope<"fragment">>
func.func @store(%p: !llvm.ptr<1>) attributes {tl.params = [{kind = "tensor", name = "A", dtype = "float16"}]} {
  %one = arith.constant 1 : i32
  %G = "tl.tensor"(%p) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !g
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %staging = "tl.alloc"() {layout = #rows, tl.offset = 0 : i64} : () -> !s
    "tl.specialize"() ({
      "tl.fence_proxy"() : () -> ()
    }, {
      %acc = "tl.alloc"() {layout = #sums} : () -> !f
      %at = "tl.slice"(%G, %bx, %bx) {sizes = array<i64: 128, 112>} : (!g, i32, i32) -> !tile
      "tl.staged_store"(%acc, %staging, %at) : (!f, !s, !tile) -> ()
      %more = "tl.alloc"() {layout = #wide} : () -> !w
      %there = "tl.slice"(%G, %bx, %bx) {sizes = array<i64: 128, 128>} : (!g, i32, i32) -> !whole
      "tl.staged_store"(%more, %staging, %there) : (!w, !s, !whole) -> ()
      "tl.tma_wait"() {pending = 0 : i32} : () -> ()
    }) {consumers = 256 : i32} : () -> ()
  }) {threads = array<i32: 384, 1, 1>, name = "store_kernel", tl.shared_bytes = 32768 : i64} : (i32) -> ()
  return
}

// The transpose: 112 columns of the fragment are 112 rows of the tile, in pieces of 64 and 48, 64 elements each. The 8x8 matrices are
// stored transposed, two of the warp's 16 columns and, eight rows on, two more.
// CHECK-LABEL: llvm.func @flip_kernel(
// CHECK-SAME: tl.tensor_maps = [{box = array<i64: 64, 64>, param = 0 : i64, swizzle = "128B"}, {box = array<i64: 48, 64>, param = 0 : i64, swizzle = "128B"}]
// CHECK: nvvm.cp.async.bulk.wait_group 1 {read}
// CHECK-COUNT-4: nvvm.stmatrix %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {{.*}}layout = #nvvm.mma_layout<col>
// CHECK: nvvm.cp.async.bulk.tensor.global.shared.cta
// CHECK: nvvm.cp.async.bulk.wait_group 1 {read}
// CHECK-COUNT-3: nvvm.stmatrix
// CHECK-NOT: nvvm.stmatrix
// CHECK: nvvm.cp.async.bulk.tensor.global.shared.cta
!across = memref<112x128xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
func.func @flip(%p: !llvm.ptr<1>) attributes {tl.params = [{kind = "tensor", name = "A", dtype = "float16"}]} {
  %one = arith.constant 1 : i32
  %G = "tl.tensor"(%p) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !g
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %staging = "tl.alloc"() {layout = #rows, tl.offset = 0 : i64} : () -> !s
    "tl.specialize"() ({
      "tl.fence_proxy"() : () -> ()
    }, {
      %acc = "tl.alloc"() {layout = #sums} : () -> !f
      %at = "tl.slice"(%G, %bx, %bx) {sizes = array<i64: 112, 128>} : (!g, i32, i32) -> !across
      "tl.staged_store"(%acc, %staging, %at) {transposed} : (!f, !s, !across) -> ()
      "tl.tma_wait"() {pending = 0 : i32} : () -> ()
    }) {consumers = 256 : i32} : () -> ()
  }) {threads = array<i32: 384, 1, 1>, name = "flip_kernel", tl.shared_bytes = 32768 : i64} : (i32) -> ()
  return
}
