// The second of two chained products runs while the threads work on the result of the next first one. The version of V is
// given back after its wait, one iteration late; the last second product follows the loop.
// RUN: tl-opt %s --target=sm_90a --legalize-tile-ops --layout-inference --specialize-warps --overlap-products --show-pretty | filecheck %s
// RUN: tl-opt %s --target=sm_90a --legalize-tile-ops --layout-inference --specialize-warps --overlap-products=enabled=false --show-pretty | filecheck %s --check-prefix=PLAIN

// CHECK: fill [[O:v[0-9]+]] = 0.0
// CHECK: [[S:v[0-9]+]] = {{.*}} @ {{.*}} {asynchronous, instr=wgmma
// CHECK-NEXT: wait_products [[S]] {pending=0}
// CHECK: copy [[S]] -> [[P:v[0-9]+]]
// CHECK: for
// CHECK: [[S]] = {{.*}} {asynchronous, instr=wgmma
// CHECK: [[O]] += [[P]] @ {{.*}} {asynchronous, instr=wgmma
// CHECK: wait_products [[S]] {pending=1}
// CHECK: parallel
// CHECK: wait_products [[O]] {pending=0}
// CHECK: arrive {{.*}} {per_warp}
// CHECK: copy [[S]] -> [[P]]
// CHECK: [[O]] += [[P]] @ {{.*}} {instr=wgmma

// PLAIN-NOT: asynchronous
// PLAIN-NOT: wait_products
func.func @attention(%arg0: !llvm.ptr<1>, %arg1: !llvm.ptr<1>, %arg2: !llvm.ptr<1>, %arg3: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "Q"}, {dtype = "float16", kind = "tensor", name = "K"}, {dtype = "float16", kind = "tensor", name = "V"}, {dtype = "float16", kind = "tensor", name = "O"}]} {
  %c64_i32 = arith.constant 64 : i32
  %c4_i32 = arith.constant 4 : i32
  %c0_i32 = arith.constant 0 : i32
  %cst = arith.constant 0.000000e+00 : f32
  %c1_i32 = arith.constant 1 : i32
  %0 = "tl.tensor"(%arg0) {shape = array<i64: 64, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<64x64xf16, #tl.scope<"global">>
  %1 = "tl.tensor"(%arg1) {shape = array<i64: 256, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<256x64xf16, #tl.scope<"global">>
  %2 = "tl.tensor"(%arg2) {shape = array<i64: 256, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<256x64xf16, #tl.scope<"global">>
  %3 = "tl.tensor"(%arg3) {shape = array<i64: 64, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<64x64xf16, #tl.scope<"global">>
  "tl.launch"(%c1_i32) ({
  ^bb0(%arg4: i32):
    %4 = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %5 = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %6 = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %7 = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    %8 = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"fragment">>
    %9 = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    "tl.copy"(%0, %4) : (memref<64x64xf16, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>) -> ()
    "tl.fill"(%9, %cst) : (memref<64x64xf32, #tl.scope<"fragment">>, f32) -> ()
    scf.for %arg5 = %c0_i32 to %c4_i32 step %c1_i32  : i32 {
      %10 = arith.muli %arg5, %c64_i32 : i32
      %11 = "tl.slice"(%1, %10, %c0_i32) {sizes = array<i64: 64, 64>} : (memref<256x64xf16, #tl.scope<"global">>, i32, i32) -> memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%11, %5) : (memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>) -> ()
      "tl.fill"(%7, %cst) : (memref<64x64xf32, #tl.scope<"fragment">>, f32) -> ()
      "tl.gemm"(%4, %5, %7) {clear = false, policy = "square", transpose_a = false, transpose_b = true} : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
      "tl.parallel"() ({
      ^bb0(%arg6: i32, %arg7: i32):
        %13 = arith.index_cast %arg6 : i32 to index
        %14 = arith.index_cast %arg7 : i32 to index
        %15 = memref.load %7[%13, %14] : memref<64x64xf32, #tl.scope<"fragment">>
        %16 = arith.maxnumf %15, %cst : f32
        memref.store %16, %7[%13, %14] : memref<64x64xf32, #tl.scope<"fragment">>
      }) {extents = array<i64: 64, 64>} : () -> ()
      "tl.copy"(%7, %8) : (memref<64x64xf32, #tl.scope<"fragment">>, memref<64x64xf16, #tl.scope<"fragment">>) -> ()
      %12 = "tl.slice"(%2, %10, %c0_i32) {sizes = array<i64: 64, 64>} : (memref<256x64xf16, #tl.scope<"global">>, i32, i32) -> memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%12, %6) : (memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>) -> ()
      "tl.gemm"(%8, %6, %9) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (memref<64x64xf16, #tl.scope<"fragment">>, memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
    } {tl.pipeline = {num_stages = 2 : i32}}
    "tl.copy"(%9, %3) : (memref<64x64xf32, #tl.scope<"fragment">>, memref<64x64xf16, #tl.scope<"global">>) -> ()
  }) {name = "attention_kernel", threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
