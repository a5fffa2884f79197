// Products on warpgroups by their kinds of elements, as lowered.
// RUN: tl-opt %s --stage=lowered --target=sm_90a | filecheck %s

// Rows of 64 elements: four steps of 16, scale-d off in the first only; both signs positive, both operands along K.
// CHECK-LABEL: llvm.func @bf16_kernel(
// CHECK: llvm.inline_asm has_side_effects
// CHECK-SAME: setp.ne.b32 p, 0, 0;{{.*}}wgmma.mma_async.sync.aligned.m64n24k16.f32.bf16.bf16 {{.*}}, a, b, p, 1, 1, 0, 0; setp.ne.b32 p, 1, 0;
func.func @bf16(%p: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float32", kind = "tensor", name = "C"}]} {
  %one = arith.constant 1 : i32
  %C = "tl.tensor"(%p) {shape = array<i64: 64, 24>, strides = array<i64: 24, 1>} : (!llvm.ptr<1>) -> memref<64x24xf32, #tl.scope<"global">>
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x64xbf16, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<24x64xbf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x24xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = true} : (memref<64x64xbf16, #tl.scope<"shared">>, memref<24x64xbf16, #tl.scope<"shared">>, memref<64x24xf32, #tl.scope<"fragment">>) -> ()
    "tl.copy"(%c, %C) : (memref<64x24xf32, #tl.scope<"fragment">>, memref<64x24xf32, #tl.scope<"global">>) -> ()
  }) {threads = array<i32: 128, 1, 1>, name = "bf16_kernel"} : (i32) -> ()
  return
}

// Elements of 32 bits and narrower than 16 have no major order to choose. What is added to stays in its registers.
// CHECK-LABEL: llvm.func @tf32_kernel(
// CHECK: llvm.inline_asm has_side_effects
// CHECK-SAME: setp.ne.b32 p, 1, 0;{{.*}}wgmma.mma_async.sync.aligned.m64n24k8.f32.tf32.tf32 {{.*}}, a, b, p, 1, 1; setp
func.func @tf32(%p: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float32", kind = "tensor", name = "C"}]} {
  %one = arith.constant 1 : i32
  %C = "tl.tensor"(%p) {shape = array<i64: 64, 24>, strides = array<i64: 24, 1>} : (!llvm.ptr<1>) -> memref<64x24xf32, #tl.scope<"global">>
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x32xf32, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<24x32xf32, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x24xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = false, policy = "square", transpose_a = false, transpose_b = true} : (memref<64x32xf32, #tl.scope<"shared">>, memref<24x32xf32, #tl.scope<"shared">>, memref<64x24xf32, #tl.scope<"fragment">>) -> ()
    "tl.copy"(%c, %C) : (memref<64x24xf32, #tl.scope<"fragment">>, memref<64x24xf32, #tl.scope<"global">>) -> ()
  }) {threads = array<i32: 128, 1, 1>, name = "tf32_kernel"} : (i32) -> ()
  return
}

// Both formats in one product.
// CHECK-LABEL: llvm.func @fp8_kernel(
// CHECK: llvm.inline_asm has_side_effects
// CHECK-SAME: wgmma.mma_async.sync.aligned.m64n24k32.f32.e4m3.e5m2 {{.*}}, a, b, p, 1, 1; setp
func.func @fp8(%p: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float32", kind = "tensor", name = "C"}]} {
  %one = arith.constant 1 : i32
  %C = "tl.tensor"(%p) {shape = array<i64: 64, 24>, strides = array<i64: 24, 1>} : (!llvm.ptr<1>) -> memref<64x24xf32, #tl.scope<"global">>
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x64xf8E4M3FN, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<24x64xf8E5M2, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x24xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = true} : (memref<64x64xf8E4M3FN, #tl.scope<"shared">>, memref<24x64xf8E5M2, #tl.scope<"shared">>, memref<64x24xf32, #tl.scope<"fragment">>) -> ()
    "tl.copy"(%c, %C) : (memref<64x24xf32, #tl.scope<"fragment">>, memref<64x24xf32, #tl.scope<"global">>) -> ()
  }) {threads = array<i32: 128, 1, 1>, name = "fp8_kernel"} : (i32) -> ()
  return
}

// Integers have no signs to change.
// CHECK-LABEL: llvm.func @bytes_kernel(
// CHECK: llvm.inline_asm has_side_effects
// CHECK-SAME: wgmma.mma_async.sync.aligned.m64n32k32.s32.s8.u8 {{.*}}, a, b, p; wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;
func.func @bytes(%p: !llvm.ptr<1>) attributes {tl.params = [{dtype = "int32", kind = "tensor", name = "C"}]} {
  %one = arith.constant 1 : i32
  %C = "tl.tensor"(%p) {shape = array<i64: 64, 32>, strides = array<i64: 32, 1>} : (!llvm.ptr<1>) -> memref<64x32xi32, #tl.scope<"global">>
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x32xi8, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<32x32xi8, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x32xi32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {b_unsigned, clear = true, policy = "square", transpose_a = false, transpose_b = true} : (memref<64x32xi8, #tl.scope<"shared">>, memref<32x32xi8, #tl.scope<"shared">>, memref<64x32xi32, #tl.scope<"fragment">>) -> ()
    "tl.copy"(%c, %C) : (memref<64x32xi32, #tl.scope<"fragment">>, memref<64x32xi32, #tl.scope<"global">>) -> ()
  }) {threads = array<i32: 128, 1, 1>, name = "bytes_kernel"} : (i32) -> ()
  return
}

// A in registers: four words of a step, no major order of its own.
// CHECK-LABEL: llvm.func @registers_kernel(
// CHECK: llvm.inline_asm has_side_effects
// CHECK-SAME: wgmma.mma_async.sync.aligned.m64n24k16.f32.f16.f16 {{.*}}, {$12, $13, $14, $15}, b, p, 1, 1, 0; setp
func.func @registers(%p: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float32", kind = "tensor", name = "C"}]} {
  %one = arith.constant 1 : i32
  %C = "tl.tensor"(%p) {shape = array<i64: 64, 24>, strides = array<i64: 24, 1>} : (!llvm.ptr<1>) -> memref<64x24xf32, #tl.scope<"global">>
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"fragment">>
    %b = "tl.alloc"() : () -> memref<24x64xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x24xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = true} : (memref<64x64xf16, #tl.scope<"fragment">>, memref<24x64xf16, #tl.scope<"shared">>, memref<64x24xf32, #tl.scope<"fragment">>) -> ()
    "tl.copy"(%c, %C) : (memref<64x24xf32, #tl.scope<"fragment">>, memref<64x24xf32, #tl.scope<"global">>) -> ()
  }) {threads = array<i32: 128, 1, 1>, name = "registers_kernel"} : (i32) -> ()
  return
}
