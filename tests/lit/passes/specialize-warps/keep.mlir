// Kernels that keep their form, each for one reason. The loop is still marked for the pipelining within the warps.
// RUN: tl-opt %s --target=sm_90a --layout-inference --specialize-warps | filecheck %s
// RUN: tl-opt %s --target=sm_90a --layout-inference --specialize-warps | filecheck %s --check-prefix=NONE
// NONE-NOT: tl.specialize
// NONE-NOT: tl.tma

!A = memref<512x512xf16, #tl.scope<"global">>
!C = memref<512x512xf32, #tl.scope<"global">>
!at = memref<64x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
!ct = memref<64x64xf32, strided<[512, 1], offset: ?>, #tl.scope<"global">>
!s = memref<64x64xf16, #tl.scope<"shared">>
!f = memref<64x64xf32, #tl.scope<"fragment">>

// What a thread index means would change with the producer's threads.
// CHECK-LABEL: func.func @thread_index(
// CHECK: tl.pipeline
func.func @thread_index(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    %t = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %bx, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %k, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// So would a barrier of all threads.
// CHECK-LABEL: func.func @own_barrier(
// CHECK: tl.pipeline
func.func @own_barrier(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    "tl.sync_threads"() : () -> ()
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %bx, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %k, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// The producer would not wait for the other CTAs.
// CHECK-LABEL: func.func @grid_barrier(
// CHECK: tl.pipeline
func.func @grid_barrier(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    "tl.sync_grid"() : () -> ()
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %bx, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %k, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// The program asks for ordinary copies.
// CHECK-LABEL: func.func @asked_not_to(
// CHECK: tl.pipeline
func.func @asked_not_to(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %bx, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) {disable_tma} : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %k, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// Rows of 1020 bytes are no multiples of 16.
// CHECK-LABEL: func.func @strides(
// CHECK: tl.pipeline
func.func @strides(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 510>, strides = array<i64: 510, 1>} : (!llvm.ptr<1>) -> memref<512x510xf16, #tl.scope<"global">>
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %bx, %k) {sizes = array<i64: 64, 64>} : (memref<512x510xf16, #tl.scope<"global">>, i32, i32) -> memref<64x64xf16, strided<[510, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%at, %As) : (memref<64x64xf16, strided<[510, 1], offset: ?>, #tl.scope<"global">>, !s) -> ()
      %bt = "tl.slice"(%B, %k, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// A bulk copy converts nothing.
// CHECK-LABEL: func.func @conversion(
// CHECK: tl.pipeline
func.func @conversion(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !C
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %bx, %k) {sizes = array<i64: 64, 64>} : (!C, i32, i32) -> !ct
      "tl.copy"(%at, %As) : (!ct, !s) -> ()
      %bt = "tl.slice"(%B, %k, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// An address without a shape has no tensor map.
// CHECK-LABEL: func.func @address(
// CHECK: tl.pipeline
func.func @address(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32) attributes {tl.params = [{kind = "pointer", name = "A"}, {kind = "tensor", name = "B"}, {kind = "symbol", name = "n"}]} {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %bx, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %k, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// The kernel writes what it loads.
// CHECK-LABEL: func.func @written(
// CHECK: tl.pipeline
func.func @written(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    %f = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"fragment">>
    %ft = "tl.slice"(%A, %bx, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
    "tl.copy"(%f, %ft) : (memref<64x64xf16, #tl.scope<"fragment">>, !at) -> ()
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %bx, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %k, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// The producer's warps leave too few registers to 512 threads.
// CHECK-LABEL: func.func @threads(
// CHECK: instr = "wgmma"
// CHECK: tl.pipeline
func.func @threads(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> memref<128x64xf16, #tl.scope<"shared">>
    %Bs = "tl.alloc"() : () -> memref<64x128xf16, #tl.scope<"shared">>
    %acc = "tl.alloc"() : () -> memref<128x128xf32, #tl.scope<"fragment">>
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %bx, %k) {sizes = array<i64: 128, 64>} : (!A, i32, i32) -> memref<128x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%at, %As) : (memref<128x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>, memref<128x64xf16, #tl.scope<"shared">>) -> ()
      %bt = "tl.slice"(%B, %k, %zero) {sizes = array<i64: 64, 128>} : (!A, i32, i32) -> memref<64x128xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%bt, %Bs) : (memref<64x128xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>, memref<64x128xf16, #tl.scope<"shared">>) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (memref<128x64xf16, #tl.scope<"shared">>, memref<64x128xf16, #tl.scope<"shared">>, memref<128x128xf32, #tl.scope<"fragment">>) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 512, 1, 1>} : (i32) -> ()
  return
}

// 64 threads are no warpgroup: mma.sync, whose operands all threads copy.
// CHECK-LABEL: func.func @other_instruction(
// CHECK: tl.pipeline
func.func @other_instruction(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %bx, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %k, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 64, 1, 1>} : (i32) -> ()
  return
}

// Without stages nothing runs ahead.
// CHECK-LABEL: func.func @one_stage_less(
// CHECK: tl.pipeline
func.func @one_stage_less(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %bx, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %k, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 0 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// Nor in a loop that is not marked.
// CHECK-LABEL: func.func @unmarked(
// CHECK-NOT: tl.pipeline
func.func @unmarked(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %bx, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %k, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
    } 
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// The loop's end is read from memory that the kernel writes.
// CHECK-LABEL: func.func @bound_in_memory(
// CHECK: tl.pipeline
func.func @bound_in_memory(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32, %c: !llvm.ptr<1>) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %N = "tl.tensor"(%c) {shape = array<i64: 1>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> memref<1xi32, #tl.scope<"global">>
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    %first = arith.constant 0 : index
    %last = memref.load %N[%first] : memref<1xi32, #tl.scope<"global">>
    memref.store %one, %N[%first] : memref<1xi32, #tl.scope<"global">>
    scf.for %k = %zero to %last step %step : i32 {
      %at = "tl.slice"(%A, %bx, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %k, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// So is the place of a tile.
// CHECK-LABEL: func.func @place_in_memory(
// CHECK: tl.pipeline
func.func @place_in_memory(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32, %c: !llvm.ptr<1>) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %N = "tl.tensor"(%c) {shape = array<i64: 512>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> memref<512xi32, #tl.scope<"global">>
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    scf.for %k = %zero to %n step %step : i32 {
      %at0 = arith.index_cast %k : i32 to index
      %row = memref.load %N[%at0] : memref<512xi32, #tl.scope<"global">>
      memref.store %one, %N[%at0] : memref<512xi32, #tl.scope<"global">>
      %at = "tl.slice"(%A, %row, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %k, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// A tile is loaded in some iterations only.
// CHECK-LABEL: func.func @under_a_condition(
// CHECK: tl.pipeline
func.func @under_a_condition(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    scf.for %k = %zero to %n step %step : i32 {
      %some = arith.cmpi eq, %k, %zero : i32
      scf.if %some {
        %at = "tl.slice"(%A, %bx, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
        "tl.copy"(%at, %As) : (!at, !s) -> ()
      }
      %bt = "tl.slice"(%B, %k, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// The last tile is needed when its ring is given back.
// CHECK-LABEL: func.func @used_after_the_loop(
// CHECK: tl.pipeline
func.func @used_after_the_loop(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %bx, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %k, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
    %f = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"fragment">>
    "tl.copy"(%As, %f) : (!s, memref<64x64xf16, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// A tile that nothing reads would never be given back.
// CHECK-LABEL: func.func @never_used(
// CHECK: tl.pipeline
func.func @never_used(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %bx, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %k, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%Bs, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
