// The product with roles: bulk loads by one thread, warpgroup products on what lands, the result in one bulk store.
// RUN: tl-opt %s --stage=lowered --emit=ptx --target=sm_90a | filecheck %s
// RUN: tl-opt %s --stage=lowered --emit=ptx --target=sm_90a | filecheck %s --check-prefix=NONE
// NONE-NOT: .local
// NONE-NOT: mma.sync
// NONE-NOT: ld.global
// NONE-NOT: st.global
// NONE-NOT: cp.async.cg

// CHECK: .target sm_90a
// CHECK: .visible .entry gemm_kernel(
// CHECK-COUNT-3: .param .align 64 .b8 gemm_kernel_param_{{[345]}}[128]
// CHECK: .reqntid 256, 1, 1
// CHECK: .minnctapersm 2
// CHECK-COUNT-6: mbarrier.init.shared.b64
// CHECK: fence.mbarrier_init.release.cluster
// CHECK: bar.sync 0
// CHECK: setmaxnreg.inc.sync.aligned.u32 232
// CHECK: mbarrier.try_wait.parity.shared.b64
// CHECK: wgmma.fence.sync.aligned
// CHECK-COUNT-4: wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16
// CHECK: wgmma.commit_group.sync.aligned
// CHECK: wgmma.wait_group.sync.aligned 1
// CHECK: mbarrier.arrive.shared.b64
// CHECK: setmaxnreg.dec.sync.aligned.u32 24
// CHECK: mbarrier.try_wait.parity.shared.b64
// CHECK: mbarrier.arrive.expect_tx.shared.b64
// CHECK-COUNT-2: cp.async.bulk.tensor.2d.shared::{{cta|cluster}}.global{{.*}}.mbarrier::complete_tx::bytes
// CHECK: bar.sync 1, 128
// CHECK-COUNT-16: st.shared.v2.b32
// CHECK: fence.proxy.async.shared::cta
// CHECK: bar.sync 2, 128
// CHECK: cp.async.bulk.tensor.2d.global.shared::cta
// CHECK: cp.async.bulk.commit_group
// CHECK: cp.async.bulk.wait_group.read 0
!A = memref<512x512xf16, #tl.scope<"global">>
!C = memref<512x512xf32, #tl.scope<"global">>
!at = memref<64x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
!ct = memref<64x64xf32, strided<[512, 1], offset: ?>, #tl.scope<"global">>
!s = memref<64x64xf16, #tl.scope<"shared">>
!f = memref<64x64xf32, #tl.scope<"fragment">>
func.func @gemm(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %c: !llvm.ptr<1>) attributes {tl.params = [{name="A", kind="tensor", dtype="float16"},{name="B", kind="tensor", dtype="float16"},{name="C", kind="tensor", dtype="float32"}]} {
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %C = "tl.tensor"(%c) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !C
  %g = arith.constant 8 : i32
  "tl.launch"(%g, %g) ({
  ^bb0(%bx: i32, %by: i32):
    %c0 = arith.constant 0 : i32
    %c1 = arith.constant 1 : i32
    %c64 = arith.constant 64 : i32
    %kt = arith.constant 8 : i32
    %zero = arith.constant 0.0 : f32
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    "tl.fill"(%acc, %zero) : (!f, f32) -> ()
    %row = arith.muli %by, %c64 : i32
    %col = arith.muli %bx, %c64 : i32
    scf.for %k = %c0 to %kt step %c1 : i32 {
      %kk = arith.muli %k, %c64 : i32
      %at = "tl.slice"(%A, %row, %kk) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %kk, %col) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {transpose_a = false, transpose_b = false, policy = "square", clear = false} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
    %ct = "tl.slice"(%C, %row, %col) {sizes = array<i64: 64, 64>} : (!C, i32, i32) -> !ct
    "tl.copy"(%acc, %ct) : (!f, !ct) -> ()
  }) {threads = array<i32: 128, 1, 1>, name = "main"} : (i32, i32) -> ()
  return
}
