// Kernels whose loops only start products are marked: the assembler need not optimise them as much as others.
// RUN: tl-opt %s --target=sm_90a --stage=lowered | filecheck %s
// RUN: tl-opt %s --target=sm_80 --stage=lowered | filecheck %s --check-prefix=SYNC

// Products of mma.sync, with the loads of the next step between those of this one.
// SYNC-LABEL: llvm.func @products_kernel(
// SYNC-SAME: tl.effort = 1 : i64, tl.effort_unspilled
// SYNC: scf.for
// SYNC-NOT: nvvm.ldmatrix
// SYNC: nvvm.mma.sync
// SYNC-NOT: nvvm.mma.sync
// SYNC: nvvm.ldmatrix
// SYNC-NOT: nvvm.ldmatrix
// SYNC: nvvm.mma.sync
// SYNC: nvvm.cp.async.wait.group
// SYNC-NOT: nvvm.ldmatrix
// SYNC: nvvm.mma.sync
// SYNC-NOT: nvvm.ldmatrix
// SYNC: nvvm.mma.sync
// SYNC-NOT: nvvm.mma.sync
// SYNC: nvvm.ldmatrix
// SYNC: scf.yield

!A = memref<512x512xf16, #tl.scope<"global">>
!at = memref<64x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
!s = memref<64x64xf16, #tl.scope<"shared">>
!f = memref<64x64xf32, #tl.scope<"fragment">>

// CHECK-LABEL: llvm.func @products_kernel(
// CHECK-SAME: tl.effort = 1 : i64
func.func @products(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %c: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "float16", kind = "tensor", name = "B"}, {dtype = "float16", kind = "tensor", name = "C"}]} {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %n = arith.constant 8 : i32
  %size = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %C = "tl.tensor"(%c) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    %z = arith.constant 0.0 : f32
    "tl.fill"(%acc, %z) : (!f, f32) -> ()
    scf.for %k = %zero to %n step %one : i32 {
      %place = arith.muli %k, %size : i32
      %at = "tl.slice"(%A, %bx, %place) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %place, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
    %out = "tl.slice"(%C, %bx, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
    "tl.copy"(%acc, %out) : (!f, !at) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// Functions of the results are worth all there is.
// CHECK-LABEL: llvm.func @functions_kernel(
// CHECK-NOT: tl.effort
// CHECK-NOT: tl.interleaved
// CHECK: llvm.return
func.func @functions(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %c: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "float16", kind = "tensor", name = "B"}, {dtype = "float16", kind = "tensor", name = "C"}]} {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %n = arith.constant 8 : i32
  %size = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %C = "tl.tensor"(%c) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    %z = arith.constant 0.0 : f32
    "tl.fill"(%acc, %z) : (!f, f32) -> ()
    scf.for %k = %zero to %n step %one : i32 {
      %place = arith.muli %k, %size : i32
      %at = "tl.slice"(%A, %bx, %place) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %place, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %r = arith.index_cast %i : i32 to index
      %q = arith.index_cast %j : i32 to index
      %x = memref.load %acc[%r, %q] : !f
      %y = math.exp2 %x : f32
      memref.store %y, %acc[%r, %q] : !f
    }) {extents = array<i64: 64, 64>} : () -> ()
    %out = "tl.slice"(%C, %bx, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
    "tl.copy"(%acc, %out) : (!f, !at) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// Where threads add up products, runs of additions are to leave room for other warps.
// CHECK-LABEL: llvm.func @added_kernel(
// CHECK-SAME: tl.interleaved
func.func @added(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %c: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "float16", kind = "tensor", name = "B"}, {dtype = "float16", kind = "tensor", name = "C"}]} {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %n = arith.constant 8 : i32
  %size = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %C = "tl.tensor"(%c) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    %part = "tl.alloc"() : () -> !f
    %z = arith.constant 0.0 : f32
    "tl.fill"(%acc, %z) : (!f, f32) -> ()
    scf.for %k = %zero to %n step %one : i32 {
      %place = arith.muli %k, %size : i32
      %at = "tl.slice"(%A, %bx, %place) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %place, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %part) {clear = true, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
      "tl.parallel"() ({
      ^bb0(%i: i32, %j: i32):
        %r = arith.index_cast %i : i32 to index
        %q = arith.index_cast %j : i32 to index
        %x = memref.load %part[%r, %q] : !f
        %y = memref.load %acc[%r, %q] : !f
        %sum = arith.addf %x, %y : f32
        memref.store %sum, %acc[%r, %q] : !f
      }) {extents = array<i64: 64, 64>} : () -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
    %out = "tl.slice"(%C, %bx, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
    "tl.copy"(%acc, %out) : (!f, !at) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// Copies that check bounds of their own take the registers that the order of loads would: ptxas does what it can.
// SYNC-LABEL: llvm.func @ragged_kernel(
// SYNC-NOT: tl.effort
// SYNC: scf.for
// SYNC: nvvm.ldmatrix
// SYNC-NOT: nvvm.mma.sync
// SYNC: nvvm.cp.async.shared.global
// SYNC: llvm.return
!R = memref<504x504xf16, #tl.scope<"global">>
!rt = memref<64x64xf16, strided<[504, 1], offset: ?>, #tl.scope<"global">>
func.func @ragged(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %c: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "float16", kind = "tensor", name = "B"}, {dtype = "float16", kind = "tensor", name = "C"}]} {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %n = arith.constant 8 : i32
  %size = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 504, 504>, strides = array<i64: 504, 1>} : (!llvm.ptr<1>) -> !R
  %B = "tl.tensor"(%b) {shape = array<i64: 504, 504>, strides = array<i64: 504, 1>} : (!llvm.ptr<1>) -> !R
  %C = "tl.tensor"(%c) {shape = array<i64: 504, 504>, strides = array<i64: 504, 1>} : (!llvm.ptr<1>) -> !R
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    %z = arith.constant 0.0 : f32
    "tl.fill"(%acc, %z) : (!f, f32) -> ()
    scf.for %k = %zero to %n step %one : i32 {
      %place = arith.muli %k, %size : i32
      %at = "tl.slice"(%A, %bx, %place) {sizes = array<i64: 64, 64>} : (!R, i32, i32) -> !rt
      "tl.copy"(%at, %As) : (!rt, !s) -> ()
      %bt = "tl.slice"(%B, %place, %zero) {sizes = array<i64: 64, 64>} : (!R, i32, i32) -> !rt
      "tl.copy"(%bt, %Bs) : (!rt, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
    %out = "tl.slice"(%C, %bx, %zero) {sizes = array<i64: 64, 64>} : (!R, i32, i32) -> !rt
    "tl.copy"(%acc, %out) : (!f, !rt) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
