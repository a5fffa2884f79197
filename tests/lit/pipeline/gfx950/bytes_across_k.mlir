// Bytes that lie across K: 8 of a column by one transposing read, 16 per lane and product (both operands are one tile).
// RUN: tl-opt %s --stage=lowered --target=gfx950 | filecheck %s
// RUN: tl-opt %s --stage=lowered --target=gfx942 | filecheck %s --check-prefix=CDNA3

// CHECK: amdgpu.lds_barrier
// CHECK-COUNT-2: rocdl.ds.read.tr8.b64 %{{.*}} : <3> -> vector<2xi32>
// CHECK: rocdl.mfma.i32.32x32x32.i8
// CHECK-NOT: rocdl.mfma
// CDNA3-NOT: rocdl.ds.read.tr
module {
  func.func @product(%a: !llvm.ptr<1>) attributes {tl.params = [{dtype = "int8", kind = "tensor", name = "A"}]} {
    %A = "tl.tensor"(%a) {shape = array<i64: 32, 32>, strides = array<i64: 32, 1>} : (!llvm.ptr<1>) -> memref<32x32xi8, #tl.scope<"global">>
    %c1 = arith.constant 1 : i32
    "tl.launch"(%c1) ({
    ^bb0(%x: i32):
      %s = "tl.alloc"() : () -> memref<32x32xi8, #tl.scope<"shared">>
      %f = "tl.alloc"() : () -> memref<32x32xi32, #tl.scope<"fragment">>
      "tl.copy"(%A, %s) : (memref<32x32xi8, #tl.scope<"global">>, memref<32x32xi8, #tl.scope<"shared">>) -> ()
      "tl.gemm"(%s, %s, %f) {clear = true, policy = "square", transpose_a = true, transpose_b = false} : (memref<32x32xi8, #tl.scope<"shared">>, memref<32x32xi8, #tl.scope<"shared">>, memref<32x32xi32, #tl.scope<"fragment">>) -> ()
    }) {name = "product_kernel", threads = array<i32: 64, 1, 1>} : (i32) -> ()
    return
  }
}
