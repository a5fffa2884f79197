// Threads work on every product before the next one starts: version and parity of an iteration are computed in the one
// before, from its number plus one, and handed over in registers.
// RUN: tl-opt %s --target=sm_90a --layout-inference --specialize-warps | filecheck %s

// CHECK-LABEL: func.func @scaled(
// CHECK: %[[FULL:[0-9]+]] = "tl.alloc_barrier"() {counts = array<i64: 1, 1, 1>}
// CHECK: "tl.specialize"() ({
// CHECK: }, {
// CHECK: "tl.alloc"() {{.*}} : () -> memref<1xi32, #tl.scope<"fragment">>
// CHECK: %[[SLOT:[0-9]+]] = "tl.alloc"() {{.*}} : () -> memref<1xi32, #tl.scope<"fragment">>
// CHECK: memref.store %c0_i32{{.*}}, %[[SLOT]]
// CHECK: %[[PHASE:[0-9]+]] = "tl.alloc"() {{.*}} : () -> memref<1xi32, #tl.scope<"fragment">>
// CHECK: memref.store %c0_i32{{.*}}, %[[PHASE]]
// CHECK: %[[NEXT:[0-9]+]] = arith.addi %{{[0-9]+}}, %c1_i32{{.*}} : i32
// CHECK: %[[AFTER:[0-9]+]] = arith.remui %[[NEXT]], %c3_i32
// CHECK: %[[ROUND:[0-9]+]] = arith.divui %[[NEXT]], %c3_i32
// CHECK: %[[PARITY:[0-9]+]] = arith.andi %[[ROUND]], %c1_i32
// CHECK: %[[MINE:[0-9]+]] = memref.load %[[SLOT]]
// CHECK: %[[OWN:[0-9]+]] = memref.load %[[PHASE]]
// CHECK: memref.store %[[AFTER]], %[[SLOT]]
// CHECK: memref.store %[[PARITY]], %[[PHASE]]
// CHECK: "tl.mbarrier_wait"(%[[FULL]], %[[MINE]], %[[OWN]])
func.func @scaled(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %s: !llvm.ptr<1>, %c: !llvm.ptr<1>) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %tiles = arith.constant 4 : i32
  %step = arith.constant 64 : i32
  %end = arith.constant 512 : i32
  %rows = arith.constant 128 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> memref<512x512xf16, #tl.scope<"global">>
  %S = "tl.tensor"(%s) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> memref<512x512xf32, #tl.scope<"global">>
  %C = "tl.tensor"(%c) {shape = array<i64: 512, 128>, strides = array<i64: 128, 1>} : (!llvm.ptr<1>) -> memref<512x128xf16, #tl.scope<"global">>
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> memref<128x64xf16, #tl.scope<"shared">>
    %Bs = "tl.alloc"() : () -> memref<128x64xf16, #tl.scope<"shared">>
    %Ss = "tl.alloc"() : () -> memref<1x128xf32, #tl.scope<"shared">>
    %acc = "tl.alloc"() : () -> memref<128x128xf32, #tl.scope<"fragment">>
    scf.for %tile = %zero to %tiles step %one : i32 {
      %row = arith.muli %tile, %rows : i32
      scf.for %k = %zero to %end step %step : i32 {
        %at = "tl.slice"(%A, %row, %k) {sizes = array<i64: 128, 64>} : (memref<512x512xf16, #tl.scope<"global">>, i32, i32) -> memref<128x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
        "tl.copy"(%at, %As) : (memref<128x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>, memref<128x64xf16, #tl.scope<"shared">>) -> ()
        %bt = "tl.slice"(%A, %zero, %k) {sizes = array<i64: 128, 64>} : (memref<512x512xf16, #tl.scope<"global">>, i32, i32) -> memref<128x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
        "tl.copy"(%bt, %Bs) : (memref<128x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>, memref<128x64xf16, #tl.scope<"shared">>) -> ()
        %st = "tl.slice"(%S, %k, %row) {sizes = array<i64: 1, 128>} : (memref<512x512xf32, #tl.scope<"global">>, i32, i32) -> memref<1x128xf32, strided<[512, 1], offset: ?>, #tl.scope<"global">>
        "tl.copy"(%st, %Ss) : (memref<1x128xf32, strided<[512, 1], offset: ?>, #tl.scope<"global">>, memref<1x128xf32, #tl.scope<"shared">>) -> ()
        "tl.gemm"(%As, %Bs, %acc) {clear = true, policy = "square", transpose_a = false, transpose_b = true} : (memref<128x64xf16, #tl.scope<"shared">>, memref<128x64xf16, #tl.scope<"shared">>, memref<128x128xf32, #tl.scope<"fragment">>) -> ()
        "tl.parallel"() ({
        ^bb0(%i: i32, %j: i32):
          %y = arith.index_cast %i : i32 to index
          %x = arith.index_cast %j : i32 to index
          %none = arith.constant 0 : index
          %v = memref.load %acc[%y, %x] : memref<128x128xf32, #tl.scope<"fragment">>
          %f = memref.load %Ss[%none, %y] : memref<1x128xf32, #tl.scope<"shared">>
          %p = arith.mulf %v, %f : f32
          memref.store %p, %acc[%y, %x] : memref<128x128xf32, #tl.scope<"fragment">>
        }) {extents = array<i64: 128, 128>} : () -> ()
      } {tl.pipeline = {num_stages = 3 : i32}}
      %ct = "tl.slice"(%C, %row, %zero) {sizes = array<i64: 128, 128>} : (memref<512x128xf16, #tl.scope<"global">>, i32, i32) -> memref<128x128xf16, strided<[128, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%acc, %ct) : (memref<128x128xf32, #tl.scope<"fragment">>, memref<128x128xf16, strided<[128, 1], offset: ?>, #tl.scope<"global">>) -> ()
    }
  }) {threads = array<i32: 256, 1, 1>} : (i32) -> ()
  return
}
