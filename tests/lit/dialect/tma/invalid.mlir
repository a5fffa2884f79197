// The verifier messages.
// RUN: tl-opt %s --split-input-file --verify-diagnostics

!g = memref<64x64xf16, #tl.scope<"global">>
!s = memref<64x64xf16, #tl.scope<"shared">>
func.func @f(%g: !g, %s: !s) {
  // expected-error@+1 {{expects 4 operands, got 2}}
  "tl.tma_load"(%g, %s) : (!g, !s) -> ()
  return
}

// -----

!g = memref<64x64xf16, #tl.scope<"global">>
!s = memref<64x64xf16, #tl.scope<"shared">>
func.func @f(%g: !g, %s: !s, %b: !tl.barrier<1 : i64>, %i: i32) {
  // expected-error@+1 {{operand #0 is in scope 'shared', expected global}}
  "tl.tma_load"(%s, %g, %b, %i) : (!s, !g, !tl.barrier<1 : i64>, i32) -> ()
  return
}

// -----

!g = memref<64x64xf16, #tl.scope<"global">>
!f = memref<64x64xf16, #tl.scope<"fragment">>
func.func @f(%g: !g, %f: !f, %b: !tl.barrier<1 : i64>, %i: i32) {
  // expected-error@+1 {{is in scope 'fragment', expected shared}}
  "tl.tma_load"(%g, %f, %b, %i) : (!g, !f, !tl.barrier<1 : i64>, i32) -> ()
  return
}

// -----

!g = memref<64x64xf16, #tl.scope<"global">>
!s = memref<64x64xf16, #tl.scope<"shared">>
func.func @f(%g: !g, %s: !s, %i: i32) {
  // expected-error@+1 {{must be a !tl.barrier, got i32}}
  "tl.tma_load"(%g, %s, %i, %i) : (!g, !s, i32, i32) -> ()
  return
}

// -----

!g = memref<64x64xf16, #tl.scope<"global">>
!s = memref<64x64xf16, #tl.scope<"shared">>
func.func @f(%g: !g, %s: !s, %b: !tl.barrier<1 : i64>, %x: f32) {
  // expected-error@+1 {{expects integer operands, got f32}}
  "tl.tma_load"(%g, %s, %b, %x) : (!g, !s, !tl.barrier<1 : i64>, f32) -> ()
  return
}

// -----

!g = memref<64x32xf16, #tl.scope<"global">>
!s = memref<64x64xf16, #tl.scope<"shared">>
func.func @f(%g: !g, %s: !s, %b: !tl.barrier<1 : i64>, %i: i32) {
  // expected-error@+1 {{source and destination differ in shape: [64, 32] and [64, 64]}}
  "tl.tma_load"(%g, %s, %b, %i) : (!g, !s, !tl.barrier<1 : i64>, i32) -> ()
  return
}

// -----

!g = memref<64x96xi8, #tl.scope<"global">>
!s = memref<64x128xi8, #tl.scope<"shared">>
func.func @f(%g: !g, %s: !s, %b: !tl.barrier<1 : i64>, %i: i32) {
  // expected-error@+1 {{tiles of [64, 96] bytes and [64, 128] elements of e2m1}}
  "tl.tma_load"(%g, %s, %b, %i) {gaps = "e2m1"} : (!g, !s, !tl.barrier<1 : i64>, i32) -> ()
  return
}

// -----

!g = memref<64x64xf32, #tl.scope<"global">>
!s = memref<64x64xf16, #tl.scope<"shared">>
func.func @f(%g: !g, %s: !s, %b: !tl.barrier<1 : i64>, %i: i32) {
  // expected-error@+1 {{source and target differ in element type: f32 and f16}}
  "tl.tma_load"(%g, %s, %b, %i) : (!g, !s, !tl.barrier<1 : i64>, i32) -> ()
  return
}

// -----

!g = memref<64x64xf16, #tl.scope<"global">>
!f = memref<64x64xf16, #tl.scope<"fragment">>
func.func @f(%g: !g, %f: !f) {
  // expected-error@+1 {{operand #0 is in scope 'fragment', expected shared}}
  "tl.tma_store"(%f, %g) : (!f, !g) -> ()
  return
}

// -----

!s = memref<64x64xf16, #tl.scope<"shared">>
func.func @f(%s: !s) {
  // expected-error@+1 {{is in scope 'shared', expected global}}
  "tl.tma_store"(%s, %s) : (!s, !s) -> ()
  return
}

// -----

!g = memref<64x64xbf16, #tl.scope<"global">>
!s = memref<64x64xf16, #tl.scope<"shared">>
func.func @f(%g: !g, %s: !s) {
  // expected-error@+1 {{source and target differ in element type: f16 and bf16}}
  "tl.tma_store"(%s, %g) : (!s, !g) -> ()
  return
}

// -----

!g = memref<64x65xf16, #tl.scope<"global">>
!s = memref<64x64xf16, #tl.scope<"shared">>
func.func @f(%g: !g, %s: !s) {
  // expected-error@+1 {{source and destination differ in shape: [64, 64] and [64, 65]}}
  "tl.tma_store"(%s, %g) : (!s, !g) -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{requires attribute 'pending'}}
  "tl.tma_wait"() : () -> ()
  return
}

// -----

func.func @f(%i: i32) {
  // expected-error@+1 {{expects 0 operands, got 1}}
  "tl.tma_wait"(%i) {pending = 0 : i32} : (i32) -> ()
  return
}

// -----

func.func @f(%i: i32) {
  // expected-error@+1 {{expects exactly 0 operands, but got 1}}
  "tl.fence_proxy"(%i) : (i32) -> ()
  return
}

// -----

!s = memref<64x64xf32, #tl.scope<"shared">>
func.func @f(%s: !s) {
  // expected-error@+1 {{operand #0 is in scope 'shared', expected fragment}}
  "tl.wait_products"(%s) {pending = 0 : i32} : (!s) -> ()
  return
}

// -----

!f = memref<64x64xf32, #tl.scope<"fragment">>
func.func @f(%f: !f) {
  // expected-error@+1 {{requires attribute 'pending'}}
  "tl.wait_products"(%f) : (!f) -> ()
  return
}

// -----

!f = memref<64x64xf32, #tl.scope<"fragment">>
!s = memref<2x64x32xf16, #tl.scope<"shared">>
!g = memref<64x64xf16, #tl.scope<"global">>
func.func @f(%f: !f, %s: !s, %g: !g) {
  // expected-error@+1 {{stages through [2, 64, 32], expected buffers of 64 rows of 128 bytes}}
  "tl.staged_store"(%f, %s, %g) : (!f, !s, !g) -> ()
  return
}

// -----

!f = memref<64x64xf32, #tl.scope<"fragment">>
!s = memref<2x64x64xf16, #tl.scope<"shared">>
!g = memref<64x64xf32, #tl.scope<"global">>
func.func @f(%f: !f, %s: !s, %g: !g) {
  // expected-error@+1 {{staging and target}}
  "tl.staged_store"(%f, %s, %g) : (!f, !s, !g) -> ()
  return
}

// -----

!f = memref<64x64xf32, #tl.scope<"fragment">>
!s = memref<2x64x64xf16, #tl.scope<"shared">>
!g = memref<64x128xf16, #tl.scope<"global">>
func.func @f(%f: !f, %s: !s, %g: !g) {
  // expected-error@+1 {{source and destination differ in shape: [64, 64] and [64, 128]}}
  "tl.staged_store"(%f, %s, %g) : (!f, !s, !g) -> ()
  return
}

// -----

!f = memref<64x128xf32, #tl.scope<"fragment">>
!s = memref<2x64x64xf16, #tl.scope<"shared">>
!g = memref<64x128xf16, #tl.scope<"global">>
func.func @f(%f: !f, %s: !s, %g: !g) {
  // expected-error@+1 {{the transpose of a fragment has shape [128, 64], its target [64, 128]}}
  "tl.staged_store"(%f, %s, %g) {transposed} : (!f, !s, !g) -> ()
  return
}

// -----

!f = memref<64x64xf32, #tl.scope<"fragment">>
!s = memref<2x64x32xf32, #tl.scope<"shared">>
!g = memref<64x64xf32, #tl.scope<"global">>
func.func @f(%f: !f, %s: !s, %g: !g) {
  // expected-error@+1 {{transposes elements of f32, expected 16 bits}}
  "tl.staged_store"(%f, %s, %g) {transposed} : (!f, !s, !g) -> ()
  return
}

// -----

!s = memref<2x64x64xf16, #tl.scope<"shared">>
!g = memref<64x64xf16, #tl.scope<"global">>
func.func @f(%s: !s, %g: !g) {
  // expected-error@+1 {{operand #0 is in scope 'shared', expected fragment}}
  "tl.staged_store"(%s, %s, %g) : (!s, !s, !g) -> ()
  return
}

// -----

!g = memref<64x64xf16, #tl.scope<"global">>
!s = memref<8x64xf16, #tl.scope<"shared">>
func.func @f(%g: !g, %s: !s, %i: i32) {
  // expected-error@+1 {{copies a tile of [8, 64] of a tensor of rank 2, expected four rows and 2}}
  "tl.tma_scatter4"(%s, %g, %i, %i, %i, %i, %i) : (!s, !g, i32, i32, i32, i32, i32) -> ()
  return
}

// -----

!g = memref<64x64xf16, #tl.scope<"global">>
!s = memref<4x64xf32, #tl.scope<"shared">>
func.func @f(%g: !g, %s: !s, %b: !tl.barrier<1 : i64>, %i: i32) {
  // expected-error@+1 {{the tensor and the tile}}
  "tl.tma_gather4"(%g, %s, %b, %i, %i, %i, %i, %i, %i) : (!g, !s, !tl.barrier<1 : i64>, i32, i32, i32, i32, i32, i32) -> ()
  return
}

// -----

!g = memref<64x64xf16, #tl.scope<"global">>
!s = memref<4x64xf16, #tl.scope<"shared">>
func.func @f(%g: !g, %s: !s, %b: !tl.barrier<1 : i64>, %i: i32) {
  // expected-error@+1 {{expects 9 operands, got 5}}
  "tl.tma_gather4"(%g, %s, %b, %i, %i) : (!g, !s, !tl.barrier<1 : i64>, i32, i32) -> ()
  return
}

// -----

!g = memref<64x64xf16, #tl.scope<"global">>
!s = memref<64x64xf16, #tl.scope<"shared">>
func.func @f(%g: !g, %s: !s, %b: !tl.barrier<1 : i64>, %i: i32) {
  // expected-error@+1 {{'leaders' must be a multiple of 32, got 48}}
  "tl.tma_load"(%g, %s, %b, %i) {explicit, leaders = 48 : i32} : (!g, !s, !tl.barrier<1 : i64>, i32) -> ()
  return
}

// -----

!g = memref<64x64xf16, #tl.scope<"global">>
!s = memref<64x64xf16, #tl.scope<"shared">>
func.func @f(%g: !g, %s: !s) {
  // expected-error@+1 {{'leaders' needs 'explicit'}}
  "tl.tma_store"(%s, %g) {leaders = 32 : i32} : (!s, !g) -> ()
  return
}
