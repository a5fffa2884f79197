// Every buffer and loop gets a layout; a shared tile that a matrix product reads is swizzled.
// RUN: tl-opt %s --target=sm_80 --legalize-tile-ops --layout-inference --check-level=laid_out | filecheck %s

// CHECK: "tl.alloc"() {layout = #tl.smem<{{.*}}, array<i64: 2, 3, 3>>} : () -> memref<64x32xf16
// CHECK: "tl.alloc"() {layout = #tl.fragment<array<i64: 64, 64>, [[L:.*]]>} : () -> memref<64x64xf32
// CHECK: }) {extents = array<i64: 64, 64>, layout = #tl.fragment<array<i64: 64, 64>, [[L]]>}

func.func @f(%p: !llvm.ptr<1>, %n: i32) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "int32", kind = "symbol", name = "n"}]} {
  %A = "tl.tensor"(%p) {shape = array<i64: 64, 32>, strides = array<i64: 32, 1>} : (!llvm.ptr<1>) -> memref<64x32xf16, #tl.scope<"global">>
  "tl.launch"(%n) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> memref<64x32xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    "tl.copy"(%A, %s) : (memref<64x32xf16, #tl.scope<"global">>, memref<64x32xf16, #tl.scope<"shared">>) -> ()
    "tl.gemm"(%s, %s, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = true} : (memref<64x32xf16, #tl.scope<"shared">>, memref<64x32xf16, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      %x = memref.load %c[%ii, %jj] : memref<64x64xf32, #tl.scope<"fragment">>
      %y = arith.addf %x, %x : f32
      memref.store %y, %c[%ii, %jj] : memref<64x64xf32, #tl.scope<"fragment">>
    }) {extents = array<i64: 64, 64>} : () -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
