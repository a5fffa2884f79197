// What belongs to which ring, and what becomes a bulk store.
// RUN: tl-opt %s --target=sm_90a --layout-inference --specialize-warps | filecheck %s

!A = memref<512x512xf16, #tl.scope<"global">>
!C = memref<512x512xf32, #tl.scope<"global">>
!at = memref<64x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
!ct = memref<64x64xf32, strided<[512, 1], offset: ?>, #tl.scope<"global">>
!s = memref<64x64xf16, #tl.scope<"shared">>
!f = memref<64x64xf32, #tl.scope<"fragment">>
!v = memref<64xf32, #tl.scope<"shared">>
!vt = memref<64xf32, strided<[1], offset: ?>, #tl.scope<"global">>
!p = memref<64xf32, #tl.scope<"fragment">>

// A vector that is used after the product has barriers of its own. Its readers are ordinary loads: the warp meets before it gives
// the version back.
// CHECK-LABEL: func.func @a_ring_per_use(
// CHECK: %[[FULL:[0-9]+]] = "tl.alloc_barrier"
// CHECK-NEXT: %[[EMPTY:[0-9]+]] = "tl.alloc_barrier"
// CHECK-NEXT: %[[FULL_V:[0-9]+]] = "tl.alloc_barrier"
// CHECK-NEXT: %[[EMPTY_V:[0-9]+]] = "tl.alloc_barrier"
// CHECK: "tl.specialize"() ({
// CHECK: "tl.mbarrier_wait"(%[[EMPTY]], %[[SLOT:[0-9]+]],
// CHECK-NEXT: "tl.mbarrier_arrive"(%[[FULL]], %[[SLOT]]) {expect = 16384 : i32}
// CHECK-COUNT-2: "tl.tma_load"({{.*}}, %[[FULL]], %[[SLOT]])
// CHECK: "tl.mbarrier_wait"(%[[EMPTY_V]], %[[SLOT]],
// CHECK-NEXT: "tl.fence_proxy"()
// CHECK-NEXT: "tl.mbarrier_arrive"(%[[FULL_V]], %[[SLOT]]) {expect = 256 : i32}
// CHECK: "tl.tma_load"({{.*}}, %[[FULL_V]], %[[SLOT]])
// CHECK: }, {
// CHECK: "tl.mbarrier_wait"(%[[FULL]],
// CHECK: "tl.gemm"
// CHECK-NEXT: "tl.mbarrier_arrive"(%[[EMPTY]], {{.*}}) {per_warp}
// CHECK-NEXT: "tl.mbarrier_wait"(%[[FULL_V]],
// CHECK: "tl.copy"
// CHECK-NEXT: "tl.sync_warp"()
// CHECK-NEXT: "tl.mbarrier_arrive"(%[[EMPTY_V]], {{.*}}) {per_warp}
func.func @a_ring_per_use(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32, %c: !llvm.ptr<1>) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %V = "tl.tensor"(%c) {shape = array<i64: 512>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> memref<512xf32, #tl.scope<"global">>
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    %Vs = "tl.alloc"() : () -> !v
    %p = "tl.alloc"() : () -> !p
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %bx, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %vt = "tl.slice"(%V, %k) {sizes = array<i64: 64>} : (memref<512xf32, #tl.scope<"global">>, i32) -> !vt
      "tl.copy"(%vt, %Vs) : (!vt, !v) -> ()
      %bt = "tl.slice"(%B, %k, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
      "tl.copy"(%Vs, %p) : (!v, !p) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// A shared tile that only carries the fragment is left out; a fragment of another type is converted on its way into buffers of the
// tensor's type; rows of odd length, and views of an argument in another shape than its own, are stored by the threads. So is a tile
// left out that carries the transpose, but none whose elements are changed on the way.
// CHECK-LABEL: func.func @stores(
// CHECK: %[[WIDE:[0-9]+]] = "tl.alloc"() {{.*}} : () -> memref<2x64x32xf32, #tl.scope<"shared">>
// CHECK: %[[HALF:[0-9]+]] = "tl.alloc"() {{.*}} : () -> memref<2x64x64xf16, #tl.scope<"shared">>
// CHECK: per_warp
// CHECK: "tl.staged_store"(%[[ACC:[0-9]+]], %[[WIDE]], %{{[0-9]+}})
// CHECK-NEXT: "tl.staged_store"(%[[ACC]], %[[HALF]], %[[D:[0-9]+]])
// CHECK-NEXT: "tl.copy"(%[[ACC]], %[[D]]) {disable_tma}
// CHECK-NEXT: "tl.copy"(%[[ACC]], %{{[0-9]+}}) : {{.*}}strided<[1024, 1], offset: ?>
// CHECK-NEXT: "tl.copy"(%[[ACC]], %{{[0-9]+}}) : {{.*}}strided<[511, 1], offset: ?>
// CHECK-NEXT: "tl.staged_store"(%[[ACC]], %[[HALF]], %[[D]]) {transposed}
// CHECK-NEXT: "tl.parallel"
// CHECK: "tl.tma_store"(%{{[0-9]+}}, %[[D]])
// CHECK-NEXT: "tl.tma_wait"() {pending = 0 : i32}
// CHECK-NEXT: "tl.tma_wait"() {pending = 0 : i32}
// CHECK-NEXT: })
func.func @stores(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32, %c: !llvm.ptr<1>, %d: !llvm.ptr<1>) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %C = "tl.tensor"(%c) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !C
  %D = "tl.tensor"(%d) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %F = "tl.tensor"(%d) {shape = array<i64: 256, 1024>, strides = array<i64: 1024, 1>, view} : (!llvm.ptr<1>) -> memref<256x1024xf16, #tl.scope<"global">>
  %E = "tl.tensor"(%c) {shape = array<i64: 512, 511>, strides = array<i64: 511, 1>, view} : (!llvm.ptr<1>) -> memref<512x511xf32, #tl.scope<"global">>
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    %Cs = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"shared">>
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %bx, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %k, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
    "tl.copy"(%acc, %Cs) : (!f, memref<64x64xf32, #tl.scope<"shared">>) -> ()
    %ct = "tl.slice"(%C, %bx, %zero) {sizes = array<i64: 64, 64>} : (!C, i32, i32) -> !ct
    "tl.copy"(%Cs, %ct) : (memref<64x64xf32, #tl.scope<"shared">>, !ct) -> ()
    %dt = "tl.slice"(%D, %bx, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
    "tl.copy"(%acc, %dt) : (!f, !at) -> ()
    "tl.copy"(%acc, %dt) {disable_tma} : (!f, !at) -> ()
    %ft = "tl.slice"(%F, %bx, %zero) {sizes = array<i64: 64, 64>} : (memref<256x1024xf16, #tl.scope<"global">>, i32, i32) -> memref<64x64xf16, strided<[1024, 1], offset: ?>, #tl.scope<"global">>
    "tl.copy"(%acc, %ft) : (!f, memref<64x64xf16, strided<[1024, 1], offset: ?>, #tl.scope<"global">>) -> ()
    %et = "tl.slice"(%E, %bx, %zero) {sizes = array<i64: 64, 64>} : (memref<512x511xf32, #tl.scope<"global">>, i32, i32) -> memref<64x64xf32, strided<[511, 1], offset: ?>, #tl.scope<"global">>
    "tl.copy"(%acc, %et) : (!f, memref<64x64xf32, strided<[511, 1], offset: ?>, #tl.scope<"global">>) -> ()
    %T = "tl.alloc"() : () -> !s
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %y = arith.index_cast %i : i32 to index
      %x = arith.index_cast %j : i32 to index
      %v = memref.load %acc[%x, %y] : !f
      %h = "tl.cast"(%v) {from = "float32", to = "float16"} : (f32) -> f16
      memref.store %h, %T[%y, %x] : !s
    }) {extents = array<i64: 64, 64>} : () -> ()
    "tl.copy"(%T, %dt) : (!s, !at) -> ()
    %U = "tl.alloc"() : () -> !s
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %y = arith.index_cast %i : i32 to index
      %x = arith.index_cast %j : i32 to index
      %v = memref.load %acc[%x, %y] : !f
      %h = "tl.cast"(%v) {from = "float32", to = "float16"} : (f32) -> f16
      %n2 = arith.negf %h : f16
      memref.store %n2, %U[%y, %x] : !s
    }) {extents = array<i64: 64, 64>} : () -> ()
    "tl.copy"(%U, %dt) : (!s, !at) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
