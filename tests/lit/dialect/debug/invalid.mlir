// The verifier messages.
// RUN: tl-opt %s --split-input-file --verify-diagnostics

func.func @f(%x: f32) {
  // expected-error@+1 {{requires attribute 'message'}}
  "tl.print"(%x) : (f32) -> ()
  return
}

// -----

func.func @f(%p: !llvm.ptr<1>) {
  // expected-error@+1 {{prints scalars and buffers, got !llvm.ptr<1>}}
  "tl.print"(%p) {message = "p"} : (!llvm.ptr<1>) -> ()
  return
}

// -----

func.func @f(%r: memref<4xf32, 3>) {
  // expected-error@+1 {{operand #0 has memory space 3}}
  "tl.print"(%r) {message = "p"} : (memref<4xf32, 3>) -> ()
  return
}

// -----

func.func @f(%i: i32) {
  // expected-error@+1 {{condition must be i1, got i32}}
  "tl.assert"(%i) {message = "p"} : (i32) -> ()
  return
}

// -----

func.func @f(%c: i1) {
  // expected-error@+1 {{attribute 'message' must be a string, got 3 : i32}}
  "tl.assert"(%c) {message = 3 : i32} : (i1) -> ()
  return
}

// -----

func.func @f(%i: i32) {
  // expected-error@+1 {{condition must be i1, got i32}}
  "tl.assume"(%i) : (i32) -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{expects 1 operands, got 0}}
  "tl.assume"() : () -> ()
  return
}
