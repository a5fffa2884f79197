// Warp roles: a branch on the thread index, registers moved from one side to the other, barriers of the consumers' own.
// RUN: tl-opt %s --target=sm_90a --lower-to-threads --canonicalize | filecheck %s

// The tensor map comes after the arguments; load and store share it.
// CHECK: llvm.func @roles_kernel(%arg0: i32, %arg1: !llvm.ptr<1> {{.*}}, %[[MAP:arg2]]: !llvm.ptr {{{.*}}llvm.byval = !llvm.array<128 x i8>, nvvm.grid_constant})
// CHECK-SAME: nvvm.reqntid = array<i32: 256, 1, 1>
// CHECK-SAME: tl.tensor_maps = [{box = array<i64: 64, 64>, param = 1 : i64, swizzle = "128B"}]
// CHECK: %[[SMEM:[0-9]+]] = llvm.mlir.addressof @smem
// CHECK: %[[TID:[0-9]+]] = nvvm.read.ptx.sreg.tid.x
// CHECK: %[[CTA:[0-9]+]] = nvvm.read.ptx.sreg.ctaid.x
// One thread initialises the barriers, all threads see it: one fence and one barrier for all of them.
// CHECK: %[[FULL:[0-9]+]] = llvm.getelementptr %[[SMEM]][8192]
// CHECK: %[[FIRST:[0-9]+]] = arith.cmpi eq, %[[TID]], %c0_i32
// CHECK: scf.if %[[FIRST]] {
// CHECK-NEXT: nvvm.mbarrier.init %[[FULL]], %c1_i32
// CHECK-NEXT: }
// CHECK-NEXT: %[[EMPTY:[0-9]+]] = llvm.getelementptr %[[SMEM]][8200]
// CHECK-NEXT: scf.if %[[FIRST]] {
// CHECK-NEXT: nvvm.mbarrier.init %[[EMPTY]], %c4_i32
// CHECK-NEXT: nvvm.fence.mbarrier.init
// CHECK-NEXT: }
// CHECK-NEXT: nvvm.barrier{{$}}
// The consumers wait until the phase is over, as often as the hardware gives up.
// CHECK: %[[CONSUMER:[0-9]+]] = arith.cmpi ult, %[[TID]], %c128_i32
// CHECK: scf.if %[[CONSUMER]] {
// CHECK-NEXT: nvvm.setmaxregister increase 232
// CHECK-NEXT: scf.while
// CHECK-NEXT: %[[DONE:[0-9]+]] = nvvm.mbarrier.try_wait %[[FULL]], %c0_i32
// CHECK-NEXT: %[[AGAIN:[0-9]+]] = arith.xori %[[DONE]], %true
// CHECK-NEXT: scf.condition(%[[AGAIN]])
// CHECK: llvm.inline_asm {{.*}}tl.instr = "wgmma.product"
// One lane of each warp arrives.
// CHECK: %[[LANE:[0-9]+]] = arith.andi %[[TID]], %c31_i32
// CHECK: %[[LEADER:[0-9]+]] = arith.cmpi eq, %[[LANE]], %c0_i32
// CHECK: scf.if %[[LEADER]] {
// CHECK-NEXT: nvvm.mbarrier.arrive %[[EMPTY]]
// CHECK: nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>
// CHECK-NEXT: nvvm.barrier id = %c1_i32 number_of_threads = %c128_i32
// Coordinates are innermost first; one thread stores and waits.
// CHECK-NEXT: scf.if %[[FIRST]] {
// CHECK-NEXT: nvvm.cp.async.bulk.tensor.global.shared.cta %[[MAP]], %[[SMEM]], box[%[[CTA]], %c128_i32]
// CHECK-NEXT: nvvm.cp.async.bulk.commit.group
// CHECK-NEXT: nvvm.cp.async.bulk.wait_group 0 {read}
// CHECK: } else {
// One thread of the others is the producer.
// CHECK-NEXT: nvvm.setmaxregister decrease 24
// CHECK-NEXT: %[[ELECTED:[0-9]+]] = arith.cmpi eq, %[[TID]], %c128_i32
// CHECK-NEXT: scf.if %[[ELECTED]] {
// CHECK: nvvm.mbarrier.try_wait %[[EMPTY]], %arg0
// CHECK: nvvm.mbarrier.arrive.expect_tx %[[FULL]], %c8192_i32
// CHECK-NEXT: nvvm.cp.async.bulk.tensor.shared.cluster.global %[[SMEM]], %[[MAP]], %[[FULL]], box[%[[CTA]], %c128_i32]
// CHECK-NOT: tl.specialize
#swizzled = #tl.smem<array<i64: 64, 64>, array<i64: 64, 1, 1, 1, 64, 0, 1, 64>, array<i64: 3, 3, 3>>
#sums = #tl.fragment<array<i64: 64, 64>, array<i64: 4, 1, 2, 8, 0, 1, 4, 0, 16>, array<i64: 2, 1, 1, 2, 0, 8, 8, 1, 8>>
!g = memref<512x512xf16, #tl.scope<"global">>
!tile = memref<64x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
!s = memref<64x64xf16, #tl.scope<"shared">>
!f = memref<64x64xf32, #tl.scope<"fragment">>
func.func @roles(%one: i32, %p: !llvm.ptr<1>) attributes {tl.params = [{kind = "scalar", name = "one", dtype = "int32"}, {kind = "tensor", name = "A", dtype = "float16"}]} {
  %zero = arith.constant 0 : i32
  %row = arith.constant 128 : i32
  %g = "tl.tensor"(%p) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !g
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %full = "tl.alloc_barrier"() {counts = array<i64: 1>, tl.offset = 8192 : i64} : () -> !tl.barrier<1 : i64>
    %empty = "tl.alloc_barrier"() {counts = array<i64: 4>, tl.offset = 8200 : i64} : () -> !tl.barrier<1 : i64>
    %a = "tl.alloc"() {layout = #swizzled, tl.offset = 0 : i64} : () -> !s
    "tl.specialize"() ({
      %tile = "tl.slice"(%g, %row, %bx) {sizes = array<i64: 64, 64>} : (!g, i32, i32) -> !tile
      "tl.mbarrier_wait"(%empty, %zero, %one) : (!tl.barrier<1 : i64>, i32, i32) -> ()
      "tl.mbarrier_arrive"(%full, %zero) {expect = 8192 : i32} : (!tl.barrier<1 : i64>, i32) -> ()
      "tl.tma_load"(%tile, %a, %full, %zero) : (!tile, !s, !tl.barrier<1 : i64>, i32) -> ()
    }, {
      %c = "tl.alloc"() {layout = #sums} : () -> !f
      "tl.mbarrier_wait"(%full, %zero, %zero) : (!tl.barrier<1 : i64>, i32, i32) -> ()
      "tl.gemm"(%a, %a, %c) {clear = true, instr = "wgmma", policy = "square", transpose_a = false, transpose_b = true} : (!s, !s, !f) -> ()
      "tl.mbarrier_arrive"(%empty, %zero) {per_warp} : (!tl.barrier<1 : i64>, i32) -> ()
      "tl.fence_proxy"() : () -> ()
      "tl.sync_threads"() : () -> ()
      %tile = "tl.slice"(%g, %row, %bx) {sizes = array<i64: 64, 64>} : (!g, i32, i32) -> !tile
      "tl.tma_store"(%a, %tile) : (!s, !tile) -> ()
      "tl.tma_wait"() {pending = 0 : i32} : () -> ()
    }) {consumers = 128 : i32, registers = array<i32: 24, 232>} : () -> ()
  }) {threads = array<i32: 256, 1, 1>, tl.shared_bytes = 8208 : i64} : (i32) -> ()
  return
}

#long = #tl.smem<array<i64: 320, 64>, array<i64: 64, 1, 1, 1, 320, 0, 1, 64>, array<i64: 3, 3, 3>>

// A tile of more than 256 rows is boxes of equal parts.
// CHECK-LABEL: llvm.func @long_kernel(
// CHECK-SAME: tl.tensor_maps = [{box = array<i64: 160, 64>, param = 1 : i64, swizzle = "128B"}]
// CHECK: %[[ARENA:[0-9]+]] = llvm.mlir.addressof @smem
// CHECK: %[[SECOND:[0-9]+]] = llvm.getelementptr %[[ARENA]][10240] {{.*}}, f16
// CHECK: nvvm.cp.async.bulk.tensor.shared.cluster.global %[[ARENA]], %arg2, %[[BAR:[0-9]+]], box[%[[X:[0-9a-z_]+]], %[[Y:[0-9a-z_]+]]]
// CHECK: nvvm.cp.async.bulk.tensor.shared.cluster.global %[[SECOND]], %arg2, %[[BAR]], box[%[[X]], %{{[0-9a-z_]+}}]
func.func @long(%n: i32, %p: !llvm.ptr<1>) attributes {tl.params = [{kind = "scalar", name = "n", dtype = "int32"}, {kind = "tensor", name = "A", dtype = "float16"}]} {
  %zero = arith.constant 0 : i32
  %g = "tl.tensor"(%p) {shape = array<i64: 1024, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> memref<1024x512xf16, #tl.scope<"global">>
  "tl.launch"(%n) ({
  ^bb0(%by: i32):
    %full = "tl.alloc_barrier"() {counts = array<i64: 1>, tl.offset = 40960 : i64} : () -> !tl.barrier<1 : i64>
    %a = "tl.alloc"() {layout = #long, tl.offset = 0 : i64} : () -> memref<320x64xf16, #tl.scope<"shared">>
    "tl.specialize"() ({
      %tile = "tl.slice"(%g, %by, %zero) {sizes = array<i64: 320, 64>} : (memref<1024x512xf16, #tl.scope<"global">>, i32, i32) -> memref<320x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
      "tl.tma_load"(%tile, %a, %full, %zero) : (memref<320x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>, memref<320x64xf16, #tl.scope<"shared">>, !tl.barrier<1 : i64>, i32) -> ()
    }, {
      "tl.mbarrier_wait"(%full, %zero, %zero) : (!tl.barrier<1 : i64>, i32, i32) -> ()
    }) {consumers = 128 : i32} : () -> ()
  }) {threads = array<i32: 256, 1, 1>, tl.shared_bytes = 40968 : i64} : (i32) -> ()
  return
}

#wide = #tl.smem<array<i64: 64, 96>, array<i64: 32, 1, 1, 1, 64, 0, 1, 32, 3, 1, 32, 2048>, array<i64: 2, 3, 3>>
!whole = memref<4x512x512xf16, #tl.scope<"global">>
!part = memref<1x64x96xf16, strided<[262144, 512, 1], offset: ?>, #tl.scope<"global">>
!panels = memref<64x96xf16, #tl.scope<"shared">>

// A tile of three panels is three boxes on one barrier; the dimensions of the box are the tensor's.
// CHECK-LABEL: llvm.func @panels_kernel(
// CHECK-SAME: tl.tensor_maps = [{box = array<i64: 1, 64, 32>, param = 1 : i64, swizzle = "64B"}]
// CHECK: %[[ARENA:[0-9]+]] = llvm.mlir.addressof @smem
// CHECK: %[[X:[0-9]+]] = nvvm.read.ptx.sreg.ctaid.x
// CHECK: %[[Y:[0-9]+]] = nvvm.read.ptx.sreg.ctaid.y
// CHECK: %[[SECOND:[0-9]+]] = llvm.getelementptr %[[ARENA]][2048] {{.*}}, f16
// CHECK: %[[X2:[0-9]+]] = arith.addi %[[X]], %c32_i32
// CHECK: %[[THIRD:[0-9]+]] = llvm.getelementptr %[[ARENA]][4096] {{.*}}, f16
// CHECK: %[[X3:[0-9]+]] = arith.addi %[[X]], %c64_i32
// CHECK: nvvm.cp.async.bulk.tensor.shared.cluster.global %[[ARENA]], %arg2, %[[BAR:[0-9]+]], box[%[[X]], %[[Y]], %c3_i32]
// CHECK: nvvm.cp.async.bulk.tensor.shared.cluster.global %[[SECOND]], %arg2, %[[BAR]], box[%[[X2]], %[[Y]], %c3_i32]
// CHECK: nvvm.cp.async.bulk.tensor.shared.cluster.global %[[THIRD]], %arg2, %[[BAR]], box[%[[X3]], %[[Y]], %c3_i32]
func.func @panels(%n: i32, %p: !llvm.ptr<1>) attributes {tl.params = [{kind = "scalar", name = "n", dtype = "int32"}, {kind = "tensor", name = "A", dtype = "float16"}]} {
  %zero = arith.constant 0 : i32
  %batch = arith.constant 3 : i32
  %g = "tl.tensor"(%p) {shape = array<i64: 4, 512, 512>, strides = array<i64: 262144, 512, 1>} : (!llvm.ptr<1>) -> !whole
  "tl.launch"(%n, %n) ({
  ^bb0(%bx: i32, %by: i32):
    %full = "tl.alloc_barrier"() {counts = array<i64: 1>, tl.offset = 12288 : i64} : () -> !tl.barrier<1 : i64>
    %a = "tl.alloc"() {layout = #wide, tl.offset = 0 : i64} : () -> !panels
    "tl.specialize"() ({
      %tile = "tl.slice"(%g, %batch, %by, %bx) {sizes = array<i64: 1, 64, 96>} : (!whole, i32, i32, i32) -> !part
      "tl.tma_load"(%tile, %a, %full, %zero) : (!part, !panels, !tl.barrier<1 : i64>, i32) -> ()
    }, {
      "tl.mbarrier_wait"(%full, %zero, %zero) : (!tl.barrier<1 : i64>, i32, i32) -> ()
    }) {consumers = 128 : i32} : () -> ()
  }) {threads = array<i32: 256, 1, 1>, tl.shared_bytes = 12296 : i64} : (i32, i32) -> ()
  return
}
