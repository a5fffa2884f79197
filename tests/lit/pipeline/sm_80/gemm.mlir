// The multi-stage tensor core GEMM: asynchronous 16-byte copies two iterations ahead, ldmatrix, mma.sync, nothing in local memory.
// RUN: tl-opt %s --stage=lowered --emit=ptx --target=sm_80 | filecheck %s

// CHECK: .target sm_80
// CHECK: .visible .entry gemm_kernel(
// CHECK-NOT: .local
// CHECK: .reqntid 128, 1, 1
// CHECK-NOT: .local
// CHECK-COUNT-4: cp.async.cg.shared.global [{{.*}}], [{{.*}}], 16
// CHECK: cp.async.commit_group
// CHECK-COUNT-4: cp.async.cg.shared.global [{{.*}}], [{{.*}}], 16
// CHECK: cp.async.commit_group
// CHECK: cp.async.wait_group 1
// CHECK: bar.sync 0
// CHECK-NOT: bar.sync
// CHECK: ldmatrix.sync.aligned.m8n8.x4.shared.b16
// CHECK: ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16
// The loop is one block: copies without branches, and the operands of the next step and the copies between the products of one.
// CHECK: $L__BB0_1:
// CHECK-NOT: $L__BB0_2:
// CHECK: mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32
// CHECK: ldmatrix
// CHECK-COUNT-4: mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32
// CHECK: cp.async.cg.shared.global [{{.*}}], [{{.*}}], 16, %r
// CHECK-COUNT-3: mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32
// CHECK: cp.async.commit_group
// CHECK: cp.async.wait_group 1
// CHECK: bar.sync 0
// CHECK-NOT: bar.sync
// CHECK: mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32
// CHECK: ldmatrix
// CHECK-COUNT-6: mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32
// CHECK-NOT: mma.sync
// CHECK-NOT: $L__BB0_2:
// CHECK: bra $L__BB0_1;
// CHECK: st.global.v2.b32
// CHECK-NOT: .local
module {
  func.func @gemm(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %c: !llvm.ptr<1>) attributes {tl.params = [{name="A", kind="tensor", dtype="float16"},{name="B", kind="tensor", dtype="float16"},{name="C", kind="tensor", dtype="float32"}]} {
    %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> memref<512x512xf16, #tl.scope<"global">>
    %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> memref<512x512xf16, #tl.scope<"global">>
    %C = "tl.tensor"(%c) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> memref<512x512xf32, #tl.scope<"global">>
    %g = arith.constant 8 : i32
    "tl.launch"(%g, %g) ({
    ^bb0(%bx: i32, %by: i32):
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c64 = arith.constant 64 : i32
      %c32 = arith.constant 32 : i32
      %kt = arith.constant 16 : i32
      %zero = arith.constant 0.0 : f32
      %As = "tl.alloc"() : () -> memref<64x32xf16, #tl.scope<"shared">>
      %Bs = "tl.alloc"() : () -> memref<32x64xf16, #tl.scope<"shared">>
      %Cl = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
      "tl.fill"(%Cl, %zero) : (memref<64x64xf32, #tl.scope<"fragment">>, f32) -> ()
      %row = arith.muli %by, %c64 : i32
      %col = arith.muli %bx, %c64 : i32
      scf.for %k = %c0 to %kt step %c1 : i32 {
        %kk = arith.muli %k, %c32 : i32
        %at = "tl.slice"(%A, %row, %kk) {sizes = array<i64: 64, 32>} : (memref<512x512xf16, #tl.scope<"global">>, i32, i32) -> memref<64x32xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
        "tl.copy"(%at, %As) : (memref<64x32xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>, memref<64x32xf16, #tl.scope<"shared">>) -> ()
        %bt = "tl.slice"(%B, %kk, %col) {sizes = array<i64: 32, 64>} : (memref<512x512xf16, #tl.scope<"global">>, i32, i32) -> memref<32x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
        "tl.copy"(%bt, %Bs) : (memref<32x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>, memref<32x64xf16, #tl.scope<"shared">>) -> ()
        "tl.gemm"(%As, %Bs, %Cl) {transpose_a = false, transpose_b = false, policy = "square", clear = false} : (memref<64x32xf16, #tl.scope<"shared">>, memref<32x64xf16, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
      } {tl.pipeline = {num_stages = 3 : i32}}
      %ct = "tl.slice"(%C, %row, %col) {sizes = array<i64: 64, 64>} : (memref<512x512xf32, #tl.scope<"global">>, i32, i32) -> memref<64x64xf32, strided<[512, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%Cl, %ct) : (memref<64x64xf32, #tl.scope<"fragment">>, memref<64x64xf32, strided<[512, 1], offset: ?>, #tl.scope<"global">>) -> ()
    }) {threads = array<i32: 128, 1, 1>, name="main"} : (i32, i32) -> ()
    return
  }
}
