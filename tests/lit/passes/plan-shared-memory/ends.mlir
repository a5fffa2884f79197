// Where tiles do not fit side by side, one that roles load and multiply ends at the wait of all threads for the last
// product, and the first kernel fits; without that wait it lives through the kernel.
// RUN: tl-opt %s --target=sm_100a --plan-shared-memory --split-input-file --verify-diagnostics
!tile = memref<2x128x256xf16, #tl.scope<"shared">>
!part = memref<1x128x256xf16, strided<[32768, 256, 1], offset: ?>, #tl.scope<"shared">>
!out = memref<256x256xf16, #tl.scope<"shared">>
!sum = memref<128x128xf32, #tl.scope<"tmem">>
!bar = !tl.barrier<1 : i64>
#rows = #tl.smem<array<i64: 128, 256>, array<i64: 64, 1, 1, 1, 128, 0, 1, 64, 4, 1, 64, 8192>, array<i64: 3, 3, 3>>
#plain = #tl.smem<array<i64: 256, 256>, array<i64: 256, 1, 1, 1, 256, 0, 1, 256>, array<i64: 0, 0, 0>>
func.func @told(%p: !llvm.ptr<1>) {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %h = arith.constant 1.0 : f16
  %false = arith.constant false
  %A = "tl.tensor"(%p) {shape = array<i64: 128, 256>, strides = array<i64: 256, 1>} : (!llvm.ptr<1>) -> memref<128x256xf16, #tl.scope<"global">>
  "tl.launch"(%c1) ({
  ^bb0(%b: i32):
    %t = "tl.alloc"() {layout = #rows} : () -> !tile
    %o = "tl.alloc"() {layout = #plain} : () -> !out
    %s = "tl.alloc"() {layout = #tl.tmem<array<i64: 128, 128>, array<i64: 128, 1, 1>, 32 : i64, 1 : i64, 0 : i64>} : () -> !sum
    %full = "tl.alloc_barrier"() {counts = array<i64: 1>} : () -> !bar
    %done = "tl.alloc_barrier"() {counts = array<i64: 1>} : () -> !bar
    "tl.warpgroups"() ({
      %x = "tl.slice"(%t, %c0, %c0, %c0) {sizes = array<i64: 1, 128, 256>} : (!tile, i32, i32, i32) -> !part
      "tl.tma_load"(%A, %x, %full, %c0) {explicit} : (memref<128x256xf16, #tl.scope<"global">>, !part, !bar, i32) -> ()
    }) {groups = array<i32: 0>, tl.branch = 0 : i32, warps} : () -> ()
    "tl.warpgroups"() ({
      %x = "tl.slice"(%t, %c0, %c0, %c0) {sizes = array<i64: 1, 128, 256>} : (!tile, i32, i32, i32) -> !part
      "tl.mbarrier_wait"(%full, %c0, %c0) : (!bar, i32, i32) -> ()
      "tl.tcgen05_mma"(%x, %x, %s, %false) {transpose_a = false, transpose_b = true} : (!part, !part, !sum, i1) -> ()
      "tl.tcgen05_commit"(%done, %c0) : (!bar, i32) -> ()
    }) {groups = array<i32: 1>, tl.branch = 0 : i32, warps} : () -> ()
    "tl.mbarrier_wait"(%done, %c0, %c0) : (!bar, i32, i32) -> ()
    "tl.fill"(%o, %h) : (!out, f16) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

!tile = memref<2x128x256xf16, #tl.scope<"shared">>
!part = memref<1x128x256xf16, strided<[32768, 256, 1], offset: ?>, #tl.scope<"shared">>
!out = memref<256x256xf16, #tl.scope<"shared">>
!sum = memref<128x128xf32, #tl.scope<"tmem">>
!bar = !tl.barrier<1 : i64>
#rows = #tl.smem<array<i64: 128, 256>, array<i64: 64, 1, 1, 1, 128, 0, 1, 64, 4, 1, 64, 8192>, array<i64: 3, 3, 3>>
#plain = #tl.smem<array<i64: 256, 256>, array<i64: 256, 1, 1, 1, 256, 0, 1, 256>, array<i64: 0, 0, 0>>
func.func @untold(%p: !llvm.ptr<1>) {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %h = arith.constant 1.0 : f16
  %false = arith.constant false
  %A = "tl.tensor"(%p) {shape = array<i64: 128, 256>, strides = array<i64: 256, 1>} : (!llvm.ptr<1>) -> memref<128x256xf16, #tl.scope<"global">>
  // expected-error@+1 {{of shared memory}}
  "tl.launch"(%c1) ({
  ^bb0(%b: i32):
    %t = "tl.alloc"() {layout = #rows} : () -> !tile
    %o = "tl.alloc"() {layout = #plain} : () -> !out
    %s = "tl.alloc"() {layout = #tl.tmem<array<i64: 128, 128>, array<i64: 128, 1, 1>, 32 : i64, 1 : i64, 0 : i64>} : () -> !sum
    %full = "tl.alloc_barrier"() {counts = array<i64: 1>} : () -> !bar
    %done = "tl.alloc_barrier"() {counts = array<i64: 1>} : () -> !bar
    "tl.warpgroups"() ({
      %x = "tl.slice"(%t, %c0, %c0, %c0) {sizes = array<i64: 1, 128, 256>} : (!tile, i32, i32, i32) -> !part
      "tl.tma_load"(%A, %x, %full, %c0) {explicit} : (memref<128x256xf16, #tl.scope<"global">>, !part, !bar, i32) -> ()
    }) {groups = array<i32: 0>, tl.branch = 0 : i32, warps} : () -> ()
    "tl.warpgroups"() ({
      %x = "tl.slice"(%t, %c0, %c0, %c0) {sizes = array<i64: 1, 128, 256>} : (!tile, i32, i32, i32) -> !part
      "tl.mbarrier_wait"(%full, %c0, %c0) : (!bar, i32, i32) -> ()
      "tl.tcgen05_mma"(%x, %x, %s, %false) {transpose_a = false, transpose_b = true} : (!part, !part, !sum, i1) -> ()
      "tl.tcgen05_commit"(%done, %c0) : (!bar, i32) -> ()
    }) {groups = array<i32: 1>, tl.branch = 0 : i32, warps} : () -> ()
    "tl.fill"(%o, %h) : (!out, f16) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
