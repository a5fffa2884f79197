
// One product per target: the instruction, and how its operands are read.
// RUN: tl-opt %s --stage=lowered --target=gfx942 | filecheck %s
// RUN: tl-opt %s --stage=lowered --target=gfx950 | filecheck %s --check-prefix=CDNA4
// RUN: tl-opt %s --stage=lowered --target=gfx1100 | filecheck %s --check-prefix=RDNA3
// RUN: tl-opt %s --stage=lowered --target=gfx1201 | filecheck %s --check-prefix=RDNA4

// CHECK: llvm.func @product_kernel
// CHECK-SAME: rocdl.reqd_work_group_size = array<i32: 64, 1, 1>
// CHECK-SAME: tl.warp_size = 64 : i32
// CHECK: rocdl.workitem.id.x range <i32, 0, 64> : i32
// CHECK: amdgpu.lds_barrier
// CHECK: rocdl.sched.barrier none
// CHECK-COUNT-4: rocdl.mfma.f32.32x32x8f16
// CHECK-NOT: tl.gemm
// CDNA4: rocdl.ds.read.tr16.b64
// CDNA4-COUNT-2: rocdl.mfma.f32.32x32x16.f16
// RDNA3: tl.warp_size = 32 : i32
// B is read behind the products before, or in front of them where lanes do not hold operands twice.
// RDNA3-NOT: rocdl.sched.barrier
// RDNA3: rocdl.wmma.f32.16x16x16.f16 %{{.*}} : (vector<16xf16>, vector<16xf16>, vector<8xf32>) -> vector<8xf32>
// RDNA3: rocdl.sched.barrier none
// RDNA3: rocdl.wmma
// RDNA3-NOT: rocdl.sched.barrier
// RDNA4: rocdl.sched.barrier none
// RDNA4: rocdl.wmma.f32.16x16x16.f16 %{{.*}} : (vector<8xf16>, vector<8xf16>, vector<8xf32>) -> vector<8xf32>
module {
  func.func @product(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %c: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "float16", kind = "tensor", name = "B"}, {dtype = "float32", kind = "tensor", name = "C"}]} {
    %A = "tl.tensor"(%a) {shape = array<i64: 32, 32>, strides = array<i64: 32, 1>} : (!llvm.ptr<1>) -> memref<32x32xf16, #tl.scope<"global">>
    %B = "tl.tensor"(%b) {shape = array<i64: 32, 32>, strides = array<i64: 32, 1>} : (!llvm.ptr<1>) -> memref<32x32xf16, #tl.scope<"global">>
    %C = "tl.tensor"(%c) {shape = array<i64: 32, 32>, strides = array<i64: 32, 1>} : (!llvm.ptr<1>) -> memref<32x32xf32, #tl.scope<"global">>
    %c1 = arith.constant 1 : i32
    "tl.launch"(%c1) ({
    ^bb0(%x: i32):
      %sa = "tl.alloc"() : () -> memref<32x32xf16, #tl.scope<"shared">>
      %sb = "tl.alloc"() : () -> memref<32x32xf16, #tl.scope<"shared">>
      %f = "tl.alloc"() : () -> memref<32x32xf32, #tl.scope<"fragment">>
      "tl.copy"(%A, %sa) : (memref<32x32xf16, #tl.scope<"global">>, memref<32x32xf16, #tl.scope<"shared">>) -> ()
      "tl.copy"(%B, %sb) : (memref<32x32xf16, #tl.scope<"global">>, memref<32x32xf16, #tl.scope<"shared">>) -> ()
      "tl.gemm"(%sa, %sb, %f) {clear = true, policy = "square", transpose_a = false, transpose_b = false} : (memref<32x32xf16, #tl.scope<"shared">>, memref<32x32xf16, #tl.scope<"shared">>, memref<32x32xf32, #tl.scope<"fragment">>) -> ()
      "tl.copy"(%f, %C) : (memref<32x32xf32, #tl.scope<"fragment">>, memref<32x32xf32, #tl.scope<"global">>) -> ()
    }) {name = "product_kernel", threads = array<i32: 64, 1, 1>} : (i32) -> ()
    return
  }
}
