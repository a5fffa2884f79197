// Kernels that keep their grids, each for one reason.
// RUN: tl-opt %s --target=sm_90a --layout-inference --persist-tiles | filecheck %s

!A = memref<4096x512xf16, #tl.scope<"global">>
!at = memref<64x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
!s = memref<64x64xf16, #tl.scope<"shared">>
!f = memref<64x64xf32, #tl.scope<"fragment">>
!ct = memref<64x64xi8, strided<[4096, 1], offset: ?>, #tl.scope<"global">>

// All tiles run at once: neighbours work on tiles of the same columns.
// CHECK-LABEL: func.func @few_tiles(
// CHECK-NOT: tl.tiles
// CHECK: swizzle = {panel = 8 : i32}
func.func @few_tiles(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>) {
  %zero = arith.constant 0 : i32
  %n = arith.constant 512 : i32
  %few = arith.constant 4 : i32
  %wide = arith.constant 64 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 4096, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 4096, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%few, %few) ({
  ^bb0(%bx: i32, %by: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    %y = arith.muli %by, %step : i32
    %x = arith.muli %bx, %step : i32
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %y, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %x, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = true} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32, i32) -> ()
  return
}

// Tiles take different numbers of steps.
// CHECK-LABEL: func.func @triangle(
// CHECK-NOT: tl.tiles
func.func @triangle(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>) {
  %zero = arith.constant 0 : i32
  %n = arith.constant 512 : i32
  %few = arith.constant 4 : i32
  %wide = arith.constant 64 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 4096, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 4096, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%wide, %wide) ({
  ^bb0(%bx: i32, %by: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    %end = arith.muli %bx, %step : i32
    %y = arith.muli %by, %step : i32
    %x = arith.muli %bx, %step : i32
    scf.for %k = %zero to %end step %step : i32 {
      %at = "tl.slice"(%A, %y, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %x, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = true} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32, i32) -> ()
  return
}

// The program asks for a number of CTAs per multiprocessor.
// CHECK-LABEL: func.func @asked_for(
// CHECK-NOT: tl.tiles
func.func @asked_for(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>) {
  %zero = arith.constant 0 : i32
  %n = arith.constant 512 : i32
  %few = arith.constant 4 : i32
  %wide = arith.constant 64 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 4096, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 4096, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%wide, %wide) ({
  ^bb0(%bx: i32, %by: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    %y = arith.muli %by, %step : i32
    %x = arith.muli %bx, %step : i32
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %y, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %x, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = true} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {min_blocks = 2 : i32, threads = array<i32: 128, 1, 1>} : (i32, i32) -> ()
  return
}

// Two groups would share the tile through which the threads exchange elements.
// CHECK-LABEL: func.func @shared_tile(
// CHECK-NOT: tl.tiles
func.func @shared_tile(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>) {
  %zero = arith.constant 0 : i32
  %n = arith.constant 512 : i32
  %few = arith.constant 4 : i32
  %wide = arith.constant 64 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 4096, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 4096, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%wide, %wide) ({
  ^bb0(%bx: i32, %by: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    %y = arith.muli %by, %step : i32
    %x = arith.muli %bx, %step : i32
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %y, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %x, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = true} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
    %Cs = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"shared">>
    %Ct = "tl.alloc"() : () -> !f
    "tl.copy"(%acc, %Cs) : (!f, memref<64x64xf32, #tl.scope<"shared">>) -> ()
    "tl.copy"(%Cs, %Ct) : (memref<64x64xf32, #tl.scope<"shared">>, !f) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32, i32) -> ()
  return
}

// Two groups would share the tile through which elements of 8 bits leave.
// CHECK-LABEL: func.func @narrow_result(
// CHECK-NOT: tl.tiles
func.func @narrow_result(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %c: !llvm.ptr<1>) {
  %zero = arith.constant 0 : i32
  %n = arith.constant 512 : i32
  %few = arith.constant 4 : i32
  %wide = arith.constant 64 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 4096, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 4096, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %C = "tl.tensor"(%c) {shape = array<i64: 4096, 4096>, strides = array<i64: 4096, 1>} : (!llvm.ptr<1>) -> memref<4096x4096xi8, #tl.scope<"global">>
  "tl.launch"(%wide, %wide) ({
  ^bb0(%bx: i32, %by: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    %y = arith.muli %by, %step : i32
    %x = arith.muli %bx, %step : i32
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%A, %y, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %x, %k) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = true} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
    %Ct = "tl.slice"(%C, %y, %x) {sizes = array<i64: 64, 64>} : (memref<4096x4096xi8, #tl.scope<"global">>, i32, i32) -> !ct
    "tl.copy"(%acc, %Ct) : (!f, !ct) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32, i32) -> ()
  return
}
