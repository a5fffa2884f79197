// Products of 96 rows are none of tcgen05: the whole kernel stays with mma.sync.
// RUN: tl-opt %s --target=sm_100a --layout-inference --stage-tensor-products --show-pretty | filecheck %s

// CHECK-NOT: tmem
// CHECK: += {{.*}} @
// CHECK-NOT: instr
// CHECK-NOT: tcgen05

!q = memref<96x64xf16, #tl.scope<"shared">>
!t = memref<64x64xf16, #tl.scope<"shared">>
!g = memref<256x64xf16, #tl.scope<"global">>
!gt = memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>
!go = memref<96x64xf32, #tl.scope<"global">>
!f = memref<96x64xf32, #tl.scope<"fragment">>
!h = memref<96x64xf16, #tl.scope<"fragment">>
!r = memref<96xf32, #tl.scope<"fragment">>
func.func @chained(%arg0: !llvm.ptr<1>, %arg1: !llvm.ptr<1>, %arg2: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "K"}, {dtype = "float16", kind = "tensor", name = "V"}, {dtype = "float32", kind = "tensor", name = "O"}]} {
  %K = "tl.tensor"(%arg0) {shape = array<i64: 256, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !g
  %V = "tl.tensor"(%arg1) {shape = array<i64: 256, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !g
  %O = "tl.tensor"(%arg2) {shape = array<i64: 96, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !go
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
      }) {extents = array<i64: 96, 64>} : () -> ()
      %1 = "tl.slice"(%V, %row, %c0) {sizes = array<i64: 64, 64>} : (!g, i32, i32) -> !gt
      "tl.copy"(%1, %v) : (!gt, !t) -> ()
      "tl.gemm"(%p, %v, %o) {transpose_a = false, transpose_b = false, clear = false, policy = "square"} : (!h, !t, !f) -> ()
    } {tl.pipeline = {num_stages = 2 : i32}}
    "tl.copy"(%o, %O) : (!f, !go) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
