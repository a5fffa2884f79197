// Errors in the program and in the form of the input.
// RUN: tl-opt %s --layout-inference --plan-shared-memory --lower-to-threads --target=sm_80 --split-input-file --verify-diagnostics

!f = memref<64xf32, #tl.scope<"fragment">>
#f = #tl.fragment<array<i64: 64>, array<i64: 32, 0, 1>, array<i64: 2, 0, 32>>

func.func @run_time_index(%n: i32) attributes {tl.params = [{dtype = "int32", kind = "scalar", name = "n"}]} {
  %one = arith.constant 1 : i32
  %z = arith.constant 1.0 : f32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %f = "tl.alloc"() {layout = #f} : () -> !f
    %i = arith.index_cast %n : i32 to index
    // expected-error@+1 {{a fragment is indexed with a run-time value}}
    memref.store %z, %f[%i] : !f
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}

// -----

!f = memref<64xf32, #tl.scope<"fragment">>
#f = #tl.fragment<array<i64: 64>, array<i64: 32, 0, 1>, array<i64: 2, 0, 32>>
#other = #tl.fragment<array<i64: 64>, array<i64: 32, 0, 2>, array<i64: 2, 0, 1>>
func.func @not_held() {
  %one = arith.constant 1 : i32
  %z = arith.constant 1.0 : f32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %f = "tl.alloc"() {layout = #f} : () -> !f
    "tl.parallel"() ({
    ^bb0(%i: i32):
      %ii = arith.index_cast %i : i32 to index
      // expected-error@+1 {{thread 0 accesses element [1] of a fragment that it does not hold}}
      memref.store %z, %f[%ii] : !f
    }) {extents = array<i64: 64>, layout = #other} : () -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}

// -----

func.func @k() {
  %one = arith.constant 1 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<16x24xf16, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<24x8xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<16x8xf32, #tl.scope<"fragment">>
    // expected-error@+1 {{K = 24 is no multiple of 16}}
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = false} : (memref<16x24xf16, #tl.scope<"shared">>, memref<24x8xf16, #tl.scope<"shared">>, memref<16x8xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
