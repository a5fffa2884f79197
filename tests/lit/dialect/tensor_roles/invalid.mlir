// The verifier message.
// RUN: tl-opt %s --verify-diagnostics

func.func @f() {
  // expected-error@+1 {{attribute 'consumers' is 96, expected whole warpgroups of 128 threads}}
  "tl.tensor_roles"() ({
    "tl.sync_warp"() : () -> ()
  }, {
    "tl.sync_warp"() : () -> ()
  }, {
  }, {
    "tl.sync_threads"() : () -> ()
  }) {consumers = 96 : i32} : () -> ()
  return
}
