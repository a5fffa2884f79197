// RUN: tl-opt %s --plan-shared-memory --target=sm_80 | filecheck %s
// RUN: tl-opt %s --plan-shared-memory=reuse=false --target=sm_80 | filecheck %s --check-prefix=APART

#plain = #tl.smem<array<i64: 1024>, array<i64: 1024, 0, 1, 1>, array<i64: 0, 0, 0>>
!s = memref<1024xf32, #tl.scope<"shared">>

// a and b live at different times and share memory; c lives through both.
// CHECK-LABEL: func.func @reuse
// CHECK: tl.offset = 0 : i64
// CHECK: tl.offset = 0 : i64
// CHECK: tl.offset = 4096 : i64
// CHECK: tl.shared_bytes = 8192 : i64
// APART-LABEL: func.func @reuse
// APART: tl.offset = 0 : i64
// APART: tl.offset = 4096 : i64
// APART: tl.offset = 8192 : i64
// APART: tl.shared_bytes = 12288 : i64
func.func @reuse() {
  %one = arith.constant 1 : i32
  %zero = arith.constant 0 : i32
  %z = arith.constant 0.0 : f32
  %i = arith.constant 0 : index
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() {layout = #plain} : () -> !s
    %b = "tl.alloc"() {layout = #plain} : () -> !s
    %c = "tl.alloc"() {layout = #plain} : () -> !s
    memref.store %z, %c[%i] : !s
    memref.store %z, %a[%i] : !s
    %x = memref.load %a[%i] : !s
    memref.store %x, %b[%i] : !s
    %y = memref.load %c[%i] : !s
    memref.store %y, %b[%i] : !s
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}

// A swizzled tile of two stages starts at a whole swizzle pattern; a padded one takes its padding, but not the last row's.
// CHECK-LABEL: func.func @padded_and_swizzled
// CHECK: tl.offset = 2048 : i64} : () -> memref<3x5xf16
// CHECK: tl.offset = 0 : i64} : () -> memref<2x8x64xf16
// CHECK: tl.shared_bytes = 2110 : i64
func.func @padded_and_swizzled() {
  %one = arith.constant 1 : i32
  %z = arith.constant 0.0 : f16
  %i = arith.constant 0 : index
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() {layout = #tl.smem<array<i64: 3, 5>, array<i64: 5, 1, 1, 1, 3, 0, 1, 13>, array<i64: 0, 0, 0>>} : () -> memref<3x5xf16, #tl.scope<"shared">>
    %b = "tl.alloc"() {layout = #tl.smem<array<i64: 8, 64>, array<i64: 64, 1, 1, 1, 8, 0, 1, 64>, array<i64: 3, 3, 3>>} : () -> memref<2x8x64xf16, #tl.scope<"shared">>
    memref.store %z, %a[%i, %i] : memref<3x5xf16, #tl.scope<"shared">>
    memref.store %z, %b[%i, %i, %i] : memref<2x8x64xf16, #tl.scope<"shared">>
    %x = memref.load %a[%i, %i] : memref<3x5xf16, #tl.scope<"shared">>
    memref.store %x, %b[%i, %i, %i] : memref<2x8x64xf16, #tl.scope<"shared">>
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
