// Loops that are no masks, or whose comparison is not monotone, keep their form.
// RUN: tl-opt %s --target=sm_90a --layout-inference --guard-masks | filecheck %s
// CHECK-NOT: scf.if

// A remainder is largest anywhere in the tile.
// CHECK-LABEL: func.func @striped(
func.func @striped(%arg0: !llvm.ptr<1>, %arg1: !llvm.ptr<1>, %arg2: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "float16", kind = "tensor", name = "B"}, {dtype = "float32", kind = "tensor", name = "C"}]} {
  %cst = arith.constant 0xFF800000 : f32
  %c3_i32 = arith.constant 3 : i32
  %cst_0 = arith.constant 0.000000e+00 : f32
  %c64_i32 = arith.constant 64 : i32
  %c1_i32 = arith.constant 1 : i32
  %c0_i32 = arith.constant 0 : i32
  %c4_i32 = arith.constant 4 : i32
  %0 = "tl.tensor"(%arg0) {shape = array<i64: 64, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<64x64xf16, #tl.scope<"global">>
  %1 = "tl.tensor"(%arg1) {shape = array<i64: 256, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<256x64xf16, #tl.scope<"global">>
  %2 = "tl.tensor"(%arg2) {shape = array<i64: 64, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<64x64xf32, #tl.scope<"global">>
  "tl.launch"(%c4_i32) ({
  ^bb0(%arg3: i32):
    %3 = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %4 = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %5 = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    "tl.copy"(%0, %3) : (memref<64x64xf16, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>) -> ()
    scf.for %arg4 = %c0_i32 to %c4_i32 step %c1_i32  : i32 {
      %6 = arith.muli %arg4, %c64_i32 : i32
      %7 = "tl.slice"(%1, %6, %c0_i32) {sizes = array<i64: 64, 64>} : (memref<256x64xf16, #tl.scope<"global">>, i32, i32) -> memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%7, %4) : (memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>) -> ()
      "tl.fill"(%5, %cst_0) : (memref<64x64xf32, #tl.scope<"fragment">>, f32) -> ()
      "tl.gemm"(%3, %4, %5) {clear = false, policy = "square", transpose_a = false, transpose_b = true} : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
      "tl.parallel"() ({
      ^bb0(%arg5: i32, %arg6: i32):
        %8 = arith.addi %6, %arg6 : i32
        %9 = arith.remui %8, %c3_i32 : i32
        %10 = arith.cmpi sge, %arg3, %9 : i32
        %11 = arith.index_cast %arg5 : i32 to index
        %12 = arith.index_cast %arg6 : i32 to index
        %13 = memref.load %5[%11, %12] : memref<64x64xf32, #tl.scope<"fragment">>
        %14 = arith.select %10, %13, %cst : f32
        memref.store %14, %5[%11, %12] : memref<64x64xf32, #tl.scope<"fragment">>
      }) {extents = array<i64: 64, 64>} : () -> ()
      "tl.copy"(%5, %2) : (memref<64x64xf32, #tl.scope<"fragment">>, memref<64x64xf32, #tl.scope<"global">>) -> ()
    }
  }) {name = "main_kernel", threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// Elements that pass change too.
// CHECK-LABEL: func.func @shifted(
func.func @shifted(%arg0: !llvm.ptr<1>, %arg1: !llvm.ptr<1>, %arg2: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "float16", kind = "tensor", name = "B"}, {dtype = "float32", kind = "tensor", name = "C"}]} {
  %cst = arith.constant 0xFF800000 : f32
  %cst_0 = arith.constant 2.000000e+00 : f32
  %cst_1 = arith.constant 0.000000e+00 : f32
  %c64_i32 = arith.constant 64 : i32
  %c1_i32 = arith.constant 1 : i32
  %c0_i32 = arith.constant 0 : i32
  %c4_i32 = arith.constant 4 : i32
  %0 = "tl.tensor"(%arg0) {shape = array<i64: 64, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<64x64xf16, #tl.scope<"global">>
  %1 = "tl.tensor"(%arg1) {shape = array<i64: 256, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<256x64xf16, #tl.scope<"global">>
  %2 = "tl.tensor"(%arg2) {shape = array<i64: 64, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<64x64xf32, #tl.scope<"global">>
  "tl.launch"(%c4_i32) ({
  ^bb0(%arg3: i32):
    %3 = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %4 = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %5 = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    "tl.copy"(%0, %3) : (memref<64x64xf16, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>) -> ()
    scf.for %arg4 = %c0_i32 to %c4_i32 step %c1_i32  : i32 {
      %6 = arith.muli %arg4, %c64_i32 : i32
      %7 = "tl.slice"(%1, %6, %c0_i32) {sizes = array<i64: 64, 64>} : (memref<256x64xf16, #tl.scope<"global">>, i32, i32) -> memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%7, %4) : (memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>) -> ()
      "tl.fill"(%5, %cst_1) : (memref<64x64xf32, #tl.scope<"fragment">>, f32) -> ()
      "tl.gemm"(%3, %4, %5) {clear = false, policy = "square", transpose_a = false, transpose_b = true} : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
      "tl.parallel"() ({
      ^bb0(%arg5: i32, %arg6: i32):
        %8 = arith.addi %6, %arg6 : i32
        %9 = arith.muli %arg3, %c64_i32 : i32
        %10 = arith.addi %9, %arg5 : i32
        %11 = arith.cmpi sle, %8, %10 : i32
        %12 = arith.index_cast %arg5 : i32 to index
        %13 = arith.index_cast %arg6 : i32 to index
        %14 = memref.load %5[%12, %13] : memref<64x64xf32, #tl.scope<"fragment">>
        %15 = arith.mulf %14, %cst_0 : f32
        %16 = arith.select %11, %15, %cst : f32
        memref.store %16, %5[%12, %13] : memref<64x64xf32, #tl.scope<"fragment">>
      }) {extents = array<i64: 64, 64>} : () -> ()
      "tl.copy"(%5, %2) : (memref<64x64xf32, #tl.scope<"fragment">>, memref<64x64xf32, #tl.scope<"global">>) -> ()
    }
  }) {name = "main_kernel", threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
