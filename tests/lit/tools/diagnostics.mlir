// RUN: tl-opt %s --split-input-file --verify-diagnostics
// RUN: not tl-opt %s --split-input-file 2>&1 | filecheck %s

// CHECK: diagnostics.mlir:7:3: error: 'tl.thread_id' op requires attribute 'dim'
func.func @missing() {
  // expected-error@+1 {{requires attribute 'dim'}}
  "tl.thread_id"() : () -> i32
  return
}

// -----

func.func @fine() {
  return
}
// CHECK: func.func @fine
