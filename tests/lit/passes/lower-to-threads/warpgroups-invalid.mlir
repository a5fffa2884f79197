// Regions and instructions that the target or the launch does not have.
// RUN: tl-opt %s --split-input-file --target=sm_80 --lower-to-threads --verify-diagnostics

func.func @too_few(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    // expected-error@+1 {{warpgroups [1] do not exist in a CTA of 128x1x1 threads}}
    "tl.warpgroups"() ({
      "tl.sync_threads"() : () -> ()
    }) {groups = array<i32: 1>} : () -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

func.func @registers(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    // expected-error@+1 {{set_registers needs setmaxnreg, which cuda:sm_80 lacks}}
    "tl.intrinsic"() {name = "set_registers", count = 24 : i32, increase = 0 : i32} : () -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
