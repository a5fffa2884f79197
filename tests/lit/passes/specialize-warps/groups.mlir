// One warpgroup computes a tile: two groups take tiles by turns. Each starts at its own tile and leaves out the other one's, and the
// rounds that the other one takes through the ring, which has twice the versions.
// RUN: tl-opt %s --target=sm_90a --layout-inference --persist-tiles --specialize-warps --cse | filecheck %s

!A = memref<4096x512xf16, #tl.scope<"global">>
!at = memref<64x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
!s = memref<64x64xf16, #tl.scope<"shared">>
!f = memref<64x64xf32, #tl.scope<"fragment">>

// CHECK-LABEL: func.func @turns(
// CHECK: counts = array<i64: 1, 1, 1, 1, 1, 1>
// CHECK: counts = array<i64: 4, 4, 4, 4, 4, 4>
// CHECK: "tl.specialize"() ({
// The producer walks all tiles.
// CHECK: scf.for %{{.*}} = %[[BLOCK:[a-z0-9_]+]] to %[[TILES:[a-z0-9_]+]] step %[[GRID:[a-z0-9_]+]]  : i32 {
// CHECK: }, {
// CHECK: ^bb0(%[[GROUP:[a-z0-9_]+]]: i32):
// CHECK: %[[SKIPPED:[a-z0-9_]+]] = arith.muli %[[GROUP]], %[[TRIPS:[a-z0-9_]+]] : i32
// CHECK: memref.store %[[SKIPPED]], %[[ROUNDS:[a-z0-9_]+]][
// CHECK: %[[BOTH:[a-z0-9_]+]] = arith.muli %[[TRIPS]],
// CHECK: %[[OFF:[a-z0-9_]+]] = arith.muli %[[GROUP]], %[[GRID]]
// CHECK: %[[FIRST:[a-z0-9_]+]] = arith.addi %[[BLOCK]], %[[OFF]]
// CHECK: %[[STRIDE:[a-z0-9_]+]] = arith.muli %[[GRID]],
// CHECK: scf.for %{{.*}} = %[[FIRST]] to %[[TILES]] step %[[STRIDE]]
// CHECK: %[[BEFORE:[a-z0-9_]+]] = memref.load %[[ROUNDS]]
// CHECK: tl.turn{{.*}}take
// CHECK: scf.for
// CHECK: "tl.gemm"
// CHECK: tl.turn{{.*}}pass
// CHECK: %[[AFTER:[a-z0-9_]+]] = arith.addi %[[BEFORE]], %[[BOTH]]
// CHECK: memref.store %[[AFTER]], %[[ROUNDS]]
// CHECK: consumers = 128 : i32, groups = 2 : i32, registers = array<i32: 24, 240>
// CHECK: threads = array<i32: 384, 1, 1>
func.func @turns(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>) {
  %zero = arith.constant 0 : i32
  %n = arith.constant 512 : i32
  %few = arith.constant 4 : i32
  %wide = arith.constant 64 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 4096, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 4096, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%wide, %wide) ({
  ^bb0(%bx: i32, %by: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    %y = arith.muli %by, %step : i32
    %x = arith.muli %bx, %step : i32
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %y, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %x, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = true} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32, i32) -> ()
  return
}
