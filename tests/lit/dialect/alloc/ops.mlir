// The ops that make buffers, and views of them.
// RUN: tl-opt %s | filecheck %s
// RUN: tl-opt %s > %t
// RUN: tl-opt %t | diff %t -

// CHECK-LABEL: func.func @tensor(
// CHECK: %{{[0-9a-z_]+}} = "tl.tensor"(%{{[0-9a-z_]+}}) {shape = array<i64: 128, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<128x64xf16, #tl.scope<"global">>
// CHECK: %{{[0-9a-z_]+}} = "tl.tensor"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {shape = array<i64: -1, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>, i64) -> memref<?x64xbf16, strided<[64, 1]>, #tl.scope<"global">>
// CHECK: %{{[0-9a-z_]+}} = "tl.tensor"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {shape = array<i64: -1, 64>, strides = array<i64: -1, 1>} : (!llvm.ptr<1>, i64, i64) -> memref<?x64xi8, strided<[?, 1]>, #tl.scope<"global">>
// CHECK: %{{[0-9a-z_]+}} = "tl.tensor"(%{{[0-9a-z_]+}}) {shape = array<i64: 8192>, strides = array<i64: 1>, view} : (!llvm.ptr<1>) -> memref<8192xf16, #tl.scope<"global">>
// CHECK: %{{[0-9a-z_]+}} = "tl.tensor"(%{{[0-9a-z_]+}}) {shape = array<i64: 64, 0>, strides = array<i64: 0, 1>} : (!llvm.ptr<1>) -> memref<64x0xf16, #tl.scope<"global">>
// CHECK: %{{[0-9a-z_]+}} = "tl.alloc"() : () -> memref<132x64xf32, #tl.scope<"global">>
// CHECK: %{{[0-9a-z_]+}} = "tl.alloc"(%{{[0-9a-z_]+}}) : (i64) -> memref<?x64xf32, #tl.scope<"global">>
func.func @tensor(%p: !llvm.ptr<1>, %m: i64, %s: i64) {
  %a = "tl.tensor"(%p) {shape = array<i64: 128, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<128x64xf16, #tl.scope<"global">>
  %b = "tl.tensor"(%p, %m) {shape = array<i64: -1, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>, i64) -> memref<?x64xbf16, strided<[64, 1]>, #tl.scope<"global">>
  %c = "tl.tensor"(%p, %m, %s) {shape = array<i64: -1, 64>, strides = array<i64: -1, 1>} : (!llvm.ptr<1>, i64, i64) -> memref<?x64xi8, strided<[?, 1]>, #tl.scope<"global">>
  %v = "tl.tensor"(%p) {shape = array<i64: 8192>, strides = array<i64: 1>, view} : (!llvm.ptr<1>) -> memref<8192xf16, #tl.scope<"global">>
  %z = "tl.tensor"(%p) {shape = array<i64: 64, 0>, strides = array<i64: 0, 1>} : (!llvm.ptr<1>) -> memref<64x0xf16, #tl.scope<"global">>
  %w = "tl.alloc"() : () -> memref<132x64xf32, #tl.scope<"global">>
  %d = "tl.alloc"(%m) : (i64) -> memref<?x64xf32, #tl.scope<"global">>
  return
}

// CHECK-LABEL: func.func @on_chip(
// CHECK: "tl.launch"(%{{[0-9a-z_]+}}) ({
// CHECK: %{{[0-9a-z_]+}} = "tl.alloc"() {safe_value = 1.000000e+00 : f16} : () -> memref<2x128x64xf16, #tl.scope<"shared">>
// CHECK: %{{[0-9a-z_]+}} = "tl.alloc"() {layout = #tl.smem<[8], [8, 0, 1, 0], [0, 0, 0]>} : () -> memref<8xf16, #tl.scope<"shared">>
// CHECK: %{{[0-9a-z_]+}} = "tl.alloc"() : () -> memref<128x128xf32, #tl.scope<"fragment">>
// CHECK: %{{[0-9a-z_]+}} = "tl.alloc"() {layout = #tl.fragment<[32], [32, 0, 1], []>} : () -> memref<32xf32, #tl.scope<"fragment">>
// CHECK: %{{[0-9a-z_]+}} = "tl.alloc"() : () -> memref<4xi32, #tl.scope<"local">>
// CHECK: %{{[0-9a-z_]+}} = "tl.alloc"() {init = 3 : i32} : () -> memref<1xi32, #tl.scope<"var">>
// CHECK: %{{[0-9a-z_]+}} = "tl.alloc"() : () -> memref<128x256xf32, #tl.scope<"tmem">>
// CHECK: %{{[0-9a-z_]+}} = "tl.alloc_reducer"() {kind = "sum"} : () -> memref<128xf32, #tl.scope<"fragment">>
// CHECK: %{{[0-9a-z_]+}} = "tl.alloc_reducer"() {kind = "xor"} : () -> memref<128xi32, #tl.scope<"fragment">>
// CHECK: %{{[0-9a-z_]+}} = "tl.alloc_barrier"() {counts = array<i32: 128, 1>} : () -> !tl.barrier<2 : i64>
// CHECK: %{{[0-9a-z_]+}} = "tl.alloc_barrier"() {cluster, counts = array<i64: 1>} : () -> !tl.barrier<1 : i64>
// CHECK: }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
func.func @on_chip(%n: i32) {
  "tl.launch"(%n) ({
  ^bb0(%bx: i32):
    %s = "tl.alloc"() {safe_value = 1.0 : f16} : () -> memref<2x128x64xf16, #tl.scope<"shared">>
    %l = "tl.alloc"() {layout = #tl.smem<[8], [8, 0, 1, 0], [0, 0, 0]>} : () -> memref<8xf16, #tl.scope<"shared">>
    %f = "tl.alloc"() : () -> memref<128x128xf32, #tl.scope<"fragment">>
    %g = "tl.alloc"() {layout = #tl.fragment<[32], [32, 0, 1], []>} : () -> memref<32xf32, #tl.scope<"fragment">>
    %x = "tl.alloc"() : () -> memref<4xi32, #tl.scope<"local">>
    %v = "tl.alloc"() {init = 3 : i32} : () -> memref<1xi32, #tl.scope<"var">>
    %t = "tl.alloc"() : () -> memref<128x256xf32, #tl.scope<"tmem">>
    %r = "tl.alloc_reducer"() {kind = "sum"} : () -> memref<128xf32, #tl.scope<"fragment">>
    %q = "tl.alloc_reducer"() {kind = "xor"} : () -> memref<128xi32, #tl.scope<"fragment">>
    %m = "tl.alloc_barrier"() {counts = array<i32: 128, 1>} : () -> !tl.barrier<2 : i64>
    %k = "tl.alloc_barrier"() {cluster, counts = array<i64: 1>} : () -> !tl.barrier<1 : i64>
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// CHECK-LABEL: func.func @views(
// CHECK: %{{[0-9a-z_]+}} = "tl.tensor"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {shape = array<i64: -1, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>, i32) -> memref<?x64xf16, strided<[64, 1]>, #tl.scope<"global">>
// CHECK: %{{[0-9a-z_]+}} = "tl.slice"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {sizes = array<i64: 32, 16>} : (memref<?x64xf16, strided<[64, 1]>, #tl.scope<"global">>, i32, i32) -> memref<32x16xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>
// CHECK: %{{[0-9a-z_]+}} = "tl.slice"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {sizes = array<i64: -1, 16>} : (memref<?x64xf16, strided<[64, 1]>, #tl.scope<"global">>, i32, i32, i32) -> memref<?x16xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>
// CHECK: %{{[0-9a-z_]+}} = "tl.alloc"() : () -> memref<4x8xf32, #tl.scope<"shared">>
// CHECK: %{{[0-9a-z_]+}} = "tl.reshape"(%{{[0-9a-z_]+}}) : (memref<4x8xf32, #tl.scope<"shared">>) -> memref<32xf32, #tl.scope<"shared">>
// CHECK: %{{[0-9a-z_]+}} = "tl.reshape"(%{{[0-9a-z_]+}}) : (memref<4x8xf32, #tl.scope<"shared">>) -> memref<4x16xf16, #tl.scope<"shared">>
func.func @views(%p: !llvm.ptr<1>, %i: i32, %n: i32) {
  %a = "tl.tensor"(%p, %i) {shape = array<i64: -1, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>, i32) -> memref<?x64xf16, strided<[64, 1]>, #tl.scope<"global">>
  %s = "tl.slice"(%a, %i, %i) {sizes = array<i64: 32, 16>} : (memref<?x64xf16, strided<[64, 1]>, #tl.scope<"global">>, i32, i32) -> memref<32x16xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>
  %d = "tl.slice"(%a, %i, %n, %i) {sizes = array<i64: -1, 16>} : (memref<?x64xf16, strided<[64, 1]>, #tl.scope<"global">>, i32, i32, i32) -> memref<?x16xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>
  %b = "tl.alloc"() : () -> memref<4x8xf32, #tl.scope<"shared">>
  %r = "tl.reshape"(%b) : (memref<4x8xf32, #tl.scope<"shared">>) -> memref<32xf32, #tl.scope<"shared">>
  %v = "tl.reshape"(%b) : (memref<4x8xf32, #tl.scope<"shared">>) -> memref<4x16xf16, #tl.scope<"shared">>
  return
}
