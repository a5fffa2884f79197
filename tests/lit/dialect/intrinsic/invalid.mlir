// The verifier messages.
// RUN: tl-opt %s --split-input-file --verify-diagnostics

func.func @f() {
  // expected-error@+1 {{attribute 'name' is "cluster_rest", expected one of}}
  "tl.intrinsic"() {name = "cluster_rest"} : () -> ()
  return
}

// -----

func.func @f(%i: i32) {
  // expected-error@+1 {{"cluster_wait" takes 0 operands, got 1}}
  "tl.intrinsic"(%i) {name = "cluster_wait"} : (i32) -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{"cluster_rank" has 1 results, got 0}}
  "tl.intrinsic"() {name = "cluster_rank"} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{"set_registers" requires the integer attribute 'increase'}}
  "tl.intrinsic"() {name = "set_registers", count = 24 : i32} : () -> ()
  return
}
