// RUN: tl-opt %s --stage=lowered --target=sm_90a | filecheck %s
// RUN: tl-opt %s --layout-inference=wgmma=false --target=sm_90a | filecheck %s --check-prefix=OFF
// OFF-NOT: instr

!a = memref<64x64xf16, #tl.scope<"shared">>
!e = memref<64x8xi16, #tl.scope<"shared">>
!b = memref<64x128xf16, #tl.scope<"shared">>
!c = memref<64x64xf32, #tl.scope<"fragment">>
!g = memref<64x64xf32, #tl.scope<"global">>

// Two rows of metadata as 16 bytes each; a word per step has the lane's half of both. A moves by 32 bytes (2 units) a
// step, B by 64 (4), then to its next panel (512).
// CHECK-LABEL: llvm.func @sparse_kernel
// CHECK-COUNT-2: llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<3> -> vector<8xi16>
// CHECK: arith.ori
// CHECK: add.s32 t, $32, 2; mov.b64 a, {t, 1073741888}; add.s32 t, $37, 4; mov.b64 b, {t, 1073741888}; wgmma.mma_async.sp.sync.aligned.m64n64k32.f32.f16.f16
// CHECK-SAME: a, b, $34, 0, p, 1, 1, 0, 0; setp.ne.b32 p, 1, 0; add.s32 t, $32, 4; mov.b64 a, {t, 1073741888}; add.s32 t, $37, 512;
func.func @sparse(%p: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float32", kind = "tensor", name = "C"}]} {
  %one = arith.constant 1 : i32
  %C = "tl.tensor"(%p) {shape = array<i64: 64, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !g
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> !a
    %e = "tl.alloc"() : () -> !e
    %b = "tl.alloc"() : () -> !b
    %c = "tl.alloc"() : () -> !c
    "tl.gemm_sp"(%a, %e, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = true, transpose_e = false} : (!a, !e, !b, !c) -> ()
    "tl.copy"(%c, %C) : (!c, !g) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
