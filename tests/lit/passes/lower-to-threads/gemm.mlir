// RUN: tl-opt %s --stage=lowered --target=sm_80 | filecheck %s

!a = memref<16x16xf16, #tl.scope<"shared">>
!b = memref<16x8xf16, #tl.scope<"shared">>
!c = memref<16x8xf32, #tl.scope<"fragment">>
!g = memref<16x8xf32, #tl.scope<"global">>

// One instruction: A by ldmatrix through its 32-byte swizzle, B transposed on the way, a clear sum of zeros.
// CHECK-LABEL: llvm.func @mma_kernel
// CHECK: nvvm.ldmatrix {{.*}} layout = #nvvm.mma_layout<col>, num = 2
// CHECK: %[[BIT:.*]] = arith.andi %{{.*}}, %c8_i32
// CHECK: arith.xori %{{.*}}, %[[BIT]]
// CHECK: nvvm.ldmatrix {{.*}} layout = #nvvm.mma_layout<row>, num = 4
// CHECK: nvvm.mma.sync A[{{.*}}] B[{{.*}}] C[%[[Z:.*]], %[[Z]], %[[Z]], %[[Z]]] {{.*}}shape = #nvvm.shape<m = 16, n = 8, k = 16>
// CHECK-NOT: nvvm.mma.sync
// CHECK-COUNT-2: llvm.store %{{.*}} {alignment = 8 : i64} : vector<2xf32>, !llvm.ptr<1>
func.func @mma(%p: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float32", kind = "tensor", name = "C"}]} {
  %one = arith.constant 1 : i32
  %C = "tl.tensor"(%p) {shape = array<i64: 16, 8>, strides = array<i64: 8, 1>} : (!llvm.ptr<1>) -> !g
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> !a
    %b = "tl.alloc"() : () -> !b
    %c = "tl.alloc"() : () -> !c
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = false} : (!a, !b, !c) -> ()
    "tl.copy"(%c, %C) : (!c, !g) -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
