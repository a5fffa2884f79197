// Elements of 4 bits beside ones of 8: bulk copies bring them to a tile with gaps, which threads have filled before.
// RUN: tl-opt %s --target=sm_100a --use-tensor-memory --layout-inference --specialize-tensor-warps | filecheck %s

// The barrier is told of the bytes without gaps: 128 x 128 and 128 x 64.
// CHECK: memref<2x128x128xi8, #tl.scope<"shared">>
// CHECK: "tl.tensor_roles"() ({
// CHECK: "tl.mbarrier_arrive"({{.*}}) {expect = 24576 : i32}
// CHECK-COUNT-1: "tl.tma_load"({{.*}}) {gaps = "e2m1"} : (memref<128x64xi8,
// CHECK-COUNT-1: "tl.tma_load"
// CHECK: "tl.tcgen05_mma"({{.*}}b_padded = "e2m1"
// CHECK-NOT: "tl.parallel"

!ga = memref<256x512xf8E4M3FN, #tl.scope<"global">>
!gb = memref<256x256xi8, #tl.scope<"global">>
!ta = memref<128x128xf8E4M3FN, strided<[512, 1], offset: ?>, #tl.scope<"global">>
!tb = memref<128x64xi8, strided<[256, 1], offset: ?>, #tl.scope<"global">>
!tc = memref<128x128xf32, strided<[256, 1], offset: ?>, #tl.scope<"global">>
!gc = memref<256x256xf32, #tl.scope<"global">>
!s = memref<128x128xf8E4M3FN, #tl.scope<"shared">>
!p = memref<128x64xi8, #tl.scope<"shared">>
!f = memref<128x128xf32, #tl.scope<"fragment">>
func.func @mixed(%arg0: !llvm.ptr<1>, %arg1: !llvm.ptr<1>, %arg2: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float8_e4m3fn", kind = "tensor", name = "A"}, {dtype = "float4_e2m1fn", kind = "tensor", name = "B"}, {dtype = "float32", kind = "tensor", name = "C"}]} {
  %A = "tl.tensor"(%arg0) {shape = array<i64: 256, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !ga
  %B = "tl.tensor"(%arg1) {shape = array<i64: 256, 256>, strides = array<i64: 256, 1>} : (!llvm.ptr<1>) -> !gb
  %C = "tl.tensor"(%arg2) {shape = array<i64: 256, 256>, strides = array<i64: 256, 1>} : (!llvm.ptr<1>) -> !gc
  %c2 = arith.constant 2 : i32
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c4 = arith.constant 4 : i32
  %c64 = arith.constant 64 : i32
  %c128 = arith.constant 128 : i32
  %zero = arith.constant 0.0 : f32
  "tl.launch"(%c2, %c2) ({
  ^bb0(%x: i32, %y: i32):
    %a = "tl.alloc"() : () -> !s
    %b = "tl.alloc"() : () -> !p
    %c = "tl.alloc"() : () -> !f
    "tl.fill"(%c, %zero) : (!f, f32) -> ()
    %row = arith.muli %y, %c128 : i32
    %column = arith.muli %x, %c128 : i32
    scf.for %k = %c0 to %c4 step %c1 : i32 {
      %at = arith.muli %k, %c128 : i32
      %half = arith.muli %k, %c64 : i32
      %0 = "tl.slice"(%A, %row, %at) {sizes = array<i64: 128, 128>} : (!ga, i32, i32) -> !ta
      "tl.copy"(%0, %a) : (!ta, !s) -> ()
      %1 = "tl.slice"(%B, %column, %half) {sizes = array<i64: 128, 64>} : (!gb, i32, i32) -> !tb
      "tl.copy"(%1, %b) : (!tb, !p) -> ()
      "tl.gemm"(%a, %b, %c) {transpose_a = false, transpose_b = true, clear = false, policy = "square", b_packed = "e2m1"} : (!s, !p, !f) -> ()
    } {tl.pipeline = {num_stages = 2 : i32}}
    %2 = "tl.slice"(%C, %row, %column) {sizes = array<i64: 128, 128>} : (!gc, i32, i32) -> !tc
    "tl.copy"(%c, %2) : (!f, !tc) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32, i32) -> ()
  return
}
