// A pipelined loop inside others: both roles walk the loops and branches around it, and count the rounds that earlier
// tiles took, so that versions and parities carry on. The producer runs ahead through what follows the loop.
// RUN: tl-opt %s --target=sm_90a --layout-inference --specialize-warps | filecheck %s

!A = memref<512x512xf16, #tl.scope<"global">>
!at = memref<64x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
!s = memref<64x64xf16, #tl.scope<"shared">>
!f = memref<64x64xf32, #tl.scope<"fragment">>

// CHECK-LABEL: func.func @tiles(
// CHECK: "tl.specialize"() ({
// CHECK: %[[P:.*]] = "tl.alloc"() {{.*}} : () -> memref<1xi32, #tl.scope<"fragment">>
// CHECK: scf.for %[[TILE:[a-z0-9]+]] = {{.*}} {
// CHECK: scf.if
// The tile's own end of the loop is read from memory by the producer, too.
// CHECK: %[[END:.*]] = memref.load
// CHECK: %[[BEFORE:.*]] = memref.load %[[P]]
// CHECK: scf.for %[[K:[a-z0-9]+]] = %{{[a-z0-9_]+}} to %[[END]]
// CHECK: %[[TRIP:.*]] = arith.divui
// CHECK: %[[ROUND:.*]] = arith.addi %[[BEFORE]], %[[TRIP]]
// CHECK: arith.remui %[[ROUND]]
// CHECK-COUNT-2: tl.tma_load
// CHECK: %[[AFTER:.*]] = arith.addi %[[BEFORE]],
// CHECK: memref.store %[[AFTER]], %[[P]]
// CHECK: }, {
// CHECK: %[[C:.*]] = "tl.alloc"() {{.*}} : () -> memref<1xi32, #tl.scope<"fragment">>
// CHECK: scf.for
// CHECK: scf.if
// CHECK: %[[CBEFORE:.*]] = memref.load %[[C]]
// CHECK: scf.for
// CHECK: %[[CROUND:.*]] = arith.addi %[[CBEFORE]]
// CHECK: arith.remui %[[CROUND]]
// CHECK: "tl.gemm"
// CHECK: memref.store %{{.*}}, %[[C]]
func.func @tiles(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32, %c: !llvm.ptr<1>) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %N = "tl.tensor"(%c) {shape = array<i64: 8>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> memref<8xi32, #tl.scope<"global">>
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    scf.for %tile = %zero to %n step %one : i32 {
      %inside = arith.cmpi slt, %tile, %step : i32
      scf.if %inside {
        %at0 = arith.index_cast %tile : i32 to index
        %last = memref.load %N[%at0] : memref<8xi32, #tl.scope<"global">>
        scf.for %k = %zero to %last step %step : i32 {
          %at = "tl.slice"(%A, %tile, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
          "tl.copy"(%at, %As) : (!at, !s) -> ()
          %bt = "tl.slice"(%B, %k, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
          "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
          "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
        } {tl.pipeline = {num_stages = 3 : i32}}
      }
    }
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
