// The verifier messages.
// RUN: tl-opt %s --split-input-file --verify-diagnostics

!g = memref<64x64xf16, #tl.scope<"global">>
!s = memref<64x64xf16, #tl.scope<"shared">>
func.func @f(%g: !g, %s: !s, %b: !tl.barrier<1 : i64>, %i: i32) {
  // expected-error@+1 {{operand #0 is in scope 'global', expected shared}}
  "tl.cluster_copy"(%g, %s, %b, %i, %i) : (!g, !s, !tl.barrier<1 : i64>, i32, i32) -> ()
  return
}

// -----

!s = memref<64x64xf16, #tl.scope<"shared">>
!t = memref<64x32xf16, #tl.scope<"shared">>
func.func @f(%s: !s, %t: !t, %b: !tl.barrier<1 : i64>, %i: i32) {
  // expected-error@+1 {{source and destination differ in shape: [64, 64] and [64, 32]}}
  "tl.cluster_copy"(%s, %t, %b, %i, %i) : (!s, !t, !tl.barrier<1 : i64>, i32, i32) -> ()
  return
}

// -----

!s = memref<64x64xf16, #tl.scope<"shared">>
!t = memref<64x64xbf16, #tl.scope<"shared">>
func.func @f(%s: !s, %t: !t, %b: !tl.barrier<1 : i64>, %i: i32) {
  // expected-error@+1 {{source and target}}
  "tl.cluster_copy"(%s, %t, %b, %i, %i) : (!s, !t, !tl.barrier<1 : i64>, i32, i32) -> ()
  return
}

// -----

!s = memref<64x64xf16, #tl.scope<"shared">>
func.func @f(%s: !s, %i: i32) {
  // expected-error@+1 {{expects 5 operands, got 3}}
  "tl.cluster_copy"(%s, %s, %i) : (!s, !s, i32) -> ()
  return
}

// -----

!s = memref<64x64xf16, #tl.scope<"shared">>
!t = memref<64x32xf16, #tl.scope<"shared">>
func.func @f(%s: !s, %t: !t, %i: i32) {
  // expected-error@+1 {{source and destination differ in shape: [64, 64] and [64, 32]}}
  "tl.cluster_store"(%s, %t, %i) : (!s, !t, i32) -> ()
  return
}

// -----

!s = memref<64x64xf16, #tl.scope<"shared">>
func.func @f(%s: !s) {
  // expected-error@+1 {{operand #0 is in scope 'shared', expected global}}
  "tl.prefetch"(%s) : (!s) -> ()
  return
}

// -----

!g = memref<64xf16, #tl.scope<"global">>
!s = memref<64xf16, #tl.scope<"shared">>
func.func @f(%g: !g, %s: !s, %b: !tl.barrier<1 : i64>, %i: i32) {
  // expected-error@+1 {{copies 24 bytes, expected a positive multiple of 16}}
  "tl.bulk_words"(%g, %s, %b, %i, %i, %i) {bytes = 24 : i32} : (!g, !s, !tl.barrier<1 : i64>, i32, i32, i32) -> ()
  return
}

// -----

!g = memref<64xf16, #tl.scope<"global">>
!s = memref<64xf16, #tl.scope<"shared">>
func.func @f(%g: !g, %s: !s, %b: !tl.barrier<1 : i64>, %i: i32) {
  // expected-error@+1 {{has 1 indices for buffers of rank 1 and 1}}
  "tl.bulk_words"(%g, %s, %b, %i, %i) {bytes = 32 : i32} : (!g, !s, !tl.barrier<1 : i64>, i32, i32) -> ()
  return
}

// -----

func.func @f(%i: i32) {
  // expected-error@+1 {{barrier}}
  "tl.mbarrier_meet"(%i, %i) : (i32, i32) -> ()
  return
}
