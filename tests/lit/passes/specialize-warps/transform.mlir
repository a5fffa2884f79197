// A pipelined product as producer and consumers.
// RUN: tl-opt %s --target=sm_90a --layout-inference --specialize-warps | filecheck %s
// RUN: tl-opt %s --target=sm_90a --layout-inference --specialize-warps=enabled=false | filecheck %s --check-prefix=PLAIN
// RUN: tl-opt %s --target=sm_90 --layout-inference --specialize-warps | filecheck %s --check-prefix=PLAIN
// RUN: tl-opt %s --target=sm_80 --layout-inference --specialize-warps | filecheck %s --check-prefix=PLAIN
// PLAIN-NOT: tl.specialize
// PLAIN-NOT: tl.tma
// PLAIN: tl.pipeline = {num_stages = 3 : i32}

!A = memref<512x512xf16, #tl.scope<"global">>
!C = memref<512x512xf32, #tl.scope<"global">>
!at = memref<64x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
!ct = memref<64x64xf32, strided<[512, 1], offset: ?>, #tl.scope<"global">>
!s = memref<64x64xf16, #tl.scope<"shared">>
!f = memref<64x64xf32, #tl.scope<"fragment">>

// The whole form.
// CHECK-LABEL: func.func @product(
// One arrival, the producer's, fills a version; each of the four warps of the consumers gives it back.
// CHECK: %[[FULL:[0-9]+]] = "tl.alloc_barrier"() {counts = array<i64: 1, 1, 1>} : () -> !tl.barrier<3 : i64>
// CHECK-NEXT: %[[EMPTY:[0-9]+]] = "tl.alloc_barrier"() {counts = array<i64: 4, 4, 4>} : () -> !tl.barrier<3 : i64>
// What both roles use stays in front; the tiles have three versions.
// CHECK: %[[A:[0-9]+]] = "tl.alloc"() {layout = #tl.smem<{{.*}}>} : () -> memref<3x64x64xf16, #tl.scope<"shared">>
// CHECK: %[[B:[0-9]+]] = "tl.alloc"() {layout = #tl.smem<{{.*}}>} : () -> memref<3x64x64xf16, #tl.scope<"shared">>
// CHECK: %[[STAGING:[0-9]+]] = "tl.alloc"() {layout = #tl.smem<array<i64: 64, 32>, {{.*}}, array<i64: 3, 2, 3>>} : () -> memref<2x64x32xf32, #tl.scope<"shared">>
// CHECK: "tl.specialize"() ({
// The producer waits for the parity of the round before, so that the first round finds all versions free.
// CHECK: scf.for %[[K:[a-z0-9]+]] = {{.*}} {
// CHECK: %[[TRIP:[0-9]+]] = arith.divui
// CHECK: %[[SLOT:[0-9]+]] = arith.remui %[[TRIP]],
// CHECK: %[[ROUND:[0-9]+]] = arith.divui %[[TRIP]],
// CHECK: %[[PHASE:[0-9]+]] = arith.andi %[[ROUND]],
// CHECK: %[[FREE:[0-9]+]] = arith.xori %[[PHASE]],
// CHECK-NEXT: "tl.mbarrier_wait"(%[[EMPTY]], %[[SLOT]], %[[FREE]])
// CHECK-NEXT: "tl.mbarrier_arrive"(%[[FULL]], %[[SLOT]]) {expect = 16384 : i32}
// CHECK: %[[AV:[0-9]+]] = "tl.slice"(%[[A]], %[[SLOT]], {{.*}}) {sizes = array<i64: 1, 64, 64>}
// CHECK: "tl.tma_load"(%{{[0-9]+}}, %[[AV]], %[[FULL]], %[[SLOT]])
// CHECK: %[[BV:[0-9]+]] = "tl.slice"(%[[B]], %[[SLOT]], {{.*}}) {sizes = array<i64: 1, 64, 64>}
// CHECK: "tl.tma_load"(%{{[0-9]+}}, %[[BV]], %[[FULL]], %[[SLOT]])
// CHECK-NOT: tl.copy
// CHECK: }, {
// CHECK: "tl.fill"
// CHECK: scf.for
// CHECK-NOT: tl.copy
// CHECK: "tl.mbarrier_wait"(%[[FULL]], %[[CSLOT:[0-9]+]], %{{[0-9]+}})
// CHECK: "tl.gemm"
// CHECK-NEXT: "tl.mbarrier_arrive"(%[[EMPTY]], %[[CSLOT]]) {per_warp}
// CHECK-NEXT: }
// The result goes through two swizzled buffers; stores are awaited at the end.
// CHECK-NEXT: "tl.staged_store"(%{{[0-9]+}}, %[[STAGING]], %{{[0-9]+}})
// CHECK-NEXT: "tl.tma_wait"() {pending = 0 : i32}
// A warp more than the consumers; two CTAs fit a multiprocessor.
// CHECK-NEXT: }) {consumers = 128 : i32, registers = array<i32: 24, 232>}
// CHECK: min_blocks = 2 : i32, threads = array<i32: 256, 1, 1>
func.func @product(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32, %c: !llvm.ptr<1>) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %C = "tl.tensor"(%c) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !C
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    %z = arith.constant 0.0 : f32
    "tl.fill"(%acc, %z) : (!f, f32) -> ()
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %bx, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %k, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
    %ct = "tl.slice"(%C, %bx, %zero) {sizes = array<i64: 64, 64>} : (!C, i32, i32) -> !ct
    "tl.copy"(%acc, %ct) : (!f, !ct) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// Registers move from the producer to the consumers.
// CHECK-LABEL: func.func @two_warpgroups(
// CHECK: counts = array<i64: 1, 1, 1>
// CHECK: counts = array<i64: 8, 8, 8>
// CHECK: expect = 24576 : i32
// CHECK: }) {consumers = 256 : i32, registers = array<i32: 24, 240>}
// CHECK: min_blocks = 1 : i32, threads = array<i32: 384, 1, 1>
func.func @two_warpgroups(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> memref<128x64xf16, #tl.scope<"shared">>
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> memref<128x64xf32, #tl.scope<"fragment">>
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %bx, %k) {sizes = array<i64: 128, 64>} : (!A, i32, i32) -> memref<128x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%at, %As) : (memref<128x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>, memref<128x64xf16, #tl.scope<"shared">>) -> ()
      %bt = "tl.slice"(%B, %k, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (memref<128x64xf16, #tl.scope<"shared">>, !s, memref<128x64xf32, #tl.scope<"fragment">>) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 256, 1, 1>} : (i32) -> ()
  return
}

// Three share fewer.
// CHECK-LABEL: func.func @three_warpgroups(
// CHECK: counts = array<i64: 12, 12, 12>
// CHECK: }) {consumers = 384 : i32, registers = array<i32: 24, 160>}
// CHECK: threads = array<i32: 512, 1, 1>
func.func @three_warpgroups(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> memref<192x64xf16, #tl.scope<"shared">>
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> memref<192x64xf32, #tl.scope<"fragment">>
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %bx, %k) {sizes = array<i64: 192, 64>} : (!A, i32, i32) -> memref<192x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%at, %As) : (memref<192x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>, memref<192x64xf16, #tl.scope<"shared">>) -> ()
      %bt = "tl.slice"(%B, %k, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (memref<192x64xf16, #tl.scope<"shared">>, !s, memref<192x64xf32, #tl.scope<"fragment">>) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 384, 1, 1>} : (i32) -> ()
  return
}

// A ring too large for two CTAs: each thread may keep what one CTA gets.
// CHECK-LABEL: func.func @large_ring(
// CHECK: }) {consumers = 128 : i32}
// CHECK: min_blocks = 1 : i32, threads = array<i32: 256, 1, 1>
func.func @large_ring(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> memref<256x64xf16, #tl.scope<"shared">>
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> memref<256x64xf32, #tl.scope<"fragment">>
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %bx, %k) {sizes = array<i64: 256, 64>} : (!A, i32, i32) -> memref<256x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%at, %As) : (memref<256x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>, memref<256x64xf16, #tl.scope<"shared">>) -> ()
      %bt = "tl.slice"(%B, %k, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (memref<256x64xf16, #tl.scope<"shared">>, !s, memref<256x64xf32, #tl.scope<"fragment">>) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// The program may ask for another number of CTAs; the split of registers is for two.
// CHECK-LABEL: func.func @asked_for(
// CHECK: }) {consumers = 128 : i32}
// CHECK: min_blocks = 1 : i32, threads = array<i32: 256, 1, 1>
func.func @asked_for(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %bx, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %k, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {min_blocks = 1 : i32, threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// Nor do two CTAs fit when an instruction has 256 columns.
// CHECK-LABEL: func.func @wide_instruction(
// CHECK: }) {consumers = 128 : i32}
// CHECK: min_blocks = 1 : i32, threads = array<i32: 256, 1, 1>
func.func @wide_instruction(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> memref<256x64xf16, #tl.scope<"shared">>
    %acc = "tl.alloc"() : () -> memref<64x256xf32, #tl.scope<"fragment">>
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %bx, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %bx, %k) {sizes = array<i64: 256, 64>} : (!A, i32, i32) -> memref<256x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%bt, %Bs) : (memref<256x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>, memref<256x64xf16, #tl.scope<"shared">>) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = true} : (!s, memref<256x64xf16, #tl.scope<"shared">>, memref<64x256xf32, #tl.scope<"fragment">>) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
