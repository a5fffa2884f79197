// The verifier messages.
// RUN: tl-opt %s --split-input-file --verify-diagnostics

func.func @f(%l: memref<8xf16, #tl.scope<"fragment">>, %i: i32) {
  // expected-error@+1 {{operand #0 is in scope 'fragment', expected global or shared or local}}
  %a = "tl.address"(%l, %i) {access = "r"} : (memref<8xf16, #tl.scope<"fragment">>, i32) -> i64
  return
}

// -----

func.func @f(%l: memref<8xf16, #tl.scope<"local">>, %i: i32) {
  // expected-error@+1 {{attribute 'access' is 'x', expected one of r, w, rw}}
  %a = "tl.address"(%l, %i) {access = "x"} : (memref<8xf16, #tl.scope<"local">>, i32) -> i64
  return
}

// -----

func.func @f(%x: i64) {
  // expected-error@+1 {{requires attribute 'types' with 1 strings}}
  "tl.call_extern"(%x) {name = "f", result = "", types = []} : (i64) -> ()
  return
}

// -----

func.func @f(%x: i64) {
  // expected-error@+1 {{attribute 'result' says whether there is a result}}
  "tl.call_extern"(%x) {name = "f", result = "int32", types = ["int64"]} : (i64) -> ()
  return
}
