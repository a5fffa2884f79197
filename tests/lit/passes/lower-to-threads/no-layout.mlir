// RUN: tl-opt %s --lower-to-threads --target=sm_80 --verify-diagnostics

func.func @no_layout() {
  %one = arith.constant 1 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    // expected-error@+1 {{a parallel loop without a layout reached lowering}}
    "tl.parallel"() ({
    ^bb0(%i: i32):
    }) {extents = array<i64: 64>} : () -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
