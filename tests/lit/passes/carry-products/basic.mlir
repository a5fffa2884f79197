// The first two products of the next iteration start before this one ends; the waits behind count them, and what the
// products need is waited for an iteration ahead. Behind the loop nothing stays under way.
// RUN: tl-opt %s --target=sm_90a --legalize-tile-ops --layout-inference --specialize-warps --delay-waits --carry-products --show-pretty | filecheck %s
// RUN: tl-opt %s --target=sm_90a --legalize-tile-ops --layout-inference --specialize-warps --delay-waits --carry-products=enabled=false --show-pretty | filecheck %s --check-prefix=PLAIN
// RUN: tl-opt %s --target=sm_90a --legalize-tile-ops --layout-inference --specialize-warps --carry-products --show-pretty | filecheck %s --check-prefix=PLAIN
// PLAIN-NOT: instr=wgmma, pending
// PLAIN-NOT: minsi

// CHECK: consumers
// CHECK: wait [[FULL_A:v[0-9]+]][v{{.*}}] parity
// CHECK-NEXT: [[S:v[0-9]+]] = [[C:v[0-9]+]] @ [[A:v[0-9]+]][{{.*}}].T {instr=wgmma, pending=1
// CHECK-NEXT: wait [[FULL_B:v[0-9]+]][{{.*}}] parity
// CHECK-NEXT: [[R:v[0-9]+]] = [[C]] @ [[B:v[0-9]+]][{{.*}}].T {instr=wgmma, pending=2
// CHECK-NEXT: wait_products [[S]] {pending=1}
// CHECK-NEXT: for [[K:v[0-9]+]] in 0..4
// CHECK: [[S]][{{.*}}] = exp2
// CHECK-NEXT: wait_products [[R]] {pending=0}
// CHECK-NEXT: arrive [[EMPTY_B:v[0-9]+]]
// CHECK: [[O:v[0-9]+]] += {{.*}} @ [[A]][{{.*}} {asynchronous, instr=wgmma
// CHECK-NEXT: minsi([[K]] + 1, 4 - 1)
// CHECK: wait [[FULL_A]][{{.*}}] parity
// CHECK-NEXT: [[S]] = [[C]] @ [[A]][{{.*}}].T {instr=wgmma, pending=2
// CHECK-NEXT: wait_products [[O]] {pending=1}
// CHECK-NEXT: arrive
// CHECK-NEXT: wait [[FULL_B]][{{.*}}] parity
// CHECK-NEXT: [[R]] = [[C]] @ [[B]][{{.*}}].T {instr=wgmma, pending=2
// CHECK-NEXT: wait_products [[S]] {pending=1}
// CHECK-NEXT: wait_products [[R]] {pending=0}
func.func @three(%arg0: !llvm.ptr<1>, %arg1: !llvm.ptr<1>, %arg2: !llvm.ptr<1>, %arg3: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "float16", kind = "tensor", name = "B"}, {dtype = "float16", kind = "tensor", name = "C"}, {dtype = "float32", kind = "tensor", name = "O"}]} {
  %0 = "tl.tensor"(%arg0) {shape = array<i64: 256, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<256x64xf16, #tl.scope<"global">>
  %1 = "tl.tensor"(%arg1) {shape = array<i64: 256, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<256x64xf16, #tl.scope<"global">>
  %2 = "tl.tensor"(%arg2) {shape = array<i64: 64, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<64x64xf16, #tl.scope<"global">>
  %3 = "tl.tensor"(%arg3) {shape = array<i64: 64, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<64x64xf32, #tl.scope<"global">>
  %c1_i32 = arith.constant 1 : i32
  "tl.launch"(%c1_i32) ({
  ^bb0(%arg4: i32):
    %4 = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %5 = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %6 = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %7 = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    %8 = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    %9 = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"fragment">>
    %10 = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    "tl.copy"(%2, %6) : (memref<64x64xf16, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>) -> ()
    %cst = arith.constant 0.000000e+00 : f32
    "tl.fill"(%10, %cst) : (memref<64x64xf32, #tl.scope<"fragment">>, f32) -> ()
    %c0_i32 = arith.constant 0 : i32
    %c4_i32 = arith.constant 4 : i32
    %c1_i32_0 = arith.constant 1 : i32
    scf.for %arg5 = %c0_i32 to %c4_i32 step %c1_i32_0  : i32 {
      %c64_i32 = arith.constant 64 : i32
      %11 = arith.muli %arg5, %c64_i32 : i32
      %12 = "tl.slice"(%0, %11, %c0_i32) {sizes = array<i64: 64, 64>} : (memref<256x64xf16, #tl.scope<"global">>, i32, i32) -> memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%12, %4) : (memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>) -> ()
      %13 = "tl.slice"(%1, %11, %c0_i32) {sizes = array<i64: 64, 64>} : (memref<256x64xf16, #tl.scope<"global">>, i32, i32) -> memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%13, %5) : (memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>) -> ()
      "tl.gemm"(%6, %4, %7) {clear = true, policy = "square", transpose_a = false, transpose_b = true} : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
      "tl.gemm"(%6, %5, %8) {clear = true, policy = "square", transpose_a = false, transpose_b = true} : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
      "tl.parallel"() ({
      ^bb0(%arg6: i32, %arg7: i32):
        %14 = arith.index_cast %arg6 : i32 to index
        %15 = arith.index_cast %arg7 : i32 to index
        %16 = memref.load %7[%14, %15] : memref<64x64xf32, #tl.scope<"fragment">>
        %17 = math.exp2 %16 : f32
        memref.store %17, %7[%14, %15] : memref<64x64xf32, #tl.scope<"fragment">>
      }) {extents = array<i64: 64, 64>} : () -> ()
      "tl.parallel"() ({
      ^bb0(%arg6: i32, %arg7: i32):
        %14 = arith.index_cast %arg6 : i32 to index
        %15 = arith.index_cast %arg7 : i32 to index
        %16 = memref.load %7[%14, %15] : memref<64x64xf32, #tl.scope<"fragment">>
        %17 = memref.load %8[%14, %15] : memref<64x64xf32, #tl.scope<"fragment">>
        %18 = arith.mulf %16, %17 : f32
        %19 = "tl.cast"(%18) {from = "float32", to = "float16"} : (f32) -> f16
        memref.store %19, %9[%14, %15] : memref<64x64xf16, #tl.scope<"fragment">>
      }) {extents = array<i64: 64, 64>} : () -> ()
      "tl.gemm"(%9, %4, %10) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (memref<64x64xf16, #tl.scope<"fragment">>, memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
    } {tl.pipeline = {num_stages = 2 : i32}}
    "tl.copy"(%10, %3) : (memref<64x64xf32, #tl.scope<"fragment">>, memref<64x64xf32, #tl.scope<"global">>) -> ()
  }) {name = "three_kernel", threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
