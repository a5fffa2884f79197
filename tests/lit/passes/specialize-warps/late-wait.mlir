// A wait for the kernels ahead that stands behind the loop is the consumers': the producer loads meanwhile.
// RUN: tl-opt %s --target=sm_90a --legalize-tile-ops --layout-inference --specialize-warps | filecheck %s

// CHECK-NOT: wait_dependencies
// CHECK: "tl.specialize"() ({
// CHECK-COUNT-2: "tl.tma_load"
// CHECK-NOT: wait_dependencies
// CHECK: }, {
// CHECK: "tl.gemm"{{.*}}instr = "wgmma"
// CHECK: "tl.intrinsic"() {name = "wait_dependencies"
// CHECK: "tl.staged_store"
func.func @product(%arg0: !llvm.ptr<1>, %arg1: !llvm.ptr<1>, %arg2: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "float16", kind = "tensor", name = "B"}, {dtype = "float16", kind = "tensor", name = "C"}]} {
  %c64_i32 = arith.constant 64 : i32
  %c128_i32 = arith.constant 128 : i32
  %c1_i32 = arith.constant 1 : i32
  %c0_i32 = arith.constant 0 : i32
  %cst = arith.constant 0.000000e+00 : f32
  %c2_i32 = arith.constant 2 : i32
  %0 = "tl.tensor"(%arg0) {shape = array<i64: 256, 128>, strides = array<i64: 128, 1>} : (!llvm.ptr<1>) -> memref<256x128xf16, #tl.scope<"global">>
  %1 = "tl.tensor"(%arg1) {shape = array<i64: 128, 256>, strides = array<i64: 256, 1>} : (!llvm.ptr<1>) -> memref<128x256xf16, #tl.scope<"global">>
  %2 = "tl.tensor"(%arg2) {shape = array<i64: 256, 256>, strides = array<i64: 256, 1>} : (!llvm.ptr<1>) -> memref<256x256xf16, #tl.scope<"global">>
  "tl.launch"(%c2_i32, %c2_i32) ({
  ^bb0(%arg3: i32, %arg4: i32):
    %3 = "tl.alloc"() : () -> memref<128x64xf16, #tl.scope<"shared">>
    %4 = "tl.alloc"() : () -> memref<64x128xf16, #tl.scope<"shared">>
    %5 = "tl.alloc"() : () -> memref<128x128xf32, #tl.scope<"fragment">>
    "tl.fill"(%5, %cst) : (memref<128x128xf32, #tl.scope<"fragment">>, f32) -> ()
    scf.for %arg5 = %c0_i32 to %c2_i32 step %c1_i32  : i32 {
      %9 = arith.muli %arg4, %c128_i32 : i32
      %10 = arith.muli %arg5, %c64_i32 : i32
      %11 = "tl.slice"(%0, %9, %10) {sizes = array<i64: 128, 64>} : (memref<256x128xf16, #tl.scope<"global">>, i32, i32) -> memref<128x64xf16, strided<[128, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%11, %3) : (memref<128x64xf16, strided<[128, 1], offset: ?>, #tl.scope<"global">>, memref<128x64xf16, #tl.scope<"shared">>) -> ()
      %12 = arith.muli %arg3, %c128_i32 : i32
      %13 = "tl.slice"(%1, %10, %12) {sizes = array<i64: 64, 128>} : (memref<128x256xf16, #tl.scope<"global">>, i32, i32) -> memref<64x128xf16, strided<[256, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%13, %4) : (memref<64x128xf16, strided<[256, 1], offset: ?>, #tl.scope<"global">>, memref<64x128xf16, #tl.scope<"shared">>) -> ()
      "tl.gemm"(%3, %4, %5) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (memref<128x64xf16, #tl.scope<"shared">>, memref<64x128xf16, #tl.scope<"shared">>, memref<128x128xf32, #tl.scope<"fragment">>) -> ()
    } {tl.pipeline = {num_stages = 2 : i32}}
    "tl.intrinsic"() {name = "wait_dependencies"} : () -> ()
    %6 = arith.muli %arg4, %c128_i32 : i32
    %7 = arith.muli %arg3, %c128_i32 : i32
    %8 = "tl.slice"(%2, %6, %7) {sizes = array<i64: 128, 128>} : (memref<256x256xf16, #tl.scope<"global">>, i32, i32) -> memref<128x128xf16, strided<[256, 1], offset: ?>, #tl.scope<"global">>
    "tl.copy"(%5, %8) : (memref<128x128xf32, #tl.scope<"fragment">>, memref<128x128xf16, strided<[256, 1], offset: ?>, #tl.scope<"global">>) -> ()
  }) {name = "product_kernel", threads = array<i32: 128, 1, 1>} : (i32, i32) -> ()
  return
}
