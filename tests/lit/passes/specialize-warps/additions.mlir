// Additions of a whole fragment leave through small buffers as bulk reductions; B is loaded once, by the producer.
// RUN: tl-opt %s --target=sm_90a --legalize-tile-ops --layout-inference --specialize-warps --show-pretty | filecheck %s

// CHECK: func rows
// CHECK: [[FULL:v[0-9]+]] = alloc barrier [1]
// CHECK: producer
// CHECK-NEXT: arrive [[FULL]][0] {expect=8192}
// CHECK-NEXT: load {{v[0-9]+}} -> [[B:v[0-9]+]] arriving at [[FULL]][0]
// CHECK-NEXT: for
// CHECK: consumers
// CHECK: wait [[FULL]][0] parity 0
// CHECK: for
// CHECK: [[S:v[0-9]+]] = {{v[0-9]+}}[{{.*}}] @ [[B]] {instr=wgmma
// CHECK-NOT: atomic
// CHECK: store [[S]] -> {{v[0-9]+}}[{{v[0-9]+}}, {{.*}} : 1x64x64] through {{v[0-9]+}} {reduce=add}
func.func @rows(%arg0: !llvm.ptr<1>, %arg1: !llvm.ptr<1>, %arg2: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "float16", kind = "tensor", name = "B"}, {dtype = "float32", kind = "tensor", name = "O"}]} {
  %cst = arith.constant 0.000000e+00 : f32
  %c64_i32 = arith.constant 64 : i32
  %c1_i32 = arith.constant 1 : i32
  %c0_i32 = arith.constant 0 : i32
  %c4_i32 = arith.constant 4 : i32
  %0 = "tl.tensor"(%arg0) {shape = array<i64: 256, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<256x64xf16, #tl.scope<"global">>
  %1 = "tl.tensor"(%arg1) {shape = array<i64: 64, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<64x64xf16, #tl.scope<"global">>
  %2 = "tl.tensor"(%arg2) {shape = array<i64: 4, 256, 64>, strides = array<i64: 16384, 64, 1>} : (!llvm.ptr<1>) -> memref<4x256x64xf32, #tl.scope<"global">>
  "tl.launch"(%c4_i32) ({
  ^bb0(%arg3: i32):
    %3 = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %4 = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %5 = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    "tl.copy"(%1, %4) : (memref<64x64xf16, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>) -> ()
    scf.for %arg4 = %c0_i32 to %c4_i32 step %c1_i32  : i32 {
      %6 = arith.muli %arg4, %c64_i32 : i32
      %7 = "tl.slice"(%0, %6, %c0_i32) {sizes = array<i64: 64, 64>} : (memref<256x64xf16, #tl.scope<"global">>, i32, i32) -> memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%7, %3) : (memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>) -> ()
      "tl.fill"(%5, %cst) : (memref<64x64xf32, #tl.scope<"fragment">>, f32) -> ()
      "tl.gemm"(%3, %4, %5) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
      "tl.parallel"() ({
      ^bb0(%arg5: i32, %arg6: i32):
        %8 = arith.addi %6, %arg5 : i32
        %9 = arith.index_cast %arg5 : i32 to index
        %10 = arith.index_cast %arg6 : i32 to index
        %11 = memref.load %5[%9, %10] : memref<64x64xf32, #tl.scope<"fragment">>
        %12 = arith.index_cast %arg3 : i32 to index
        %13 = arith.index_cast %8 : i32 to index
        "tl.atomic"(%2, %11, %12, %13, %10) {kind = "add", order = "relaxed"} : (memref<4x256x64xf32, #tl.scope<"global">>, f32, index, index, index) -> ()
      }) {extents = array<i64: 64, 64>} : () -> ()
    } {tl.pipeline = {num_stages = 2 : i32}}
  }) {name = "main_kernel", threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// Two rows of the fragment meet in one of the tensor.
// CHECK: func halves
// CHECK-NOT: reduce=add
// CHECK: atomic add
func.func @halves(%arg0: !llvm.ptr<1>, %arg1: !llvm.ptr<1>, %arg2: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "float16", kind = "tensor", name = "B"}, {dtype = "float32", kind = "tensor", name = "O"}]} {
  %c2_i32 = arith.constant 2 : i32
  %cst = arith.constant 0.000000e+00 : f32
  %c64_i32 = arith.constant 64 : i32
  %c1_i32 = arith.constant 1 : i32
  %c0_i32 = arith.constant 0 : i32
  %c4_i32 = arith.constant 4 : i32
  %0 = "tl.tensor"(%arg0) {shape = array<i64: 256, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<256x64xf16, #tl.scope<"global">>
  %1 = "tl.tensor"(%arg1) {shape = array<i64: 64, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<64x64xf16, #tl.scope<"global">>
  %2 = "tl.tensor"(%arg2) {shape = array<i64: 4, 256, 64>, strides = array<i64: 16384, 64, 1>} : (!llvm.ptr<1>) -> memref<4x256x64xf32, #tl.scope<"global">>
  "tl.launch"(%c4_i32) ({
  ^bb0(%arg3: i32):
    %3 = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %4 = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %5 = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    "tl.copy"(%1, %4) : (memref<64x64xf16, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>) -> ()
    scf.for %arg4 = %c0_i32 to %c4_i32 step %c1_i32  : i32 {
      %6 = arith.muli %arg4, %c64_i32 : i32
      %7 = "tl.slice"(%0, %6, %c0_i32) {sizes = array<i64: 64, 64>} : (memref<256x64xf16, #tl.scope<"global">>, i32, i32) -> memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%7, %3) : (memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>) -> ()
      "tl.fill"(%5, %cst) : (memref<64x64xf32, #tl.scope<"fragment">>, f32) -> ()
      "tl.gemm"(%3, %4, %5) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
      "tl.parallel"() ({
      ^bb0(%arg5: i32, %arg6: i32):
        %8 = arith.divui %arg5, %c2_i32 : i32
        %9 = arith.addi %6, %8 : i32
        %10 = arith.index_cast %arg5 : i32 to index
        %11 = arith.index_cast %arg6 : i32 to index
        %12 = memref.load %5[%10, %11] : memref<64x64xf32, #tl.scope<"fragment">>
        %13 = arith.index_cast %arg3 : i32 to index
        %14 = arith.index_cast %9 : i32 to index
        "tl.atomic"(%2, %12, %13, %14, %11) {kind = "add", order = "relaxed"} : (memref<4x256x64xf32, #tl.scope<"global">>, f32, index, index, index) -> ()
      }) {extents = array<i64: 64, 64>} : () -> ()
    } {tl.pipeline = {num_stages = 2 : i32}}
  }) {name = "main_kernel", threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
