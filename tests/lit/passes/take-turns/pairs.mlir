// Two products of an iteration: the turn is passed when the first has ended, while the second is under way.
// RUN: tl-opt %s --target=sm_90a --legalize-tile-ops --layout-inference --specialize-warps --take-turns --delay-waits --show-pretty | filecheck %s

// CHECK: take turn
// CHECK-NEXT: [[P:v[0-9]+]] = {{.*}} {asynchronous, instr=wgmma
// CHECK-NEXT: [[Q:v[0-9]+]] = {{.*}} {asynchronous, instr=wgmma
// CHECK: wait_products [[P]] {pending=1}
// CHECK-NEXT: pass turn
// CHECK: parallel
// CHECK: wait_products [[Q]] {pending=0}
func.func @pairs(%arg0: !llvm.ptr<1>, %arg1: !llvm.ptr<1>, %arg2: !llvm.ptr<1>, %arg3: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "float16", kind = "tensor", name = "B"}, {dtype = "float32", kind = "tensor", name = "F"}, {dtype = "float32", kind = "tensor", name = "O"}]} {
  %0 = "tl.tensor"(%arg0) {shape = array<i64: 128, 256>, strides = array<i64: 256, 1>} : (!llvm.ptr<1>) -> memref<128x256xf16, #tl.scope<"global">>
  %1 = "tl.tensor"(%arg1) {shape = array<i64: 64, 256>, strides = array<i64: 256, 1>} : (!llvm.ptr<1>) -> memref<64x256xf16, #tl.scope<"global">>
  %2 = "tl.tensor"(%arg2) {shape = array<i64: 4, 128>, strides = array<i64: 128, 1>} : (!llvm.ptr<1>) -> memref<4x128xf32, #tl.scope<"global">>
  %3 = "tl.tensor"(%arg3) {shape = array<i64: 128, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<128x64xf32, #tl.scope<"global">>
  %c1_i32 = arith.constant 1 : i32
  "tl.launch"(%c1_i32) ({
  ^bb0(%arg4: i32):
    %4 = "tl.alloc"() : () -> memref<128x64xf16, #tl.scope<"shared">>
    %5 = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %6 = "tl.alloc"() : () -> memref<1x128xf32, #tl.scope<"shared">>
    %7 = "tl.alloc"() : () -> memref<128x64xf32, #tl.scope<"fragment">>
    %8 = "tl.alloc"() : () -> memref<128x64xf32, #tl.scope<"fragment">>
    %20 = "tl.alloc"() : () -> memref<128x64xf32, #tl.scope<"fragment">>
    %cst = arith.constant 0.000000e+00 : f32
    "tl.fill"(%8, %cst) : (memref<128x64xf32, #tl.scope<"fragment">>, f32) -> ()
    %c0_i32 = arith.constant 0 : i32
    %c4_i32 = arith.constant 4 : i32
    %c1_i32_0 = arith.constant 1 : i32
    scf.for %arg5 = %c0_i32 to %c4_i32 step %c1_i32_0  : i32 {
      %c64_i32 = arith.constant 64 : i32
      %9 = arith.muli %arg5, %c64_i32 : i32
      %10 = "tl.slice"(%0, %c0_i32, %9) {sizes = array<i64: 128, 64>} : (memref<128x256xf16, #tl.scope<"global">>, i32, i32) -> memref<128x64xf16, strided<[256, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%10, %4) : (memref<128x64xf16, strided<[256, 1], offset: ?>, #tl.scope<"global">>, memref<128x64xf16, #tl.scope<"shared">>) -> ()
      %11 = "tl.slice"(%1, %c0_i32, %9) {sizes = array<i64: 64, 64>} : (memref<64x256xf16, #tl.scope<"global">>, i32, i32) -> memref<64x64xf16, strided<[256, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%11, %5) : (memref<64x64xf16, strided<[256, 1], offset: ?>, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>) -> ()
      %12 = "tl.slice"(%2, %arg5, %c0_i32) {sizes = array<i64: 1, 128>} : (memref<4x128xf32, #tl.scope<"global">>, i32, i32) -> memref<1x128xf32, strided<[128, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%12, %6) : (memref<1x128xf32, strided<[128, 1], offset: ?>, #tl.scope<"global">>, memref<1x128xf32, #tl.scope<"shared">>) -> ()
      "tl.gemm"(%4, %5, %7) {clear = true, policy = "square", transpose_a = false, transpose_b = true} : (memref<128x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"shared">>, memref<128x64xf32, #tl.scope<"fragment">>) -> ()
      "tl.gemm"(%4, %5, %20) {clear = true, policy = "square", transpose_a = false, transpose_b = true} : (memref<128x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"shared">>, memref<128x64xf32, #tl.scope<"fragment">>) -> ()
      "tl.parallel"() ({
      ^bb0(%arg6: i32, %arg7: i32):
        %13 = arith.index_cast %arg6 : i32 to index
        %14 = arith.index_cast %arg7 : i32 to index
        %15 = memref.load %7[%13, %14] : memref<128x64xf32, #tl.scope<"fragment">>
        %c0 = arith.constant 0 : index
        %16 = memref.load %6[%c0, %13] : memref<1x128xf32, #tl.scope<"shared">>
        %17 = arith.mulf %15, %16 : f32
        %18 = memref.load %8[%13, %14] : memref<128x64xf32, #tl.scope<"fragment">>
        %19 = arith.addf %18, %17 : f32
        memref.store %19, %8[%13, %14] : memref<128x64xf32, #tl.scope<"fragment">>
      }) {extents = array<i64: 128, 64>} : () -> ()
      "tl.parallel"() ({
      ^bb0(%arg6: i32, %arg7: i32):
        %13 = arith.index_cast %arg6 : i32 to index
        %14 = arith.index_cast %arg7 : i32 to index
        %15 = memref.load %20[%13, %14] : memref<128x64xf32, #tl.scope<"fragment">>
        %c0 = arith.constant 0 : index
        %16 = memref.load %6[%c0, %13] : memref<1x128xf32, #tl.scope<"shared">>
        %17 = arith.mulf %15, %16 : f32
        %18 = memref.load %8[%13, %14] : memref<128x64xf32, #tl.scope<"fragment">>
        %19 = arith.addf %18, %17 : f32
        memref.store %19, %8[%13, %14] : memref<128x64xf32, #tl.scope<"fragment">>
      }) {extents = array<i64: 128, 64>} : () -> ()
    } {tl.pipeline = {num_stages = 2 : i32}}
    "tl.copy"(%8, %3) : (memref<128x64xf32, #tl.scope<"fragment">>, memref<128x64xf32, #tl.scope<"global">>) -> ()
  }) {name = "scaled_kernel", threads = array<i32: 256, 1, 1>} : (i32) -> ()
  return
}
