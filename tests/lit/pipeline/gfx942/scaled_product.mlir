// A product with block scales: two steps of 64 elements share a word of factors; the lane's block picks the byte.
// RUN: tl-opt %s --stage=lowered --target=gfx950 | filecheck %s
// RUN: tl-opt %s --stage=lowered --target=sm_120a | filecheck %s --check-prefix=WARP
// RUN: not tl-opt %s --stage=lowered --target=gfx942 2>&1 | filecheck %s --check-prefix=LACKS

// CHECK: rocdl.workitem.id.x
// CHECK-COUNT-2: arith.shrui
// CHECK: rocdl.sched.barrier none
// CHECK: rocdl.mfma.scale.f32.32x32x64.f8f6f4
// CHECK-SAME: fp8_e4m3, fp8_e4m3, 0, %{{.*}}, 0, %
// CHECK: rocdl.mfma.scale.f32.32x32x64.f8f6f4
// CHECK-SAME: fp8_e4m3, fp8_e4m3, 2, %{{.*}}, 2, %
// WARP: mma.sync.aligned.m16n8k32.row.col.kind::mxf8f6f4.block_scale
// LACKS: a block-scaled product needs mma.sync with block scales, mfma f8f6f4 with scales or tcgen05 and tensor memory, which hip:gfx942 lacks
// LACKS: hint: targets that have one: gfx950, sm_100a, sm_103a, sm_120a
module {
  func.func @scaled(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %u: !llvm.ptr<1>, %v: !llvm.ptr<1>, %c: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float8_e4m3fn", kind = "tensor", name = "A"}, {dtype = "float8_e4m3fn", kind = "tensor", name = "B"}, {dtype = "uint32", kind = "tensor", name = "U"}, {dtype = "uint32", kind = "tensor", name = "V"}, {dtype = "float32", kind = "tensor", name = "C"}]} {
    %A = "tl.tensor"(%a) {shape = array<i64: 32, 128>, strides = array<i64: 128, 1>} : (!llvm.ptr<1>) -> memref<32x128xf8E4M3FN, #tl.scope<"global">>
    %B = "tl.tensor"(%b) {shape = array<i64: 32, 128>, strides = array<i64: 128, 1>} : (!llvm.ptr<1>) -> memref<32x128xf8E4M3FN, #tl.scope<"global">>
    %U = "tl.tensor"(%u) {shape = array<i64: 32, 1>, strides = array<i64: 1, 1>} : (!llvm.ptr<1>) -> memref<32x1xi32, #tl.scope<"global">>
    %V = "tl.tensor"(%v) {shape = array<i64: 32, 1>, strides = array<i64: 1, 1>} : (!llvm.ptr<1>) -> memref<32x1xi32, #tl.scope<"global">>
    %C = "tl.tensor"(%c) {shape = array<i64: 32, 32>, strides = array<i64: 32, 1>} : (!llvm.ptr<1>) -> memref<32x32xf32, #tl.scope<"global">>
    %c1 = arith.constant 1 : i32
    "tl.launch"(%c1) ({
    ^bb0(%x: i32):
      %sa = "tl.alloc"() : () -> memref<32x128xf8E4M3FN, #tl.scope<"shared">>
      %sb = "tl.alloc"() : () -> memref<32x128xf8E4M3FN, #tl.scope<"shared">>
      %su = "tl.alloc"() : () -> memref<32x1xi32, #tl.scope<"shared">>
      %sv = "tl.alloc"() : () -> memref<32x1xi32, #tl.scope<"shared">>
      %f = "tl.alloc"() : () -> memref<32x32xf32, #tl.scope<"fragment">>
      "tl.copy"(%A, %sa) : (memref<32x128xf8E4M3FN, #tl.scope<"global">>, memref<32x128xf8E4M3FN, #tl.scope<"shared">>) -> ()
      "tl.copy"(%B, %sb) : (memref<32x128xf8E4M3FN, #tl.scope<"global">>, memref<32x128xf8E4M3FN, #tl.scope<"shared">>) -> ()
      "tl.copy"(%U, %su) : (memref<32x1xi32, #tl.scope<"global">>, memref<32x1xi32, #tl.scope<"shared">>) -> ()
      "tl.copy"(%V, %sv) : (memref<32x1xi32, #tl.scope<"global">>, memref<32x1xi32, #tl.scope<"shared">>) -> ()
      "tl.mma_scaled"(%sa, %sb, %f, %su, %sv) {clear = true, policy = "square", scale_blocks = array<i64: 32, 32>, scale_bytes = array<i64: 0, 0>, transpose_a = false, transpose_b = true} : (memref<32x128xf8E4M3FN, #tl.scope<"shared">>, memref<32x128xf8E4M3FN, #tl.scope<"shared">>, memref<32x32xf32, #tl.scope<"fragment">>, memref<32x1xi32, #tl.scope<"shared">>, memref<32x1xi32, #tl.scope<"shared">>) -> ()
      "tl.copy"(%f, %C) : (memref<32x32xf32, #tl.scope<"fragment">>, memref<32x32xf32, #tl.scope<"global">>) -> ()
    }) {name = "scaled_kernel", threads = array<i32: 64, 1, 1>} : (i32) -> ()
    return
  }
}
