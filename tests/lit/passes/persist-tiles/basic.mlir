// More tiles than multiprocessors: a CTA per multiprocessor walks them, in groups of 16 rows of tiles.
// RUN: tl-opt %s --target=sm_90a --layout-inference --persist-tiles | filecheck %s
// RUN: tl-opt %s --target=sm_90a --layout-inference --persist-tiles=enabled=false | filecheck %s --check-prefix=NONE
// RUN: tl-opt %s --target=sm_80 --layout-inference --persist-tiles | filecheck %s --check-prefix=NONE
// RUN: tl-opt %s --target=sm_90a --layout-inference --persist-tiles=multicast=true | filecheck %s --check-prefix=PAIR
// RUN: tl-opt %s --target=sm_90a --layout-inference --persist-tiles=multicast=true --specialize-warps | filecheck %s --check-prefix=SHARED
// NONE-NOT: tl.tiles

// Pairs of CTAs take tiles that are neighbours along the second dimension, in which B does not differ.
// PAIR-LABEL: func.func @known(
// PAIR: %[[RANK:.*]] = arith.remui %{{.*}}, %{{.*}}
// PAIR: %[[PAIR:.*]] = arith.divui %{{.*}}, %{{.*}}
// PAIR: scf.for %{{.*}} = %[[PAIR]] to
// PAIR: arith.addi %{{.*}}, %[[RANK]] {tl.facts = {hi = 31 : i64, lo = 0 : i64}}
// PAIR: "tl.copy"{{.*}}multicast = 3 : i32
// PAIR-NOT: multicast
// PAIR: cluster = array<i32: 2, 1, 1>

// Consumers of both give a version back to both producers; the cluster meets at the end.
// SHARED-LABEL: func.func @known(
// SHARED: "tl.alloc_barrier"() {cluster, counts = array<i64: 1, 1, 1>}
// SHARED: "tl.alloc_barrier"() {cluster, counts = array<i64: 16, 16, 16>}
// SHARED: "tl.tma_load"{{.*}}{multicast = 3 : i32}
// SHARED: "tl.gemm"
// SHARED: "tl.mbarrier_arrive"(%{{.*}}, %{{.*}}, %{{.*}}) {per_warp}
// SHARED: "tl.mbarrier_arrive"(%{{.*}}, %{{.*}}, %{{.*}}) {per_warp}
// SHARED: "tl.intrinsic"() {name = "cluster_arrive", relaxed = 0 : i32}
// SHARED: "tl.intrinsic"() {name = "cluster_wait"}

!A = memref<4096x512xf16, #tl.scope<"global">>
!at = memref<128x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
!s = memref<128x64xf16, #tl.scope<"shared">>
!f = memref<128x128xf32, #tl.scope<"fragment">>

// The number of tiles is known: 32 x 32 on 132 multiprocessors.
// CHECK-LABEL: func.func @known(
// CHECK-DAG: %[[TILES:.*]] = arith.constant 1024 : i32
// CHECK-DAG: %[[GRID:.*]] = arith.constant 132 : i32
// CHECK: "tl.launch"(%[[GRID]]) ({
// CHECK-NEXT: ^bb0(%[[BLOCK:.*]]: i32):
// Shared tiles stay in front of the loop, fragments are the tile's own.
// CHECK-COUNT-2: #tl.scope<"shared">
// CHECK: scf.for %[[TILE:.*]] = %[[BLOCK]] to %[[TILES]] step %[[GRID]]
// CHECK: %[[GROUP:.*]] = arith.divui %[[TILE]], %{{.*}}
// CHECK: %[[INSIDE:.*]] = arith.remui %[[TILE]],
// CHECK: arith.muli %[[GROUP]]
// CHECK: arith.divui %[[INSIDE]], %{{.*}} {tl.facts = {hi = 31 : i64, lo = 0 : i64}}
// CHECK: arith.remui %[[INSIDE]]
// CHECK: #tl.scope<"fragment">
// CHECK: tl.pipeline
// CHECK: {tl.tiles}
// CHECK: threads = array<i32: 256, 1, 1>
func.func @known(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>) {
  %zero = arith.constant 0 : i32
  %n = arith.constant 512 : i32
  %wide = arith.constant 32 : i32
  %step = arith.constant 64 : i32
  %size = arith.constant 128 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 4096, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 4096, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%wide, %wide) ({
  ^bb0(%bx: i32, %by: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    %y = arith.muli %by, %size : i32
    %x = arith.muli %bx, %size : i32
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %y, %k) {sizes = array<i64: 128, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %x, %k) {sizes = array<i64: 128, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = true} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 256, 1, 1>} : (i32, i32) -> ()
  return
}

// A grid of the arguments: the host computes the number of CTAs; what `T.use_swizzle` asks for decides the order.
// CHECK-LABEL: func.func @run_time(
// CHECK: %[[TILES:.*]] = arith.muli
// CHECK: %[[GRID:.*]] = arith.minsi %[[TILES]],
// CHECK: "tl.launch"(%[[GRID]])
// CHECK: scf.for {{.*}} to %[[TILES]] step %[[GRID]]
// CHECK-NOT: swizzle =
func.func @run_time(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %wide: i32) {
  %zero = arith.constant 0 : i32
  %n = arith.constant 512 : i32
  %step = arith.constant 64 : i32
  %size = arith.constant 128 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 4096, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 4096, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%wide, %wide) ({
  ^bb0(%bx: i32, %by: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    %y = arith.muli %by, %size : i32
    %x = arith.muli %bx, %size : i32
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %y, %k) {sizes = array<i64: 128, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %x, %k) {sizes = array<i64: 128, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = true} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {swizzle = {panel = 8 : i32, order = "row"}, threads = array<i32: 256, 1, 1>} : (i32, i32) -> ()
  return
}
