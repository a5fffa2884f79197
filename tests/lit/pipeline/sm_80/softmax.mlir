// One row per block in registers: two 16-byte loads, exchanges within warps and once between them, two 16-byte stores.
// RUN: tl-opt %s --stage=lowered --emit=ptx --target=sm_80 | filecheck %s

// CHECK: .visible .entry softmax_kernel(
// CHECK-NOT: .local
// CHECK-COUNT-2: ld.global{{(.nc)?}}.v4.b32
// CHECK-NOT: ld.global
// CHECK-COUNT-5: shfl.sync.bfly.b32
// CHECK: st.shared.b32
// CHECK: bar.sync 0
// CHECK: ld.shared
// CHECK-COUNT-8: ex2.approx
// CHECK-COUNT-5: shfl.sync.bfly.b32
// CHECK: bar.sync 0
// CHECK-COUNT-2: st.global.v4.b32
// CHECK-NOT: .local
module {
  func.func @softmax(%arg0: !llvm.ptr<1>, %arg1: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float32", kind = "tensor", name = "A"}, {dtype = "float32", kind = "tensor", name = "B"}]} {
    %0 = "tl.tensor"(%arg0) {shape = array<i64: 128, 1024>, strides = array<i64: 1024, 1>} : (!llvm.ptr<1>) -> memref<128x1024xf32, #tl.scope<"global">>
    %1 = "tl.tensor"(%arg1) {shape = array<i64: 128, 1024>, strides = array<i64: 1024, 1>} : (!llvm.ptr<1>) -> memref<128x1024xf32, #tl.scope<"global">>
    %c128_i32 = arith.constant 128 : i32
    "tl.launch"(%c128_i32) ({
    ^bb0(%arg2: i32):
      %2 = "tl.alloc"() : () -> memref<1x1024xf32, #tl.scope<"fragment">>
      %3 = "tl.alloc"() : () -> memref<1xf32, #tl.scope<"fragment">>
      %4 = "tl.alloc"() : () -> memref<1xf32, #tl.scope<"fragment">>
      %c0_i32 = arith.constant 0 : i32
      %5 = "tl.slice"(%0, %arg2, %c0_i32) {sizes = array<i64: 1, 1024>} : (memref<128x1024xf32, #tl.scope<"global">>, i32, i32) -> memref<1x1024xf32, strided<[1024, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%5, %2) : (memref<1x1024xf32, strided<[1024, 1], offset: ?>, #tl.scope<"global">>, memref<1x1024xf32, #tl.scope<"fragment">>) -> ()
      "tl.reduce"(%2, %3) {clear = true, dim = 1 : i64, kind = "max"} : (memref<1x1024xf32, #tl.scope<"fragment">>, memref<1xf32, #tl.scope<"fragment">>) -> ()
      "tl.parallel"() ({
      ^bb0(%arg3: i32, %arg4: i32):
        %7 = arith.index_cast %arg3 : i32 to index
        %8 = arith.index_cast %arg4 : i32 to index
        %9 = memref.load %2[%7, %8] : memref<1x1024xf32, #tl.scope<"fragment">>
        %10 = memref.load %3[%7] : memref<1xf32, #tl.scope<"fragment">>
        %11 = arith.subf %9, %10 : f32
        %cst = arith.constant 1.44269502 : f32
        %12 = arith.mulf %11, %cst : f32
        %13 = math.exp2 %12 : f32
        memref.store %13, %2[%7, %8] : memref<1x1024xf32, #tl.scope<"fragment">>
      }) {extents = array<i64: 1, 1024>} : () -> ()
      "tl.reduce"(%2, %4) {clear = true, dim = 1 : i64, kind = "sum"} : (memref<1x1024xf32, #tl.scope<"fragment">>, memref<1xf32, #tl.scope<"fragment">>) -> ()
      "tl.parallel"() ({
      ^bb0(%arg3: i32, %arg4: i32):
        %7 = arith.index_cast %arg3 : i32 to index
        %8 = arith.index_cast %arg4 : i32 to index
        %9 = memref.load %2[%7, %8] : memref<1x1024xf32, #tl.scope<"fragment">>
        %10 = memref.load %4[%7] : memref<1xf32, #tl.scope<"fragment">>
        %11 = arith.divf %9, %10 : f32
        memref.store %11, %2[%7, %8] : memref<1x1024xf32, #tl.scope<"fragment">>
      }) {extents = array<i64: 1, 1024>} : () -> ()
      %6 = "tl.slice"(%1, %arg2, %c0_i32) {sizes = array<i64: 1, 1024>} : (memref<128x1024xf32, #tl.scope<"global">>, i32, i32) -> memref<1x1024xf32, strided<[1024, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%2, %6) : (memref<1x1024xf32, #tl.scope<"fragment">>, memref<1x1024xf32, strided<[1024, 1], offset: ?>, #tl.scope<"global">>) -> ()
    }) {name = "softmax_kernel", threads = array<i32: 128, 1, 1>} : (i32) -> ()
    return
  }
}
