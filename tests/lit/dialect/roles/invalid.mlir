// The verifier messages.
// RUN: tl-opt %s --split-input-file --verify-diagnostics

func.func @f() {
  // expected-error@+1 {{expects 2 regions, got 1}}
  "tl.specialize"() ({
    "tl.fence_proxy"() : () -> ()
  }) {consumers = 128 : i32} : () -> ()
  return
}

// -----

func.func @f(%i: i32) {
  // expected-error@+1 {{expects 0 operands, got 1}}
  "tl.specialize"(%i) ({
    "tl.fence_proxy"() : () -> ()
  }, {
    "tl.fence_proxy"() : () -> ()
  }) {consumers = 128 : i32} : (i32) -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{requires attribute 'consumers'}}
  "tl.specialize"() ({
    "tl.fence_proxy"() : () -> ()
  }, {
    "tl.fence_proxy"() : () -> ()
  }) : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{attribute 'consumers' must be an integer, got "all"}}
  "tl.specialize"() ({
    "tl.fence_proxy"() : () -> ()
  }, {
    "tl.fence_proxy"() : () -> ()
  }) {consumers = "all"} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{attribute 'consumers' is 192, expected whole warpgroups of 128 threads}}
  "tl.specialize"() ({
    "tl.fence_proxy"() : () -> ()
  }, {
    "tl.fence_proxy"() : () -> ()
  }) {consumers = 192 : i32} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{attribute 'consumers' is 0, expected whole warpgroups of 128 threads}}
  "tl.specialize"() ({
    "tl.fence_proxy"() : () -> ()
  }, {
    "tl.fence_proxy"() : () -> ()
  }) {consumers = 0 : i32} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{attribute 'action' is 'skip', expected one of open, take, pass}}
  "tl.turn"() {action = "skip"} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{attribute 'groups' is [0, 2], expected consecutive warpgroups}}
  "tl.warpgroups"() ({
    "tl.fence_proxy"() : () -> ()
  }) {groups = array<i32: 0, 2>} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{occurs outside of tl.specialize}}
  "tl.turn"() {action = "take"} : () -> ()
  return
}

// -----

func.func @f() {
  "tl.warpgroups"() ({
    // expected-error@+1 {{is for threads 96 to 159, the tl.warpgroups around it for 0 to 127}}
    "tl.warpgroups"() ({
      "tl.fence_proxy"() : () -> ()
    }) {groups = array<i32: 3, 4>, warps} : () -> ()
  }) {groups = array<i32: 0>} : () -> ()
  return
}
