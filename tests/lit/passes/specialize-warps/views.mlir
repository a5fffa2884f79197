// Views that both roles can compute, and their tensor maps, are made by all warps before they part: a role of one thread
// makes none. A view in the loop around keeps a kernel's form.
// RUN: tl-opt %s --target=sm_90a --place-descriptors --layout-inference --specialize-warps | filecheck %s

!A = memref<512x512xf16, #tl.scope<"global">>
!v = memref<?x512xf16, strided<[512, 1]>, #tl.scope<"global">>
!at = memref<64x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
!s = memref<64x64xf16, #tl.scope<"shared">>
!f = memref<64x64xf32, #tl.scope<"fragment">>

// CHECK-LABEL: func.func @in_front(
// CHECK: "tl.alloc"() {{.*}} memref<12x128xi8, #tl.scope<"shared">>
// CHECK: memref.load
// CHECK: "tl.view"
// CHECK-NEXT: "tl.make_descriptor"
// CHECK: "tl.specialize"
// CHECK-NOT: tl.make_descriptor
// CHECK: "tl.tma_load"
func.func @in_front(%a: !llvm.ptr<1>, %o: !llvm.ptr<1>, %n: i32) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %O = "tl.tensor"(%o) {shape = array<i64: 4>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> memref<4xi32, #tl.scope<"global">>
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    %i = arith.index_cast %bx : i32 to index
    %rows = memref.load %O[%i] : memref<4xi32, #tl.scope<"global">>
    %v = "tl.view"(%A, %bx, %zero, %rows) {id = 0, shape = array<i64: -1, 512>, strides = array<i64: 512, 1>} : (!A, i32, i32, i32) -> !v
    scf.for %k = %zero to %n step %step : i32 {
      %at = "tl.slice"(%v, %zero, %k) {sizes = array<i64: 64, 64>} : (!v, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      "tl.gemm"(%As, %As, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = true} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// CHECK-LABEL: func.func @in_a_loop(
// CHECK-NOT: tl.specialize
// CHECK: tl.pipeline
func.func @in_a_loop(%a: !llvm.ptr<1>, %n: i32) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    scf.for %t = %zero to %n step %one : i32 {
      %v = "tl.view"(%A, %t, %zero, %n) {id = 0, shape = array<i64: -1, 512>, strides = array<i64: 512, 1>} : (!A, i32, i32, i32) -> !v
      scf.for %k = %zero to %n step %step : i32 {
        %at = "tl.slice"(%v, %zero, %k) {sizes = array<i64: 64, 64>} : (!v, i32, i32) -> !at
        "tl.copy"(%at, %As) : (!at, !s) -> ()
        "tl.gemm"(%As, %As, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = true} : (!s, !s, !f) -> ()
      } {tl.pipeline = {num_stages = 3 : i32}}
    }
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
