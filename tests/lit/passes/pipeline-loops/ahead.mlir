// The first of two chained products is started an iteration ahead, in two versions of its sum: its tiles are loaded as far
// ahead, at a barrier of their own, and the wait for the second one comes where its sum or its operand changes.
// RUN: tl-opt %s --target=sm_100a --layout-inference --stage-tensor-products --pipeline-loops --canonicalize --cse --show-pretty | filecheck %s

// CHECK: [[KEYS:v[0-9]+]] = alloc barrier [1, 1]
// CHECK-NEXT: [[VALUES:v[0-9]+]] = alloc barrier [1, 1]
// CHECK: [[WEIGHED:v[0-9]+]] = alloc barrier [1]
// CHECK: [[SCORED:v[0-9]+]] = alloc barrier [1, 1]
// CHECK: [[OT:v[0-9]+]] = alloc tmem [128x64xf32]
// CHECK: [[ST:v[0-9]+]] = alloc tmem [2x128x64xf32]
// CHECK-NOT: tl.passing
// CHECK: [[K:v[0-9]+]] = alloc shared [2x64x64xf16]
// CHECK: [[V:v[0-9]+]] = alloc shared [2x64x64xf16]
// CHECK: load {{.*}} -> [[K]][0, 0, 0 : 1x64x64] arriving at [[KEYS]][0]
// CHECK: load {{.*}} -> [[K]][1, 0, 0 : 1x64x64] arriving at [[KEYS]][1]
// CHECK: load {{.*}} -> [[V]][0, 0, 0 : 1x64x64] arriving at [[VALUES]][0]
// CHECK: wait [[KEYS]][0] parity 0
// CHECK-NEXT: tl.tcgen05_mma({{.*}}, [[K]][0, 0, 0 : 1x64x64], [[ST]][0, 0, 0 : 1x128x64], false)
// CHECK-NEXT: tl.tcgen05_commit([[SCORED]], 0)
// CHECK: for [[I:v[0-9]+]] in 0..4
// CHECK: if [[I]] + 1 < 4
// CHECK-NEXT: wait [[KEYS]][([[I]] + 1) % 2] parity ([[I]] + 1) // 2 & 1
// CHECK-NEXT: tl.tcgen05_mma({{.*}}, [[K]][([[I]] + 1) % 2, {{.*}}, [[ST]][([[I]] + 1) % 2,
// CHECK-NEXT: tl.tcgen05_commit([[SCORED]], ([[I]] + 1) % 2)
// CHECK: wait [[SCORED]]{{\[}}[[I]] % 2] parity [[I]] // 2 & 1
// CHECK-NEXT: if [[I]] + 2 < 4
// CHECK-NEXT: load {{.*}} -> [[K]]
// CHECK: copy [[ST]][[[I]] % 2, 0, 0 : 1x128x64] ->
// CHECK: wait [[VALUES]]{{\[}}[[I]] % 2]
// CHECK: wait [[WEIGHED]][0] {{.*}}tl.released
// CHECK-NEXT: if [[I]] + 1 < 4
// CHECK-NEXT: load {{.*}} -> [[V]]
// CHECK-NEXT: copy [[OT]]
// CHECK: tl.tcgen05_mma({{.*}}, [[V]][[[I]] % 2, {{.*}}, [[OT]], true)

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
