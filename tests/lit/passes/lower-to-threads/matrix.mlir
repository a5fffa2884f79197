// Registers held by the program: words of a thread's own array, matrix loads and products.
// RUN: tl-opt %s --target=sm_90a --lower-to-threads --canonicalize | filecheck %s

// CHECK-LABEL: llvm.func @matrices_kernel(
// CHECK: %[[OWN:[0-9]+]] = llvm.alloca
// CHECK: %[[S:[0-9]+]] = nvvm.ldmatrix %{{[0-9]+}} {eltType = #nvvm.ld_st_matrix_elt_type<b16>, layout = #nvvm.mma_layout<row>, num = 4 : i32
// CHECK: llvm.store %{{[0-9]+}}, %[[OWN]] {alignment = 4 : i64} : i32, !llvm.ptr
// CHECK: llvm.load %[[OWN]] {alignment = 4 : i64} : !llvm.ptr -> i32
// CHECK: nvvm.mma.sync {{.*}}shape = #nvvm.shape<m = 16, n = 8, k = 16>
// CHECK: nvvm.stmatrix {{.*}}layout = #nvvm.mma_layout<col>
func.func @matrices(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %s = "tl.alloc"() {layout = #tl.smem<array<i64: 16, 16>, array<i64: 16, 1, 1, 1, 16, 0, 1, 16>, array<i64: 0, 0, 0>>, tl.offset = 0 : i64} : () -> memref<16x16xf16, #tl.scope<"shared">>
    %l = "tl.alloc"() : () -> memref<8xf16, #tl.scope<"local">>
    %zero = arith.constant 0 : i32
    %true = arith.constant true
    %w:4 = "tl.load_matrix"(%s, %bx, %zero) {transpose = false} : (memref<16x16xf16, #tl.scope<"shared">>, i32, i32) -> (i32, i32, i32, i32)
    "tl.store_words"(%l, %true, %zero, %w#0, %w#1, %w#2, %w#3) : (memref<8xf16, #tl.scope<"local">>, i1, i32, i32, i32, i32, i32) -> ()
    %v:4 = "tl.load_words"(%l, %true, %zero) : (memref<8xf16, #tl.scope<"local">>, i1, i32) -> (i32, i32, i32, i32)
    %d:4 = "tl.warp_mma"(%v#0, %v#1, %v#2, %v#3, %w#0, %w#1, %zero, %zero, %zero, %zero) {shape = array<i32: 16, 8, 16>, segments = array<i32: 4, 2, 4>, a = "f16", b = "f16", c = "f32"} : (i32, i32, i32, i32, i32, i32, i32, i32, i32, i32) -> (i32, i32, i32, i32)
    "tl.store_matrix"(%s, %bx, %zero, %d#0) {count = 1 : i32, transpose = true} : (memref<16x16xf16, #tl.scope<"shared">>, i32, i32, i32) -> ()
  }) {threads = array<i32: 32, 1, 1>, tl.shared_bytes = 512 : i64} : (i32) -> ()
  return
}
