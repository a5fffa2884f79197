// Four rows by 64 columns: one product of 16 blocks of 4 x 4 per 4 along K. All blocks take the rows of block ABID.
// RUN: tl-opt %s --stage=laid_out --target=gfx942 | filecheck %s --check-prefix=LAID
// RUN: tl-opt %s --stage=lowered --target=gfx90a | filecheck %s
// RUN: tl-opt %s --stage=lowered --target=gfx942 | filecheck %s
// RUN: tl-opt %s --stage=lowered --target=gfx950 | filecheck %s

// A lane has a column of C and its four rows.
// LAID: #tl.fragment<array<i64: 4, 64>, array<i64: 64, 1, 1>, array<i64: 4, 0, 1>>
// CHECK: llvm.func @product_kernel
// CHECK: amdgpu.lds_barrier
// CHECK-COUNT-3: llvm.load {{.*}} !llvm.ptr<3> -> vector<8xf16>
// CHECK-NOT: vector<8xf16>, !llvm.ptr<3>
// CHECK: rocdl.mfma.f32.4x4x4f16 %{{.*}}, %{{.*}}, %{{.*}}, 4, 0, none : (vector<4xf16>, vector<4xf16>, vector<4xf32>) -> vector<4xf32>
// CHECK: rocdl.mfma.f32.4x4x4f16 %{{.*}}, 4, 0, none
// CHECK: rocdl.mfma.f32.4x4x4f16 %{{.*}}, 4, 1, none
// CHECK: rocdl.mfma.f32.4x4x4f16 %{{.*}}, 4, 1, none
// CHECK-NOT: rocdl.mfma
module {
  func.func @product(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %c: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "float16", kind = "tensor", name = "B"}, {dtype = "float32", kind = "tensor", name = "C"}]} {
    %A = "tl.tensor"(%a) {shape = array<i64: 4, 16>, strides = array<i64: 16, 1>} : (!llvm.ptr<1>) -> memref<4x16xf16, #tl.scope<"global">>
    %B = "tl.tensor"(%b) {shape = array<i64: 64, 16>, strides = array<i64: 16, 1>} : (!llvm.ptr<1>) -> memref<64x16xf16, #tl.scope<"global">>
    %C = "tl.tensor"(%c) {shape = array<i64: 4, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<4x64xf32, #tl.scope<"global">>
    %c1 = arith.constant 1 : i32
    "tl.launch"(%c1) ({
    ^bb0(%x: i32):
      %sa = "tl.alloc"() : () -> memref<4x16xf16, #tl.scope<"shared">>
      %sb = "tl.alloc"() : () -> memref<64x16xf16, #tl.scope<"shared">>
      %f = "tl.alloc"() : () -> memref<4x64xf32, #tl.scope<"fragment">>
      "tl.copy"(%A, %sa) : (memref<4x16xf16, #tl.scope<"global">>, memref<4x16xf16, #tl.scope<"shared">>) -> ()
      "tl.copy"(%B, %sb) : (memref<64x16xf16, #tl.scope<"global">>, memref<64x16xf16, #tl.scope<"shared">>) -> ()
      "tl.gemm"(%sa, %sb, %f) {clear = true, policy = "square", transpose_a = false, transpose_b = true} : (memref<4x16xf16, #tl.scope<"shared">>, memref<64x16xf16, #tl.scope<"shared">>, memref<4x64xf32, #tl.scope<"fragment">>) -> ()
      "tl.copy"(%f, %C) : (memref<4x64xf32, #tl.scope<"fragment">>, memref<4x64xf32, #tl.scope<"global">>) -> ()
    }) {name = "product_kernel", threads = array<i32: 64, 1, 1>} : (i32) -> ()
    return
  }
}
