// A product under way reads its tiles until it has been waited for: a barrier before the wait does not order what is
// written after it. A product that ends where it stands is ordered by any barrier behind it.
// RUN: tl-opt %s --target=sm_90a --insert-barriers | filecheck %s

#swizzled = #tl.smem<array<i64: 64, 64>, array<i64: 64, 1, 1, 1, 64, 0, 1, 64>, array<i64: 3, 3, 3>>
#sums = #tl.fragment<array<i64: 64, 64>, array<i64: 4, 1, 2, 8, 0, 1, 4, 0, 16>, array<i64: 2, 1, 1, 2, 0, 8, 8, 1, 8>>
!s = memref<64x64xf16, #tl.scope<"shared">>
!f = memref<64x64xf32, #tl.scope<"fragment">>
!h = memref<64x64xf16, #tl.scope<"fragment">>

// CHECK-LABEL: func.func @under_way(
// CHECK: "tl.gemm"
// CHECK-NEXT: "tl.sync_threads"
// CHECK-NEXT: "tl.wait_products"
// CHECK-NEXT: "tl.sync_threads"
// CHECK-NEXT: "tl.copy"
func.func @under_way(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() {layout = #swizzled, tl.offset = 0 : i64} : () -> !s
    %b = "tl.alloc"() {layout = #swizzled, tl.offset = 8192 : i64} : () -> !s
    %c = "tl.alloc"() {layout = #sums} : () -> !f
    %h = "tl.alloc"() {layout = #sums} : () -> !h
    "tl.gemm"(%a, %b, %c) {asynchronous, clear = true, instr = "wgmma", policy = "square", transpose_a = false, transpose_b = true} : (!s, !s, !f) -> ()
    "tl.sync_threads"() : () -> ()
    "tl.wait_products"(%c) {pending = 0 : i32} : (!f) -> ()
    "tl.copy"(%h, %a) : (!h, !s) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// CHECK-LABEL: func.func @complete(
// CHECK: "tl.gemm"
// CHECK-NEXT: "tl.sync_threads"
// CHECK-NEXT: "tl.copy"
func.func @complete(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() {layout = #swizzled, tl.offset = 0 : i64} : () -> !s
    %b = "tl.alloc"() {layout = #swizzled, tl.offset = 8192 : i64} : () -> !s
    %c = "tl.alloc"() {layout = #sums} : () -> !f
    %h = "tl.alloc"() {layout = #sums} : () -> !h
    "tl.gemm"(%a, %b, %c) {clear = true, instr = "wgmma", policy = "square", transpose_a = false, transpose_b = true} : (!s, !s, !f) -> ()
    "tl.sync_threads"() : () -> ()
    "tl.copy"(%h, %a) : (!h, !s) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
