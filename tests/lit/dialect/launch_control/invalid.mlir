// The verifier messages.
// RUN: tl-opt %s --split-input-file --verify-diagnostics

!a = memref<8xi32, #tl.scope<"shared">>
func.func @f(%a: !a, %b: !tl.barrier<1 : i64>, %i: i32) {
  // expected-error@+1 {{the answer takes 16 bytes, got a tile of 32}}
  "tl.clc_try_cancel"(%a, %b, %i) : (!a, !tl.barrier<1 : i64>, i32) -> ()
  return
}

// -----

!a = memref<4xi32, #tl.scope<"shared">>
func.func @f(%a: !a) {
  // expected-error@+1 {{attribute 'field' is 'w', expected one of is_canceled, x, y, z}}
  %0 = "tl.clc_query"(%a) {field = "w"} : (!a) -> i32
  return
}
