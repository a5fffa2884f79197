// Operands in registers that stay from one iteration to the next: each iteration makes them anew, by a zero that the assembler
// cannot know. Those that an iteration writes as a whole are taken as they are.
// RUN: tl-opt %s --stage=lowered --target=sm_90a | filecheck %s

!a = memref<64x16xbf16, #tl.scope<"fragment">>
!b = memref<24x16xbf16, #tl.scope<"shared">>
!c = memref<64x24xf32, #tl.scope<"fragment">>

// CHECK-LABEL: llvm.func @kept_kernel(
// CHECK: nvvm.read.ptx.sreg.warpid
// CHECK: %[[VOTE:[0-9]+]] = nvvm.vote.sync any
// CHECK: %[[ZERO:[0-9]+]] = arith.extui %[[VOTE]] : i1 to i32
// CHECK-COUNT-4: arith.xori %{{[0-9]+}}, %[[ZERO]]
// CHECK: wgmma.mma_async
func.func @kept(%p: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float32", kind = "tensor", name = "C"}]} {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %many = arith.constant 9 : i32
  %C = "tl.tensor"(%p) {shape = array<i64: 64, 24>, strides = array<i64: 24, 1>} : (!llvm.ptr<1>) -> memref<64x24xf32, #tl.scope<"global">>
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %s = "tl.alloc"() : () -> memref<64x16xbf16, #tl.scope<"shared">>
    %a = "tl.alloc"() : () -> !a
    %b = "tl.alloc"() : () -> !b
    %c = "tl.alloc"() : () -> !c
    "tl.copy"(%s, %a) : (memref<64x16xbf16, #tl.scope<"shared">>, !a) -> ()
    scf.for %i = %zero to %many step %one : i32 {
      "tl.gemm"(%a, %b, %c) {clear = false, policy = "square", transpose_a = false, transpose_b = true} : (!a, !b, !c) -> ()
    }
    "tl.copy"(%c, %C) : (!c, memref<64x24xf32, #tl.scope<"global">>) -> ()
  }) {threads = array<i32: 128, 1, 1>, name = "kept_kernel"} : (i32) -> ()
  return
}

// CHECK-LABEL: llvm.func @made_kernel(
// CHECK-NOT: nvvm.vote.sync
// CHECK: wgmma.mma_async
func.func @made(%p: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float32", kind = "tensor", name = "C"}]} {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %many = arith.constant 9 : i32
  %C = "tl.tensor"(%p) {shape = array<i64: 64, 24>, strides = array<i64: 24, 1>} : (!llvm.ptr<1>) -> memref<64x24xf32, #tl.scope<"global">>
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %s = "tl.alloc"() : () -> memref<64x16xbf16, #tl.scope<"shared">>
    %a = "tl.alloc"() : () -> !a
    %b = "tl.alloc"() : () -> !b
    %c = "tl.alloc"() : () -> !c
    "tl.copy"(%s, %a) : (memref<64x16xbf16, #tl.scope<"shared">>, !a) -> ()
    scf.for %i = %zero to %many step %one : i32 {
      "tl.copy"(%s, %a) : (memref<64x16xbf16, #tl.scope<"shared">>, !a) -> ()
      "tl.gemm"(%a, %b, %c) {clear = false, policy = "square", transpose_a = false, transpose_b = true} : (!a, !b, !c) -> ()
    }
    "tl.copy"(%c, %C) : (!c, memref<64x24xf32, #tl.scope<"global">>) -> ()
  }) {threads = array<i32: 128, 1, 1>, name = "made_kernel"} : (i32) -> ()
  return
}

// An iteration that writes a part of its operand keeps the rest.
// CHECK-LABEL: llvm.func @partly_kernel(
// CHECK: nvvm.vote.sync any
// CHECK-COUNT-4: arith.xori
// CHECK: wgmma.mma_async
func.func @partly(%p: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float32", kind = "tensor", name = "C"}]} {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %many = arith.constant 9 : i32
  %C = "tl.tensor"(%p) {shape = array<i64: 64, 24>, strides = array<i64: 24, 1>} : (!llvm.ptr<1>) -> memref<64x24xf32, #tl.scope<"global">>
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %s = "tl.alloc"() : () -> memref<64x16xbf16, #tl.scope<"shared">>
    %a = "tl.alloc"() : () -> !a
    %b = "tl.alloc"() : () -> !b
    %c = "tl.alloc"() : () -> !c
    "tl.copy"(%s, %a) : (memref<64x16xbf16, #tl.scope<"shared">>, !a) -> ()
    scf.for %i = %zero to %many step %one : i32 {
      "tl.parallel"() ({
      ^bb0(%r: i32, %k: i32):
        %row = arith.index_cast %r : i32 to index
        %column = arith.index_cast %k : i32 to index
        %x = memref.load %s[%row, %column] : memref<64x16xbf16, #tl.scope<"shared">>
        memref.store %x, %a[%row, %column] : !a
      }) {extents = array<i64: 64, 8>} : () -> ()
      "tl.gemm"(%a, %b, %c) {clear = false, policy = "square", transpose_a = false, transpose_b = true} : (!a, !b, !c) -> ()
    }
    "tl.copy"(%c, %C) : (!c, memref<64x24xf32, #tl.scope<"global">>) -> ()
  }) {threads = array<i32: 128, 1, 1>, name = "partly_kernel"} : (i32) -> ()
  return
}
