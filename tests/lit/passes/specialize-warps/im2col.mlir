// Tiles of a convolution: within one tap they are loaded in im2col mode, by the role that loads; one that spans two taps
// keeps the kernel whole, and its threads compute where each element lies.
// RUN: tl-opt %s --target=sm_90a --legalize-tile-ops --layout-inference --specialize-warps | filecheck %s
// RUN: tl-opt %s --target=sm_90a --stage=lowered | filecheck %s --check-prefix=LOWERED
// RUN: tl-opt %s --target=sm_80 --legalize-tile-ops --layout-inference --expand-tile-ops | filecheck %s --check-prefix=LOOP

!x = memref<2x9x7x64xf16, #tl.scope<"global">>
!w = memref<576x64xf16, #tl.scope<"global">>
!y = memref<126x64xf32, #tl.scope<"global">>
!t = memref<64x64xf16, #tl.scope<"shared">>
!a = memref<64x64xf32, #tl.scope<"fragment">>

// CHECK-LABEL: func.func @within
// CHECK: "tl.specialize"() ({
// CHECK: "tl.mbarrier_arrive"(%{{.*}}, %{{.*}}) {expect = 16384 : i32}
// CHECK: "tl.im2col_load"({{.*}}) {dilation = 1 : i32, kernel = 3 : i32, pad = 1 : i32, stride = 1 : i32}
// CHECK: "tl.tma_load"
// CHECK: }, {
// CHECK-NOT: tl.im2col
// CHECK-LABEL: func.func @across
// CHECK-NOT: tl.specialize

// LOWERED-LABEL: llvm.func @within_kernel
// LOWERED-SAME: {box = array<i64: 64, 64>, param = 0 : i64, swizzle = "128B", walk = array<i64: -1, -1, 1>}
// LOWERED: nvvm.cp.async.bulk.tensor.shared.cluster.global {{.*}}im2col[{{.*}}mode = #nvvm.tma_load_mode<im2col>

// LOOP-LABEL: func.func @within
// LOOP: "tl.parallel"
// LOOP: %[[Y:.*]] = arith.select
// LOOP: memref.load
func.func @within(%p: !llvm.ptr<1>, %q: !llvm.ptr<1>, %r: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "X"}, {dtype = "float16", kind = "tensor", name = "W"}, {dtype = "float32", kind = "tensor", name = "Y"}]} {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c2 = arith.constant 2 : i32
  %c7 = arith.constant 7 : i32
  %c9 = arith.constant 9 : i32
  %c64 = arith.constant 64 : i32
  %X = "tl.tensor"(%p) {shape = array<i64: 2, 9, 7, 64>, strides = array<i64: 4032, 448, 64, 1>} : (!llvm.ptr<1>) -> !x
  %W = "tl.tensor"(%q) {shape = array<i64: 576, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !w
  %Y = "tl.tensor"(%r) {shape = array<i64: 126, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !y
  "tl.launch"(%c2) ({
  ^bb0(%b: i32):
    %t = "tl.alloc"() : () -> !t
    %u = "tl.alloc"() : () -> !t
    %acc = "tl.alloc"() : () -> !a
    %zero = arith.constant 0.0 : f32
    "tl.fill"(%acc, %zero) : (!a, f32) -> ()
    scf.for %k = %c0 to %c9 step %c1 : i32 {
      "tl.im2col"(%X, %t, %b, %k, %c9, %c7, %c64) {dilation = 1 : i32, kernel = 3 : i32, pad = 1 : i32, stride = 1 : i32} : (!x, !t, i32, i32, i32, i32, i32) -> ()
      %row = arith.muli %k, %c64 : i32
      %s = "tl.slice"(%W, %row, %c0) {sizes = array<i64: 64, 64>} : (!w, i32, i32) -> memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%s, %u) : (memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>, !t) -> ()
      "tl.gemm"(%t, %u, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!t, !t, !a) -> ()
    } {tl.pipeline = {num_stages = 2 : i32}}
    %o = arith.muli %b, %c64 : i32
    %d = "tl.slice"(%Y, %o, %c0) {sizes = array<i64: 64, 64>} : (!y, i32, i32) -> memref<64x64xf32, strided<[64, 1], offset: ?>, #tl.scope<"global">>
    "tl.copy"(%acc, %d) : (!a, memref<64x64xf32, strided<[64, 1], offset: ?>, #tl.scope<"global">>) -> ()
  }) {name = "within_kernel", threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

!z = memref<2x9x7x48xf16, #tl.scope<"global">>
func.func @across(%p: !llvm.ptr<1>, %r: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "X"}, {dtype = "float32", kind = "tensor", name = "Y"}]} {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c2 = arith.constant 2 : i32
  %c7 = arith.constant 7 : i32
  %c9 = arith.constant 9 : i32
  %c48 = arith.constant 48 : i32
  %X = "tl.tensor"(%p) {shape = array<i64: 2, 9, 7, 48>, strides = array<i64: 3024, 336, 48, 1>} : (!llvm.ptr<1>) -> !z
  %Y = "tl.tensor"(%r) {shape = array<i64: 126, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !y
  "tl.launch"(%c2) ({
  ^bb0(%b: i32):
    %t = "tl.alloc"() : () -> !t
    %acc = "tl.alloc"() : () -> !a
    %zero = arith.constant 0.0 : f32
    "tl.fill"(%acc, %zero) : (!a, f32) -> ()
    scf.for %k = %c0 to %c9 step %c1 : i32 {
      "tl.im2col"(%X, %t, %b, %k, %c9, %c7, %c48) {dilation = 1 : i32, kernel = 3 : i32, pad = 1 : i32, stride = 1 : i32} : (!z, !t, i32, i32, i32, i32, i32) -> ()
      "tl.gemm"(%t, %t, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!t, !t, !a) -> ()
    } {tl.pipeline = {num_stages = 2 : i32}}
    %d = "tl.slice"(%Y, %c0, %c0) {sizes = array<i64: 64, 64>} : (!y, i32, i32) -> memref<64x64xf32, strided<[64, 1], offset: ?>, #tl.scope<"global">>
    "tl.copy"(%acc, %d) : (!a, memref<64x64xf32, strided<[64, 1], offset: ?>, #tl.scope<"global">>) -> ()
  }) {name = "across_kernel", threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
