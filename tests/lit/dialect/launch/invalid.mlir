// The verifier messages.
// RUN: tl-opt %s --split-input-file --verify-diagnostics

func.func @f() {
  // expected-error@+1 {{expects 1 to 3 operands, got 0}}
  "tl.launch"() ({
  ^bb0:
  }) {threads = array<i32: 128, 1, 1>} : () -> ()
  return
}

// -----

func.func @f(%i: i32) {
  // expected-error@+1 {{expects 1 regions, got 0}}
  "tl.launch"(%i) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

func.func @f(%i: i32) {
  // expected-error@+1 {{requires attribute 'threads'}}
  "tl.launch"(%i) ({
  ^bb0(%b: i32):
  }) : (i32) -> ()
  return
}

// -----

func.func @f(%i: i32) {
  // expected-error@+1 {{expects three positive thread counts, got [128]}}
  "tl.launch"(%i) ({
  ^bb0(%b: i32):
  }) {threads = array<i32: 128>} : (i32) -> ()
  return
}

// -----

func.func @f(%i: i32) {
  // expected-error@+1 {{expects three positive thread counts, got [128, 0, 1]}}
  "tl.launch"(%i) ({
  ^bb0(%b: i32):
  }) {threads = array<i32: 128, 0, 1>} : (i32) -> ()
  return
}

// -----

func.func @f(%j: i64) {
  // expected-error@+1 {{grid size must be i32, got i64}}
  "tl.launch"(%j) ({
  ^bb0(%b: i32):
  }) {threads = array<i32: 128, 1, 1>} : (i64) -> ()
  return
}

// -----

func.func @f(%i: i32) {
  // expected-error@+1 {{has 1 grid dimensions but 2 block arguments}}
  "tl.launch"(%i) ({
  ^bb0(%b: i32, %d: i32):
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

func.func @f(%i: i32) {
  // expected-error@+1 {{block argument must be i32, got index}}
  "tl.launch"(%i) ({
  ^bb0(%b: index):
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

func.func @f(%i: i32) {
  "tl.launch"(%i) ({
  ^bb0(%b: i32):
    // expected-error@+1 {{is nested in another tl.launch}}
    "tl.launch"(%i) ({
    ^bb0(%d: i32):
    }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{requires attribute 'extents'}}
  "tl.parallel"() ({
  ^bb0(%b: i32):
  }) : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{has 1 dynamic extents but 0 operands}}
  "tl.parallel"() ({
  ^bb0(%b: i32):
  }) {extents = array<i64: -1>} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{has a negative extent in [-2]}}
  "tl.parallel"() ({
  ^bb0(%b: i32):
  }) {extents = array<i64: -2>} : () -> ()
  return
}

// -----

func.func @f(%j: i64) {
  // expected-error@+1 {{extent must be i32, got i64}}
  "tl.parallel"(%j) ({
  ^bb0(%b: i32):
  }) {extents = array<i64: -1>} : (i64) -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{has 2 extents but 1 block arguments}}
  "tl.parallel"() ({
  ^bb0(%b: i32):
  }) {extents = array<i64: 2, 3>} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{block argument must be i32, got index}}
  "tl.parallel"() ({
  ^bb0(%b: index):
  }) {extents = array<i64: 2>} : () -> ()
  return
}

// -----

func.func @f() {
  "tl.parallel"() ({
  ^bb0(%b: i32):
    // expected-error@+1 {{is nested in another tl.parallel: one loop has all the extents}}
    "tl.parallel"() ({
    ^bb0(%d: i32):
    }) {extents = array<i64: 2>} : () -> ()
  }) {extents = array<i64: 2>} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{attribute 'dim' is 3, expected 0 to 2}}
  "tl.thread_id"() {dim = 3 : i32} : () -> i32
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{result must be i32, got index}}
  "tl.thread_id"() {dim = 0 : i32} : () -> index
  return
}
