// Bulk copies by their kinds, as lowered: reductions and cache hints, tiles of 1, 3 and 5 dimensions, runs of bytes.
// RUN: tl-opt %s --stage=lowered --target=sm_90a | filecheck %s

// Each reduction is a group of its own; the elements follow from the tile. A store whose group the program closes leaves
// that to the program: all threads close, and wait for the writes, too.
// CHECK-LABEL: llvm.func @reductions_kernel(
// CHECK: cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group {{.*}}tl.element = "f32"
// CHECK-NEXT: nvvm.cp.async.bulk.commit.group
// CHECK: cp.reduce.async.bulk.tensor.2d.global.shared::cta.min.tile.bulk_group {{.*}}tl.element = "s32"
// CHECK-NEXT: nvvm.cp.async.bulk.commit.group
// CHECK: cp.reduce.async.bulk.tensor.2d.global.shared::cta.max.tile.bulk_group {{.*}}tl.element = "s32"
// CHECK-NEXT: nvvm.cp.async.bulk.commit.group
// CHECK: cp.reduce.async.bulk.tensor.2d.global.shared::cta.and.tile.bulk_group {{.*}}tl.element = "s32"
// CHECK-NEXT: nvvm.cp.async.bulk.commit.group
// CHECK: cp.reduce.async.bulk.tensor.2d.global.shared::cta.or.tile.bulk_group {{.*}}tl.element = "s32"
// CHECK-NEXT: nvvm.cp.async.bulk.commit.group
// CHECK: cp.reduce.async.bulk.tensor.2d.global.shared::cta.xor.tile.bulk_group {{.*}}tl.element = "s32"
// CHECK-NEXT: nvvm.cp.async.bulk.commit.group
// CHECK-NEXT: nvvm.cp.async.bulk.tensor.global.shared.cta %arg3, %{{[0-9]+}}, box[%c0_i32, %{{[0-9]+}}] l2_cache_hint = %c1364590687093260288_i64
// CHECK-NEXT: }
// CHECK-NEXT: nvvm.cp.async.bulk.commit.group
// CHECK-NEXT: nvvm.cp.async.bulk.wait_group 0{{$}}
!g = memref<256x64xf32, #tl.scope<"global">>
!h = memref<256x64xi32, #tl.scope<"global">>
!s = memref<64x64xf32, #tl.scope<"shared">>
!w = memref<64x64xi32, #tl.scope<"shared">>
!tile = memref<64x64xf32, strided<[64, 1], offset: ?>, #tl.scope<"global">>
!words = memref<64x64xi32, strided<[64, 1], offset: ?>, #tl.scope<"global">>
func.func @reductions(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>, %four: i32) attributes {tl.params = [{kind = "tensor", name = "X", dtype = "float32"}, {kind = "tensor", name = "Y", dtype = "int32"}, {kind = "scalar", name = "four", dtype = "int32"}]} {
  %g = "tl.tensor"(%x) {shape = array<i64: 256, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !g
  %h = "tl.tensor"(%y) {shape = array<i64: 256, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !h
  "tl.launch"(%four) ({
  ^bb0(%bx: i32):
    %zero = arith.constant 0 : i32
    %s = "tl.alloc"() : () -> !s
    %w = "tl.alloc"() : () -> !w
    %tile = "tl.slice"(%g, %bx, %zero) {sizes = array<i64: 64, 64>} : (!g, i32, i32) -> !tile
    %words = "tl.slice"(%h, %bx, %zero) {sizes = array<i64: 64, 64>} : (!h, i32, i32) -> !words
    "tl.tma_store"(%s, %tile) {reduce = "add"} : (!s, !tile) -> ()
    "tl.tma_store"(%w, %words) {reduce = "min"} : (!w, !words) -> ()
    "tl.tma_store"(%w, %words) {reduce = "max"} : (!w, !words) -> ()
    "tl.tma_store"(%w, %words) {reduce = "and"} : (!w, !words) -> ()
    "tl.tma_store"(%w, %words) {reduce = "or"} : (!w, !words) -> ()
    "tl.tma_store"(%w, %words) {reduce = "xor"} : (!w, !words) -> ()
    "tl.tma_store"(%s, %tile) {eviction = "evict_first", explicit} : (!s, !tile) -> ()
    "tl.intrinsic"() {name = "bulk_commit"} : () -> ()
    "tl.tma_wait"() {complete, explicit, pending = 0 : i32} : () -> ()
  }) {threads = array<i32: 128, 1, 1>, name = "reductions_kernel"} : (i32) -> ()
  return
}


// As many coordinates as dimensions, innermost first. The bytes are announced by whom issues; a run of bytes has no map.
// CHECK-LABEL: llvm.func @loads_kernel(
// CHECK-SAME: tl.tensor_maps = [{box = array<i64: 64>, {{.*}}}, {box = array<i64: 2, 4, 16>, {{.*}}}, {box = array<i64: 1, 2, 1, 4, 16>, {{.*}}}]
// CHECK: nvvm.mbarrier.expect_tx %[[BAR:[0-9]+]], %c256_i32
// CHECK-NEXT: nvvm.cp.async.bulk.tensor.shared.cluster.global %{{[0-9]+}}, %{{[a-z0-9]+}}, %[[BAR]], box[%c0_i32] {isCTAOnly = true}
// CHECK: nvvm.mbarrier.arrive.expect_tx %[[BAR]], %c256_i32
// CHECK: box[%c0_i32, %c0_i32, %[[BX:[0-9]+]]] l2_cache_hint = %c1508705875169116160_i64
// CHECK: box[%c0_i32, %c0_i32, %c0_i32, %c0_i32, %[[BX]]] {isCTAOnly = true}
// CHECK: nvvm.cp.async.bulk.shared.cluster.global %{{[0-9]+}}, %arg0, %[[BAR]], %c256_i32
// CHECK: nvvm.cp.async.bulk.global.shared.cta %arg0, %{{[0-9]+}}, %c128_i32
// CHECK: cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 {{.*}}, 64;
// The arrival of copies that the threads started.
// CHECK: nvvm.cp.async.shared.global
// CHECK: nvvm.cp.async.mbarrier.arrive %[[BAR]] {noinc = true}
!v = memref<64xf32, #tl.scope<"shared">>
!cube = memref<2x4x16xf16, #tl.scope<"shared">>
!five = memref<1x2x1x4x16xf16, #tl.scope<"shared">>
!b = !tl.barrier<1 : i64>
func.func @loads(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>, %z: !llvm.ptr<1>, %one: i32) attributes {tl.params = [{kind = "tensor", name = "X", dtype = "float32"}, {kind = "tensor", name = "Y", dtype = "float16"}, {kind = "tensor", name = "Z", dtype = "float16"}, {kind = "scalar", name = "one", dtype = "int32"}]} {
  %X = "tl.tensor"(%x) {shape = array<i64: 256>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> memref<256xf32, #tl.scope<"global">>
  %Y = "tl.tensor"(%y) {shape = array<i64: 8, 8, 16>, strides = array<i64: 128, 16, 1>} : (!llvm.ptr<1>) -> memref<8x8x16xf16, #tl.scope<"global">>
  %Z = "tl.tensor"(%z) {shape = array<i64: 2, 2, 2, 8, 16>, strides = array<i64: 512, 256, 128, 16, 1>} : (!llvm.ptr<1>) -> memref<2x2x2x8x16xf16, #tl.scope<"global">>
  "tl.launch"(%one) ({
  ^bb0(%i: i32):
    %zero = arith.constant 0 : i32
    %b = "tl.alloc_barrier"() {counts = array<i64: 1>} : () -> !b
    %v = "tl.alloc"() : () -> !v
    %u = "tl.alloc"() : () -> !v
    %cube = "tl.alloc"() : () -> !cube
    %five = "tl.alloc"() : () -> !five
    %x1 = "tl.slice"(%X, %zero) {sizes = array<i64: 64>} : (memref<256xf32, #tl.scope<"global">>, i32) -> memref<64xf32, strided<[1], offset: ?>, #tl.scope<"global">>
    "tl.tma_load"(%x1, %v, %b, %zero) {explicit} : (memref<64xf32, strided<[1], offset: ?>, #tl.scope<"global">>, !v, !b, i32) -> ()
    %y1 = "tl.slice"(%Y, %i, %zero, %zero) {sizes = array<i64: 2, 4, 16>} : (memref<8x8x16xf16, #tl.scope<"global">>, i32, i32, i32) -> memref<2x4x16xf16, strided<[128, 16, 1], offset: ?>, #tl.scope<"global">>
    "tl.tma_load"(%y1, %cube, %b, %zero) {arrive, eviction = "evict_last", explicit} : (memref<2x4x16xf16, strided<[128, 16, 1], offset: ?>, #tl.scope<"global">>, !cube, !b, i32) -> ()
    %z1 = "tl.slice"(%Z, %i, %zero, %zero, %zero, %zero) {sizes = array<i64: 1, 2, 1, 4, 16>} : (memref<2x2x2x8x16xf16, #tl.scope<"global">>, i32, i32, i32, i32, i32) -> memref<1x2x1x4x16xf16, strided<[512, 256, 128, 16, 1], offset: ?>, #tl.scope<"global">>
    "tl.tma_load"(%z1, %five, %b, %zero) {explicit} : (memref<1x2x1x4x16xf16, strided<[512, 256, 128, 16, 1], offset: ?>, #tl.scope<"global">>, !five, !b, i32) -> ()
    "tl.box_load"(%X, %v, %b, %zero, %zero, %zero) {bytes = 256 : i32} : (memref<256xf32, #tl.scope<"global">>, !v, !b, i32, i32, i32) -> ()
    "tl.box_store"(%v, %X, %zero, %zero) {bytes = 128 : i32} : (!v, memref<256xf32, #tl.scope<"global">>, i32, i32) -> ()
    "tl.box_store"(%v, %X, %zero, %zero) {bytes = 64 : i32, reduce = "add"} : (!v, memref<256xf32, #tl.scope<"global">>, i32, i32) -> ()
    "tl.copy"(%x1, %u) {async, explicit} : (memref<64xf32, strided<[1], offset: ?>, #tl.scope<"global">>, !v) -> ()
    "tl.mbarrier_arrive"(%b, %zero) {copies} : (!b, i32) -> ()
  }) {threads = array<i32: 128, 1, 1>, name = "loads_kernel"} : (i32) -> ()
  return
}
