// Masks run only in tiles that have masked elements; one that starts a product follows it.
// RUN: tl-opt %s --target=sm_90a --layout-inference --guard-masks --show-pretty | filecheck %s
// RUN: tl-opt %s --target=sm_90a --layout-inference --guard-masks=enabled=false --show-pretty | filecheck %s --check-prefix=OFF
// OFF-NOT: if

// CHECK: func start
// CHECK: [[S:v[0-9]+]] = {{v[0-9]+}} @ {{v[0-9]+}}.T
// CHECK-NEXT: if [[K:v[0-9]+]]*64 + 63 > [[Q:v[0-9]+]]*64 + 0:
// CHECK-NEXT: parallel
// CHECK-NEXT: [[S]][[[I:v[0-9]+]], [[J:v[0-9]+]]] = [[K]]*64 + [[J]] <= [[Q]]*64 + [[I]] ? [[S]][[[I]], [[J]]] : -inf
func.func @start(%arg0: !llvm.ptr<1>, %arg1: !llvm.ptr<1>, %arg2: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "float16", kind = "tensor", name = "B"}, {dtype = "float32", kind = "tensor", name = "C"}]} {
  %cst = arith.constant 0xFF800000 : f32
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
      "tl.parallel"() ({
      ^bb0(%arg5: i32, %arg6: i32):
        %8 = arith.addi %6, %arg6 : i32
        %9 = arith.muli %arg3, %c64_i32 : i32
        %10 = arith.addi %9, %arg5 : i32
        %11 = arith.cmpi sle, %8, %10 : i32
        %12 = arith.select %11, %cst_0, %cst : f32
        %13 = arith.index_cast %arg5 : i32 to index
        %14 = arith.index_cast %arg6 : i32 to index
        memref.store %12, %5[%13, %14] : memref<64x64xf32, #tl.scope<"fragment">>
      }) {extents = array<i64: 64, 64>} : () -> ()
      "tl.gemm"(%3, %4, %5) {clear = false, policy = "square", transpose_a = false, transpose_b = true} : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
      "tl.copy"(%5, %2) : (memref<64x64xf32, #tl.scope<"fragment">>, memref<64x64xf32, #tl.scope<"global">>) -> ()
    }
  }) {name = "main_kernel", threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// Both edges of a window.
// CHECK: func window
// CHECK: += {{v[0-9]+}} @ {{v[0-9]+}}.T
// CHECK-NEXT: if
// CHECK-SAME: |
// CHECK-NEXT: parallel
func.func @window(%arg0: !llvm.ptr<1>, %arg1: !llvm.ptr<1>, %arg2: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "float16", kind = "tensor", name = "B"}, {dtype = "float32", kind = "tensor", name = "C"}]} {
  %cst = arith.constant 0xFF800000 : f32
  %c32_i32 = arith.constant 32 : i32
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
        %9 = arith.muli %arg3, %c64_i32 : i32
        %10 = arith.addi %9, %arg5 : i32
        %11 = arith.cmpi sle, %8, %10 : i32
        %12 = arith.subi %10, %c32_i32 : i32
        %13 = arith.cmpi sgt, %8, %12 : i32
        %14 = arith.andi %11, %13 : i1
        %15 = arith.index_cast %arg5 : i32 to index
        %16 = arith.index_cast %arg6 : i32 to index
        %17 = memref.load %5[%15, %16] : memref<64x64xf32, #tl.scope<"fragment">>
        %18 = arith.select %14, %17, %cst : f32
        memref.store %18, %5[%15, %16] : memref<64x64xf32, #tl.scope<"fragment">>
      }) {extents = array<i64: 64, 64>} : () -> ()
      "tl.copy"(%5, %2) : (memref<64x64xf32, #tl.scope<"fragment">>, memref<64x64xf32, #tl.scope<"global">>) -> ()
    }
  }) {name = "main_kernel", threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
