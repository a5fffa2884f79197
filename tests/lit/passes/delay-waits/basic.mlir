// The second product runs while the threads work on the first one's result; its tile is given back behind its wait.
// RUN: tl-opt %s --target=sm_90a --legalize-tile-ops --layout-inference --specialize-warps --delay-waits --show-pretty | filecheck %s
// RUN: tl-opt %s --target=sm_90a --legalize-tile-ops --layout-inference --specialize-warps --delay-waits=enabled=false --show-pretty | filecheck %s --check-prefix=PLAIN
// PLAIN-NOT: asynchronous
// PLAIN-NOT: wait_products

// CHECK: consumers
// CHECK: for
// CHECK: [[S:v[0-9]+]] = {{.*}} {asynchronous, instr=wgmma
// CHECK: [[T:v[0-9]+]] = {{.*}} {asynchronous, instr=wgmma
// CHECK-NEXT: wait_products [[S]] {pending=1}
// CHECK-NEXT: arrive [[FIRST:v[0-9]+]]{{.*}} {per_warp}
// CHECK-NEXT: parallel
// CHECK-NEXT: [[S]][{{.*}}] = exp2
// CHECK-NEXT: wait_products [[T]] {pending=0}
// CHECK-NEXT: arrive [[SECOND:v[0-9]+]]{{.*}} {per_warp}
// CHECK-NEXT: parallel
func.func @two(%arg0: !llvm.ptr<1>, %arg1: !llvm.ptr<1>, %arg2: !llvm.ptr<1>, %arg3: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "float16", kind = "tensor", name = "B"}, {dtype = "float16", kind = "tensor", name = "C"}, {dtype = "float32", kind = "tensor", name = "O"}]} {
  %c64_i32 = arith.constant 64 : i32
  %c4_i32 = arith.constant 4 : i32
  %c0_i32 = arith.constant 0 : i32
  %cst = arith.constant 0.000000e+00 : f32
  %c1_i32 = arith.constant 1 : i32
  %0 = "tl.tensor"(%arg0) {shape = array<i64: 64, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<64x64xf16, #tl.scope<"global">>
  %1 = "tl.tensor"(%arg1) {shape = array<i64: 256, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<256x64xf16, #tl.scope<"global">>
  %2 = "tl.tensor"(%arg2) {shape = array<i64: 256, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<256x64xf16, #tl.scope<"global">>
  %3 = "tl.tensor"(%arg3) {shape = array<i64: 64, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<64x64xf32, #tl.scope<"global">>
  "tl.launch"(%c1_i32) ({
  ^bb0(%arg4: i32):
    %4 = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %5 = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %6 = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %7 = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    %8 = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    %9 = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    "tl.copy"(%0, %4) : (memref<64x64xf16, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>) -> ()
    "tl.fill"(%9, %cst) : (memref<64x64xf32, #tl.scope<"fragment">>, f32) -> ()
    scf.for %arg5 = %c0_i32 to %c4_i32 step %c1_i32  : i32 {
      %10 = arith.muli %arg5, %c64_i32 : i32
      %11 = "tl.slice"(%1, %10, %c0_i32) {sizes = array<i64: 64, 64>} : (memref<256x64xf16, #tl.scope<"global">>, i32, i32) -> memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%11, %5) : (memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>) -> ()
      %12 = "tl.slice"(%2, %10, %c0_i32) {sizes = array<i64: 64, 64>} : (memref<256x64xf16, #tl.scope<"global">>, i32, i32) -> memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%12, %6) : (memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>) -> ()
      "tl.fill"(%7, %cst) : (memref<64x64xf32, #tl.scope<"fragment">>, f32) -> ()
      "tl.gemm"(%4, %5, %7) {clear = false, policy = "square", transpose_a = false, transpose_b = true} : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
      "tl.fill"(%8, %cst) : (memref<64x64xf32, #tl.scope<"fragment">>, f32) -> ()
      "tl.gemm"(%4, %6, %8) {clear = false, policy = "square", transpose_a = false, transpose_b = true} : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
      "tl.parallel"() ({
      ^bb0(%arg6: i32, %arg7: i32):
        %13 = arith.index_cast %arg6 : i32 to index
        %14 = arith.index_cast %arg7 : i32 to index
        %15 = memref.load %7[%13, %14] : memref<64x64xf32, #tl.scope<"fragment">>
        %16 = math.exp2 %15 : f32
        memref.store %16, %7[%13, %14] : memref<64x64xf32, #tl.scope<"fragment">>
      }) {extents = array<i64: 64, 64>} : () -> ()
      "tl.parallel"() ({
      ^bb0(%arg6: i32, %arg7: i32):
        %13 = arith.index_cast %arg6 : i32 to index
        %14 = arith.index_cast %arg7 : i32 to index
        %15 = memref.load %7[%13, %14] : memref<64x64xf32, #tl.scope<"fragment">>
        %16 = memref.load %8[%13, %14] : memref<64x64xf32, #tl.scope<"fragment">>
        %17 = arith.mulf %15, %16 : f32
        %18 = memref.load %9[%13, %14] : memref<64x64xf32, #tl.scope<"fragment">>
        %19 = arith.addf %18, %17 : f32
        memref.store %19, %9[%13, %14] : memref<64x64xf32, #tl.scope<"fragment">>
      }) {extents = array<i64: 64, 64>} : () -> ()
    } {tl.pipeline = {num_stages = 2 : i32}}
    "tl.copy"(%9, %3) : (memref<64x64xf32, #tl.scope<"fragment">>, memref<64x64xf32, #tl.scope<"global">>) -> ()
  }) {name = "main_kernel", threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
