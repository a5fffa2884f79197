// The verifier messages.
// RUN: tl-opt %s --split-input-file --verify-diagnostics

func.func @f(%i: i32) {
  // expected-error@+1 {{a barrier numbered by an operand needs attribute 'id' = -1 and attribute 'count'}}
  "tl.sync_threads"(%i) : (i32) -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{attribute 'count' needs attribute 'id'}}
  "tl.sync_threads"() {count = 64 : i32} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{attribute 'id' must be an integer, got "a"}}
  "tl.sync_threads"() {id = "a"} : () -> ()
  return
}

// -----

func.func @f(%x: f32) {
  // expected-error@+1 {{expects integer operands, got f32}}
  "tl.sync_warp"(%x) : (f32) -> ()
  return
}

// -----

func.func @f(%x: f32) {
  // expected-error@+1 {{expects 0 operands, got 1}}
  "tl.sync_grid"(%x) : (f32) -> ()
  return
}

// -----

func.func @f(%i: i32, %x: f32) {
  // expected-error@+1 {{attribute 'kind' is 'rot', expected one of xor, up, down, idx}}
  "tl.shuffle"(%x, %i) {kind = "rot", width = 32 : i32} : (f32, i32) -> f32
  return
}

// -----

func.func @f(%i: i32, %x: f32) {
  // expected-error@+1 {{requires attribute 'width'}}
  "tl.shuffle"(%x, %i) {kind = "xor"} : (f32, i32) -> f32
  return
}

// -----

func.func @f(%i: i32, %x: f32) {
  // expected-error@+1 {{attribute 'width' is 12, expected a power of two up to 64}}
  "tl.shuffle"(%x, %i) {kind = "xor", width = 12 : i32} : (f32, i32) -> f32
  return
}

// -----

func.func @f(%x: f32) {
  // expected-error@+1 {{expects integer operands, got f32}}
  "tl.shuffle"(%x, %x) {kind = "xor", width = 32 : i32} : (f32, f32) -> f32
  return
}

// -----

func.func @f(%i: i32, %x: f32) {
  // expected-error@+1 {{result must be f32, got f16}}
  "tl.shuffle"(%x, %i) {kind = "xor", width = 32 : i32} : (f32, i32) -> f16
  return
}

// -----

func.func @f(%c: i1) {
  // expected-error@+1 {{attribute 'kind' is 'most', expected one of any, all}}
  "tl.vote"(%c) {kind = "most"} : (i1) -> i1
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{of kind 'any' takes 1 or 2 operands, got 0}}
  "tl.vote"() {kind = "any"} : () -> i1
  return
}

// -----

func.func @f(%c: i1) {
  // expected-error@+1 {{of kind 'activemask' takes 0 operands, got 1}}
  "tl.vote"(%c) {kind = "activemask"} : (i1) -> i64
  return
}

// -----

func.func @f(%c: i1) {
  // expected-error@+1 {{of kind 'block_or' takes 1 operands, got 2}}
  "tl.vote"(%c, %c) {kind = "block_or"} : (i1, i1) -> i1
  return
}

// -----

func.func @f(%x: f32) {
  // expected-error@+1 {{expects integer operands, got f32}}
  "tl.vote"(%x) {kind = "any"} : (f32) -> i1
  return
}

// -----

func.func @f(%c: i1) {
  // expected-error@+1 {{the result needs integers, got f32}}
  "tl.vote"(%c) {kind = "any"} : (i1) -> f32
  return
}

// -----

func.func @f(%x: f32) {
  // expected-error@+1 {{attribute 'kind' is 'xor', expected one of sum}}
  "tl.warp_reduce"(%x) {kind = "xor"} : (f32) -> f32
  return
}

// -----

func.func @f(%x: f32) {
  // expected-error@+1 {{kind 'and' needs integers, got f32}}
  "tl.warp_reduce"(%x) {kind = "and"} : (f32) -> f32
  return
}

// -----

func.func @f(%x: f32) {
  // expected-error@+1 {{result must be f32, got f16}}
  "tl.warp_reduce"(%x) {kind = "sum"} : (f32) -> f16
  return
}

// -----

func.func @f(%i: i32, %s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{operand #0 must be a !tl.barrier, got memref}}
  "tl.mbarrier_arrive"(%s, %i) : (memref<8x4xf32, #tl.scope<"shared">>, i32) -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{expects 2 to 3 operands, got 0}}
  "tl.mbarrier_arrive"() : () -> ()
  return
}

// -----

func.func @f(%i: i32, %x: f32) {
  %q = "tl.alloc_barrier"() {counts = array<i32: 1, 1>} : () -> !tl.barrier<2 : i64>
  // expected-error@+1 {{expects integer operands, got f32}}
  "tl.mbarrier_expect"(%q, %i, %x) : (!tl.barrier<2 : i64>, i32, f32) -> ()
  return
}

// -----

func.func @f(%i: i32) {
  %q = "tl.alloc_barrier"() {counts = array<i32: 1, 1>} : () -> !tl.barrier<2 : i64>
  // expected-error@+1 {{expects 3 operands, got 2}}
  "tl.mbarrier_wait"(%q, %i) : (!tl.barrier<2 : i64>, i32) -> ()
  return
}

// -----

func.func @f(%i: i32) {
  // expected-error@+1 {{operand #0 must be a !tl.barrier, got i32}}
  "tl.mbarrier_wait"(%i, %i, %i) : (i32, i32, i32) -> ()
  return
}

// -----

func.func @f(%i: i32, %x: f32) {
  // expected-error@+1 {{expects integer operands, got f32}}
  "tl.shuffle"(%x, %i, %x) {kind = "xor", width = 32 : i32} : (f32, i32, f32) -> f32
  return
}

// -----

func.func @f(%bar: !tl.barrier<1 : i64>, %i: i32, %x: f32) {
  // expected-error@+1 {{'phase' must be a parity (i32) or a state (i64), got f32}}
  %a = "tl.mbarrier_test"(%bar, %i, %x) : (!tl.barrier<1 : i64>, i32, f32) -> i1
  return
}
