// Two chained products whose second sum is rescaled in the loop: the first passes through tensor memory, the second
// stays there, its first operand is stored there, and its wait moves behind the next iteration's first product.
// RUN: tl-opt %s --target=sm_100a --layout-inference --stage-tensor-products --show-pretty | filecheck %s
// RUN: tl-opt %s --target=sm_90a --layout-inference --stage-tensor-products --show-pretty | filecheck %s --check-prefix=HOPPER

// CHECK: [[P:v[0-9]+]] = alloc tmem [128x64xf16]
// CHECK: [[WEIGHED:v[0-9]+]] = alloc barrier
// CHECK-NEXT: [[TURN:v[0-9]+]] = alloc var [1xi32] {init=1}
// CHECK: [[SCORED:v[0-9]+]] = alloc barrier
// CHECK: [[OT:v[0-9]+]] = alloc tmem [128x64xf32]
// CHECK: [[ST:v[0-9]+]] = alloc tmem [128x64xf32]
// CHECK: [[S:v[0-9]+]] = alloc fragment [128x64xf32] {fragment [128, 64] threads (32@0*1, 4@0*32) registers (64@1*1)}
// CHECK: [[O:v[0-9]+]] = alloc fragment [128x64xf32] {fragment [128, 64] threads (32@0*1, 4@0*32)
// CHECK: [[M:v[0-9]+]] = alloc fragment [128xf32]
// CHECK: copy [[O]] -> [[OT]]
// CHECK: for
// CHECK: tl.tcgen05_mma({{.*}}, {{.*}}, [[ST]], false)
// CHECK-NEXT: tl.tcgen05_commit([[SCORED]], 0)
// CHECK-NEXT: [[AT:v[0-9]+]] = [[AT]] ^ 1
// CHECK-NEXT: wait [[WEIGHED]][0] parity [[TURN]] {tl.released}
// CHECK-NEXT: wait [[SCORED]][0] parity [[AT]]
// CHECK-NEXT: copy [[ST]] -> [[S]]
// CHECK: [[PIECE:v[0-9]+]] = alloc fragment [128x32xf32]
// CHECK-NEXT: copy [[OT]][0, 0 : 128x32] -> [[PIECE]]
// CHECK-NEXT: parallel
// CHECK-NEXT: [[PIECE]][{{.*}}] = [[PIECE]][{{.*}}]*[[M]][{{.*}}]
// CHECK-NEXT: copy [[PIECE]] -> [[OT]][0, 0 : 128x32]
// CHECK: copy {{.*}} -> [[OT]][0, 32 : 128x32]
// CHECK: copy {{.*}} -> [[P]]
// CHECK-NEXT: tl.tcgen05_mma([[P]], {{.*}}, [[OT]], true)
// CHECK-NEXT: tl.tcgen05_commit([[WEIGHED]], 0)
// CHECK-NEXT: [[TURN]] = [[TURN]] ^ 1
// CHECK-NEXT: wait [[WEIGHED]][0] parity [[TURN]]
// CHECK-NEXT: copy [[OT]] -> [[O]]

// HOPPER-NOT: tmem
// HOPPER-COUNT-2: {instr=wgmma

!q = memref<128x64xf16, #tl.scope<"shared">>
!t = memref<64x64xf16, #tl.scope<"shared">>
!g = memref<256x64xf16, #tl.scope<"global">>
!gt = memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>
!go = memref<128x64xf32, #tl.scope<"global">>
!f = memref<128x64xf32, #tl.scope<"fragment">>
!h = memref<128x64xf16, #tl.scope<"fragment">>
!r = memref<128xf32, #tl.scope<"fragment">>
func.func @chained(%arg0: !llvm.ptr<1>, %arg1: !llvm.ptr<1>, %arg2: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "K"}, {dtype = "float16", kind = "tensor", name = "V"}, {dtype = "float32", kind = "tensor", name = "O"}]} {
  %K = "tl.tensor"(%arg0) {shape = array<i64: 256, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !g
  %V = "tl.tensor"(%arg1) {shape = array<i64: 256, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !g
  %O = "tl.tensor"(%arg2) {shape = array<i64: 128, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !go
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
        %z = memref.load %m[%a0] : !r
        %y = arith.mulf %w, %z : f32
        memref.store %y, %o[%a0, %b0] : !f
      }) {extents = array<i64: 128, 64>} : () -> ()
      %1 = "tl.slice"(%V, %row, %c0) {sizes = array<i64: 64, 64>} : (!g, i32, i32) -> !gt
      "tl.copy"(%1, %v) : (!gt, !t) -> ()
      "tl.gemm"(%p, %v, %o) {transpose_a = false, transpose_b = false, clear = false, policy = "square"} : (!h, !t, !f) -> ()
    } {tl.pipeline = {num_stages = 2 : i32}}
    "tl.copy"(%o, %O) : (!f, !go) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
