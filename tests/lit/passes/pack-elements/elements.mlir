// Single elements: a read takes its half of a byte, writes come in pairs.
// RUN: tl-opt %s --target=sm_90a --pack-elements | filecheck %s

// CHECK-LABEL: func.func @pairs(
// CHECK: "tl.parallel"() ({
// CHECK-NEXT: ^bb0(%[[I:.*]]: i32, %[[W:.*]]: i32):
// CHECK: memref.load %{{.*}} : memref<8x32xf32
// CHECK: "tl.bitcast"(%{{.*}}) : (f4E2M1FN) -> i8
// CHECK: memref.load %{{.*}} : memref<8x32xf32
// CHECK: "tl.bitcast"(%{{.*}}) : (f4E2M1FN) -> i8
// CHECK: arith.shli %{{.*}} : i8
// CHECK: %[[BYTE:.*]] = arith.ori %{{.*}} : i8
// CHECK: memref.store %[[BYTE]], %{{.*}} : memref<8x16xi8
// CHECK-NOT: memref.store
// CHECK: {extents = array<i64: 8, 16>}
// CHECK: "tl.parallel"() ({
// CHECK: arith.divui
// CHECK: memref.load %{{.*}} : memref<8x16xi8
// CHECK: arith.shrui %{{.*}} : i8
// CHECK: %[[CODE:.*]] = "tl.bitcast"(%{{.*}}) : (i8) -> f4E2M1FN
// CHECK: "tl.cast"(%[[CODE]]) {from = "float4_e2m1fn", to = "float32"}
// CHECK: {extents = array<i64: 8, 32>}
func.func @pairs(%n: i32) {
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    %q = "tl.alloc"() : () -> memref<8x32xf4E2M1FN, #tl.scope<"shared">>
    %f = "tl.alloc"() : () -> memref<8x32xf32, #tl.scope<"fragment">>
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      %v = memref.load %f[%ii, %jj] : memref<8x32xf32, #tl.scope<"fragment">>
      %c = "tl.cast"(%v) {from = "float32", to = "float4_e2m1fn"} : (f32) -> f4E2M1FN
      memref.store %c, %q[%ii, %jj] : memref<8x32xf4E2M1FN, #tl.scope<"shared">>
    }) {extents = array<i64: 8, 32>} : () -> ()
    "tl.copy"(%q, %f) : (memref<8x32xf4E2M1FN, #tl.scope<"shared">>, memref<8x32xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 64, 1, 1>} : (i32) -> ()
  return
}

// A tensor of unknown length has an even one; a copy that may begin in the middle of a byte is a loop; uint4 has no sign.
// CHECK-LABEL: func.func @places(
// CHECK-SAME: %[[N:[a-z0-9]+]]: i32, %[[P:.*]]: !llvm.ptr<1>, %[[K:.*]]: i32
// CHECK: %[[HALF:.*]] = arith.divui %[[N]], %{{.*}} : i32
// CHECK: "tl.tensor"(%[[P]], %[[HALF]]) {shape = array<i64: -1>, strides = array<i64: 1>}
// CHECK-NOT: "tl.copy"
// CHECK: "tl.parallel"() ({
// CHECK: ^bb0(%[[I:.*]]: i32):
// CHECK: arith.addi %[[K]]
// CHECK: memref.store %{{.*}} : memref<16xi8
// CHECK: {extents = array<i64: 16>}
// CHECK: "tl.parallel"() ({
// CHECK-NOT: arith.xori
// CHECK: "tl.cast"(%{{.*}}) {from = "uint8", to = "float32"}
func.func @places(%n: i32, %p: !llvm.ptr<1>, %k: i32) {
  %g = "tl.tensor"(%p, %n) {shape = array<i64: -1>, strides = array<i64: 1>} : (!llvm.ptr<1>, i32) -> memref<?xi4, #tl.scope<"global">>
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    %s = "tl.alloc"() : () -> memref<32xi4, #tl.scope<"shared">>
    %f = "tl.alloc"() : () -> memref<32xf32, #tl.scope<"fragment">>
    %t = "tl.slice"(%g, %k) {sizes = array<i64: 32>} : (memref<?xi4, #tl.scope<"global">>, i32) -> memref<32xi4, strided<[1], offset: ?>, #tl.scope<"global">>
    "tl.copy"(%t, %s) : (memref<32xi4, strided<[1], offset: ?>, #tl.scope<"global">>, memref<32xi4, #tl.scope<"shared">>) -> ()
    "tl.copy"(%s, %f) {unsigned} : (memref<32xi4, #tl.scope<"shared">>, memref<32xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 64, 1, 1>} : (i32) -> ()
  return
}

// One half of a byte that threads share: the other half is another thread's.
// CHECK-LABEL: func.func @alone(
// CHECK: %[[TILE:.*]] = "tl.alloc"() : () -> memref<8xi8
// CHECK-NEXT: arith.constant 0 : i8
// CHECK-NEXT: "tl.fill"(%[[TILE]]
// CHECK: %[[KEPT:.*]] = arith.xori %{{.*}} : i8
// CHECK: "tl.atomic"(%[[TILE]], %[[KEPT]], %{{.*}}) {kind = "and", order = "relaxed"}
// CHECK: "tl.atomic"(%[[TILE]], %{{.*}}) {kind = "or", order = "relaxed"}
// CHECK-NOT: memref.store
func.func @alone(%n: i32) {
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    %s = "tl.alloc"() : () -> memref<16xi4, #tl.scope<"shared">>
    %j = arith.index_cast %x : i32 to index
    %v = arith.constant 3 : i4
    memref.store %v, %s[%j] : memref<16xi4, #tl.scope<"shared">>
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
