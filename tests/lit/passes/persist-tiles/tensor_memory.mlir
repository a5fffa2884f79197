// Sums in tensor memory: tiles are walked where at most two blocks fit on a multiprocessor, with the stages of both.
// RUN: tl-opt %s --target=sm_100a --use-tensor-memory --layout-inference --persist-tiles | filecheck %s
// RUN: tl-opt %s --target=sm_100a --use-tensor-memory --layout-inference --persist-tiles=enabled=false | filecheck %s --check-prefix=OFF

// OFF-NOT: tl.tiles

!ga = memref<4096x256xf16, #tl.scope<"global">>
!gc = memref<4096x4096xf16, #tl.scope<"global">>
!ta = memref<128x64xf16, strided<[256, 1], offset: ?>, #tl.scope<"global">>
!tc = memref<128x128xf16, strided<[4096, 1], offset: ?>, #tl.scope<"global">>
!s = memref<128x64xf16, #tl.scope<"shared">>
!f = memref<128x128xf32, #tl.scope<"fragment">>

// CHECK-LABEL: func.func @two_blocks(
// CHECK: %[[GRID:.*]] = arith.constant 148 : i32
// CHECK: "tl.launch"(%[[GRID]])
// CHECK: #tl.scope<"tmem">
// CHECK: scf.for
// CHECK: scf.for
// CHECK: "tl.tcgen05_mma"
// CHECK: {tl.pipeline = {num_stages = 6 : i32}}
// CHECK: {tl.tiles}
// CHECK: persistent = 148 : i32
func.func @two_blocks(%arg0: !llvm.ptr<1>, %arg1: !llvm.ptr<1>, %arg2: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "float16", kind = "tensor", name = "B"}, {dtype = "float16", kind = "tensor", name = "C"}]} {
  %A = "tl.tensor"(%arg0) {shape = array<i64: 4096, 256>, strides = array<i64: 256, 1>} : (!llvm.ptr<1>) -> !ga
  %B = "tl.tensor"(%arg1) {shape = array<i64: 4096, 256>, strides = array<i64: 256, 1>} : (!llvm.ptr<1>) -> !ga
  %C = "tl.tensor"(%arg2) {shape = array<i64: 4096, 4096>, strides = array<i64: 4096, 1>} : (!llvm.ptr<1>) -> !gc
  %c32 = arith.constant 32 : i32
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c4 = arith.constant 4 : i32
  %c64 = arith.constant 64 : i32
  %c128 = arith.constant 128 : i32
  %zero = arith.constant 0.0 : f32
  "tl.launch"(%c32, %c32) ({
  ^bb0(%x: i32, %y: i32):
    %a = "tl.alloc"() : () -> !s
    %b = "tl.alloc"() : () -> !s
    %c = "tl.alloc"() : () -> !f
    "tl.fill"(%c, %zero) : (!f, f32) -> ()
    %row = arith.muli %y, %c128 : i32
    %column = arith.muli %x, %c128 : i32
    scf.for %k = %c0 to %c4 step %c1 : i32 {
      %at = arith.muli %k, %c64 : i32
      %0 = "tl.slice"(%A, %row, %at) {sizes = array<i64: 128, 64>} : (!ga, i32, i32) -> !ta
      "tl.copy"(%0, %a) : (!ta, !s) -> ()
      %1 = "tl.slice"(%B, %column, %at) {sizes = array<i64: 128, 64>} : (!ga, i32, i32) -> !ta
      "tl.copy"(%1, %b) : (!ta, !s) -> ()
      "tl.gemm"(%a, %b, %c) {transpose_a = false, transpose_b = true, clear = false, policy = "square"} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
    %2 = "tl.slice"(%C, %row, %column) {sizes = array<i64: 128, 128>} : (!gc, i32, i32) -> !tc
    "tl.copy"(%c, %2) : (!f, !tc) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32, i32) -> ()
  return
}

// Two stages of it leave room for three blocks, which store beside one another.
// CHECK-LABEL: func.func @three_blocks(
// CHECK-NOT: tl.tiles
func.func @three_blocks(%arg0: !llvm.ptr<1>, %arg1: !llvm.ptr<1>, %arg2: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "float16", kind = "tensor", name = "B"}, {dtype = "float16", kind = "tensor", name = "C"}]} {
  %A = "tl.tensor"(%arg0) {shape = array<i64: 4096, 256>, strides = array<i64: 256, 1>} : (!llvm.ptr<1>) -> !ga
  %B = "tl.tensor"(%arg1) {shape = array<i64: 4096, 256>, strides = array<i64: 256, 1>} : (!llvm.ptr<1>) -> !ga
  %C = "tl.tensor"(%arg2) {shape = array<i64: 4096, 4096>, strides = array<i64: 4096, 1>} : (!llvm.ptr<1>) -> !gc
  %c32 = arith.constant 32 : i32
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c4 = arith.constant 4 : i32
  %c64 = arith.constant 64 : i32
  %c128 = arith.constant 128 : i32
  %zero = arith.constant 0.0 : f32
  "tl.launch"(%c32, %c32) ({
  ^bb0(%x: i32, %y: i32):
    %a = "tl.alloc"() : () -> !s
    %b = "tl.alloc"() : () -> !s
    %c = "tl.alloc"() : () -> !f
    "tl.fill"(%c, %zero) : (!f, f32) -> ()
    %row = arith.muli %y, %c128 : i32
    %column = arith.muli %x, %c128 : i32
    scf.for %k = %c0 to %c4 step %c1 : i32 {
      %at = arith.muli %k, %c64 : i32
      %0 = "tl.slice"(%A, %row, %at) {sizes = array<i64: 128, 64>} : (!ga, i32, i32) -> !ta
      "tl.copy"(%0, %a) : (!ta, !s) -> ()
      %1 = "tl.slice"(%B, %column, %at) {sizes = array<i64: 128, 64>} : (!ga, i32, i32) -> !ta
      "tl.copy"(%1, %b) : (!ta, !s) -> ()
      "tl.gemm"(%a, %b, %c) {transpose_a = false, transpose_b = true, clear = false, policy = "square"} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 2 : i32}}
    %2 = "tl.slice"(%C, %row, %column) {sizes = array<i64: 128, 128>} : (!gc, i32, i32) -> !tc
    "tl.copy"(%c, %2) : (!f, !tc) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32, i32) -> ()
  return
}
