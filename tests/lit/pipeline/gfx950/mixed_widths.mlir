// Block scales with an operand of 4 bits: its lanes read the 32 elements of a factor at once, those of 8 bits two runs of
// 16. The instruction gets B's columns as its rows, so the format of 4 bits comes first.
// RUN: tl-opt %s --stage=lowered --target=gfx950 | filecheck %s
// RUN: tl-opt %s --stage=lowered --target=sm_120a | filecheck %s --check-prefix=WARP

// CHECK: rocdl.workitem.id.x
// CHECK-DAG: %[[B:.*]] = vector.bitcast %{{.*}} : vector<16xi8> to vector<4xi32>
// CHECK-DAG: %[[A:.*]] = vector.bitcast %{{.*}} : vector<32xi8> to vector<8xi32>
// CHECK: rocdl.mfma.scale.f32.32x32x64.f8f6f4
// CHECK-SAME: fp4_e2m1, fp8_e4m3
// CHECK-SAME: (vector<4xi32>, vector<8xi32>, vector<16xf32>, i32, i32) -> vector<16xf32>
// WARP: arith.andi %{{.*}}, %c16711935_i32
// WARP: arith.andi %{{.*}}, %c252645135_i32
// WARP: arith.shli %{{.*}}, %c2_i32
// WARP: mma.sync.aligned.m16n8k32.row.col.kind::mxf8f6f4.block_scale.scale_vec::1X.f32.e4m3.e2m1.f32.ue8m0
module {
  func.func @scaled(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %u: !llvm.ptr<1>, %v: !llvm.ptr<1>, %c: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float8_e4m3fn", kind = "tensor", name = "A"}, {dtype = "float4_e2m1fn", kind = "tensor", name = "B"}, {dtype = "uint32", kind = "tensor", name = "U"}, {dtype = "uint32", kind = "tensor", name = "V"}, {dtype = "float32", kind = "tensor", name = "C"}]} {
    %A = "tl.tensor"(%a) {shape = array<i64: 32, 128>, strides = array<i64: 128, 1>} : (!llvm.ptr<1>) -> memref<32x128xf8E4M3FN, #tl.scope<"global">>
    %B = "tl.tensor"(%b) {shape = array<i64: 32, 128>, strides = array<i64: 128, 1>} : (!llvm.ptr<1>) -> memref<32x128xf4E2M1FN, #tl.scope<"global">>
    %U = "tl.tensor"(%u) {shape = array<i64: 32, 1>, strides = array<i64: 1, 1>} : (!llvm.ptr<1>) -> memref<32x1xi32, #tl.scope<"global">>
    %V = "tl.tensor"(%v) {shape = array<i64: 32, 1>, strides = array<i64: 1, 1>} : (!llvm.ptr<1>) -> memref<32x1xi32, #tl.scope<"global">>
    %C = "tl.tensor"(%c) {shape = array<i64: 32, 32>, strides = array<i64: 32, 1>} : (!llvm.ptr<1>) -> memref<32x32xf32, #tl.scope<"global">>
    %c1 = arith.constant 1 : i32
    "tl.launch"(%c1) ({
    ^bb0(%x: i32):
      %sa = "tl.alloc"() : () -> memref<32x128xf8E4M3FN, #tl.scope<"shared">>
      %sb = "tl.alloc"() : () -> memref<32x128xf4E2M1FN, #tl.scope<"shared">>
      %su = "tl.alloc"() : () -> memref<32x1xi32, #tl.scope<"shared">>
      %sv = "tl.alloc"() : () -> memref<32x1xi32, #tl.scope<"shared">>
      %f = "tl.alloc"() : () -> memref<32x32xf32, #tl.scope<"fragment">>
      "tl.copy"(%A, %sa) : (memref<32x128xf8E4M3FN, #tl.scope<"global">>, memref<32x128xf8E4M3FN, #tl.scope<"shared">>) -> ()
      "tl.copy"(%B, %sb) : (memref<32x128xf4E2M1FN, #tl.scope<"global">>, memref<32x128xf4E2M1FN, #tl.scope<"shared">>) -> ()
      "tl.copy"(%U, %su) : (memref<32x1xi32, #tl.scope<"global">>, memref<32x1xi32, #tl.scope<"shared">>) -> ()
      "tl.copy"(%V, %sv) : (memref<32x1xi32, #tl.scope<"global">>, memref<32x1xi32, #tl.scope<"shared">>) -> ()
      "tl.mma_scaled"(%sa, %sb, %f, %su, %sv) {clear = true, policy = "square", scale_blocks = array<i64: 32, 32>, scale_bytes = array<i64: 0, 0>, transpose_a = false, transpose_b = true} : (memref<32x128xf8E4M3FN, #tl.scope<"shared">>, memref<32x128xf4E2M1FN, #tl.scope<"shared">>, memref<32x32xf32, #tl.scope<"fragment">>, memref<32x1xi32, #tl.scope<"shared">>, memref<32x1xi32, #tl.scope<"shared">>) -> ()
      "tl.copy"(%f, %C) : (memref<32x32xf32, #tl.scope<"fragment">>, memref<32x32xf32, #tl.scope<"global">>) -> ()
    }) {name = "scaled_kernel", threads = array<i32: 64, 1, 1>} : (i32) -> ()
    return
  }
}
