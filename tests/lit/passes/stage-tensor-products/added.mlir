// A sum that the loop changes otherwise than row by row stays in registers: products start from zero, and what they give
// is added, some columns at a time. 64 rows: the first operand goes through shared memory.
// RUN: tl-opt %s --target=sm_100a --layout-inference --stage-tensor-products --show-pretty | filecheck %s

// CHECK: [[P:v[0-9]+]] = alloc shared [64x64xf16] {{.*}} swizzle
// CHECK: [[OT:v[0-9]+]] = alloc tmem [64x64xf32]
// CHECK: alloc fragment [64x64xf32]
// CHECK: [[O:v[0-9]+]] = alloc fragment [64x64xf32] {fragment [64, 64] threads (4@1*2, 8@0*1, 4@0*16) registers (2@1*1, 2@0*8, 8@1*8)}
// CHECK: for
// CHECK: tl.tcgen05_mma
// CHECK: wait
// CHECK: copy {{.*}} -> [[P]]
// CHECK-NEXT: tl.tcgen05_mma([[P]], {{.*}}, [[OT]], false)
// CHECK: wait
// CHECK-NEXT: [[PIECE:v[0-9]+]] = alloc fragment [64x32xf32]
// CHECK-NEXT: copy [[OT]][0, 0 : 64x32] -> [[PIECE]]
// CHECK-NEXT: parallel
// CHECK-NEXT: [[O]][{{.*}}] = [[O]][{{.*}}] + [[PIECE]][{{.*}}]
// CHECK: copy [[OT]][0, 32 : 64x32] -> [[PIECE:v[0-9]+]]
// CHECK-NEXT: parallel
// CHECK-NEXT: [[O]][{{.*}} + 32] = [[O]][{{.*}} + 32] + [[PIECE]][{{.*}}]
// CHECK-NEXT: copy [[O]] ->

!q = memref<64x64xf16, #tl.scope<"shared">>
!t = memref<64x64xf16, #tl.scope<"shared">>
!g = memref<256x64xf16, #tl.scope<"global">>
!gt = memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>
!go = memref<64x64xf32, #tl.scope<"global">>
!f = memref<64x64xf32, #tl.scope<"fragment">>
!h = memref<64x64xf16, #tl.scope<"fragment">>
!r = memref<64xf32, #tl.scope<"fragment">>
func.func @chained(%arg0: !llvm.ptr<1>, %arg1: !llvm.ptr<1>, %arg2: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "K"}, {dtype = "float16", kind = "tensor", name = "V"}, {dtype = "float32", kind = "tensor", name = "O"}]} {
  %K = "tl.tensor"(%arg0) {shape = array<i64: 256, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !g
  %V = "tl.tensor"(%arg1) {shape = array<i64: 256, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !g
  %O = "tl.tensor"(%arg2) {shape = array<i64: 64, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !go
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c4 = arith.constant 4 : i32
  %c64 = arith.constant 64 : i32
  %half = arith.constant 0.5 : f32
  %zero = arith.constant 0.0 : f16
  %none = arith.constant 0.0 : f32
  "tl.launch"(%c1) ({
  ^bb0(%x: i32):
    %q = "tl.alloc"() : () -> !q
    %k = "tl.alloc"() : () -> !t
    %v = "tl.alloc"() : () -> !t
    %s = "tl.alloc"() : () -> !f
    %p = "tl.alloc"() : () -> !h
    %o = "tl.alloc"() : () -> !f
    %m = "tl.alloc"() : () -> !r
    "tl.fill"(%q, %zero) : (!q, f16) -> ()
    "tl.fill"(%o, %none) : (!f, f32) -> ()
    "tl.fill"(%m, %half) : (!r, f32) -> ()
    scf.for %i = %c0 to %c4 step %c1 : i32 {
      %row = arith.muli %i, %c64 : i32
      %0 = "tl.slice"(%K, %row, %c0) {sizes = array<i64: 64, 64>} : (!g, i32, i32) -> !gt
      "tl.copy"(%0, %k) : (!gt, !t) -> ()
      "tl.gemm"(%q, %k, %s) {transpose_a = false, transpose_b = true, clear = true, policy = "square"} : (!q, !t, !f) -> ()
      "tl.copy"(%s, %p) : (!f, !h) -> ()
      "tl.parallel"() ({
      ^bb0(%a: i32, %b: i32):
        %a0 = arith.index_cast %a : i32 to index
        %b0 = arith.index_cast %b : i32 to index
        %w = memref.load %o[%a0, %b0] : !f
        %u = memref.load %s[%a0, %b0] : !f
        %y = arith.subf %w, %u : f32
        memref.store %y, %o[%a0, %b0] : !f
      }) {extents = array<i64: 64, 64>} : () -> ()
      %1 = "tl.slice"(%V, %row, %c0) {sizes = array<i64: 64, 64>} : (!g, i32, i32) -> !gt
      "tl.copy"(%1, %v) : (!gt, !t) -> ()
      "tl.gemm"(%p, %v, %o) {transpose_a = false, transpose_b = false, clear = false, policy = "square"} : (!h, !t, !f) -> ()
    } {tl.pipeline = {num_stages = 2 : i32}}
    "tl.copy"(%o, %O) : (!f, !go) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
