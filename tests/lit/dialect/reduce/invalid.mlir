// The verifier messages.
// RUN: tl-opt %s --split-input-file --verify-diagnostics

func.func @f(%f: memref<8x4xf32, #tl.scope<"fragment">>) {
  // expected-error@+1 {{expects 2 operands, got 1}}
  "tl.reduce"(%f) {clear = true, dim = 1 : i32, kind = "sum"} : (memref<8x4xf32, #tl.scope<"fragment">>) -> ()
  return
}

// -----

func.func @f(%f: memref<8x4xf32, #tl.scope<"fragment">>, %l: memref<4xf32, #tl.scope<"local">>) {
  // expected-error@+1 {{requires attribute 'clear'}}
  "tl.reduce"(%f, %l) {dim = 0 : i32, kind = "sum"} : (memref<8x4xf32, #tl.scope<"fragment">>, memref<4xf32, #tl.scope<"local">>) -> ()
  return
}

// -----

func.func @f(%f: memref<8x4xf32, #tl.scope<"fragment">>, %l: memref<4xf32, #tl.scope<"local">>) {
  // expected-error@+1 {{attribute 'kind' is 'mean', expected one of sum, max}}
  "tl.reduce"(%f, %l) {clear = true, dim = 0 : i32, kind = "mean"} : (memref<8x4xf32, #tl.scope<"fragment">>, memref<4xf32, #tl.scope<"local">>) -> ()
  return
}

// -----

func.func @f(%g: memref<8x4xf32, #tl.scope<"global">>, %l: memref<4xf32, #tl.scope<"local">>) {
  // expected-error@+1 {{operand #0 is in scope 'global', expected fragment or shared or local}}
  "tl.reduce"(%g, %l) {clear = true, dim = 0 : i32, kind = "sum"} : (memref<8x4xf32, #tl.scope<"global">>, memref<4xf32, #tl.scope<"local">>) -> ()
  return
}

// -----

func.func @f(%f: memref<8x4xf32, #tl.scope<"fragment">>, %l: memref<4xf32, #tl.scope<"local">>) {
  // expected-error@+1 {{attribute 'dim' is 2, expected 0 to 1}}
  "tl.reduce"(%f, %l) {clear = true, dim = 2 : i32, kind = "sum"} : (memref<8x4xf32, #tl.scope<"fragment">>, memref<4xf32, #tl.scope<"local">>) -> ()
  return
}

// -----

func.func @f(%f: memref<8x4xf32, #tl.scope<"fragment">>, %l: memref<4xf32, #tl.scope<"local">>) {
  // expected-error@+1 {{reduces [8, 4] over dimension 1 into [4], expected [8] or [8, 1]}}
  "tl.reduce"(%f, %l) {clear = true, dim = 1 : i32, kind = "sum"} : (memref<8x4xf32, #tl.scope<"fragment">>, memref<4xf32, #tl.scope<"local">>) -> ()
  return
}

// -----

func.func @f(%f: memref<8x4xf32, #tl.scope<"fragment">>, %l: memref<4xf32, #tl.scope<"local">>) {
  // expected-error@+1 {{kind 'xor' needs integers, got f32}}
  "tl.reduce"(%f, %l) {clear = true, dim = 0 : i32, kind = "xor"} : (memref<8x4xf32, #tl.scope<"fragment">>, memref<4xf32, #tl.scope<"local">>) -> ()
  return
}

// -----

func.func @f(%n: memref<8x4xi32, #tl.scope<"fragment">>, %l: memref<4xf32, #tl.scope<"local">>) {
  // expected-error@+1 {{source and target mix integers and floats: i32 and f32}}
  "tl.reduce"(%n, %l) {clear = true, dim = 0 : i32, kind = "sum"} : (memref<8x4xi32, #tl.scope<"fragment">>, memref<4xf32, #tl.scope<"local">>) -> ()
  return
}

// -----

func.func @f(%f: memref<8x4xf32, #tl.scope<"fragment">>) {
  // expected-error@+1 {{kind 'umax' needs integers, got f32}}
  "tl.scan"(%f, %f) {dim = 0 : i32, kind = "umax", reverse = false} : (memref<8x4xf32, #tl.scope<"fragment">>, memref<8x4xf32, #tl.scope<"fragment">>) -> ()
  return
}

// -----

func.func @f(%f: memref<8x4xf32, #tl.scope<"fragment">>) {
  // expected-error@+1 {{attribute 'kind' is 'min', expected one of sum, max, umax}}
  "tl.scan"(%f, %f) {dim = 0 : i32, kind = "min", reverse = false} : (memref<8x4xf32, #tl.scope<"fragment">>, memref<8x4xf32, #tl.scope<"fragment">>) -> ()
  return
}

// -----

func.func @f(%f: memref<8x4xf32, #tl.scope<"fragment">>) {
  // expected-error@+1 {{requires attribute 'reverse'}}
  "tl.scan"(%f, %f) {dim = 0 : i32, kind = "sum"} : (memref<8x4xf32, #tl.scope<"fragment">>, memref<8x4xf32, #tl.scope<"fragment">>) -> ()
  return
}

// -----

func.func @f(%f: memref<8x4xf32, #tl.scope<"fragment">>, %n: memref<8x4xi32, #tl.scope<"fragment">>) {
  // expected-error@+1 {{source and target differ in element type: f32 and i32}}
  "tl.scan"(%f, %n) {dim = 0 : i32, kind = "sum", reverse = false} : (memref<8x4xf32, #tl.scope<"fragment">>, memref<8x4xi32, #tl.scope<"fragment">>) -> ()
  return
}

// -----

func.func @f(%f: memref<8x4xf32, #tl.scope<"fragment">>) {
  // expected-error@+1 {{attribute 'dim' is -1, expected 0 to 1}}
  "tl.scan"(%f, %f) {dim = -1 : i32, kind = "sum", reverse = false} : (memref<8x4xf32, #tl.scope<"fragment">>, memref<8x4xf32, #tl.scope<"fragment">>) -> ()
  return
}

// -----

func.func @f(%f: memref<8x4xf32, #tl.scope<"fragment">>, %l: memref<4xf32, #tl.scope<"local">>) {
  // expected-error@+1 {{operand #1 is in scope 'local', expected fragment or shared}}
  "tl.scan"(%f, %l) {dim = 0 : i32, kind = "sum", reverse = false} : (memref<8x4xf32, #tl.scope<"fragment">>, memref<4xf32, #tl.scope<"local">>) -> ()
  return
}

// -----

func.func @f(%f: memref<8x4xf32, #tl.scope<"fragment">>) {
  // expected-error@+1 {{operand #0 must come from tl.alloc_reducer}}
  "tl.reducer_init"(%f) : (memref<8x4xf32, #tl.scope<"fragment">>) -> ()
  return
}

// -----

func.func @f(%h: f16) {
  %q = "tl.alloc_reducer"() {kind = "sum"} : () -> memref<4xf32, #tl.scope<"fragment">>
  // expected-error@+1 {{has initial value of type f16 for a reducer of f32}}
  "tl.reducer_init"(%q, %h) : (memref<4xf32, #tl.scope<"fragment">>, f16) -> ()
  return
}

// -----

func.func @f(%k: index, %x: f32, %f: memref<8x4xf32, #tl.scope<"fragment">>) {
  // expected-error@+1 {{operand #0 must come from tl.alloc_reducer}}
  "tl.reducer_update"(%f, %x, %k, %k) : (memref<8x4xf32, #tl.scope<"fragment">>, f32, index, index) -> ()
  return
}

// -----

func.func @f(%k: index, %h: f16) {
  %q = "tl.alloc_reducer"() {kind = "sum"} : () -> memref<4xf32, #tl.scope<"fragment">>
  // expected-error@+1 {{has value of type f16 for a reducer of f32}}
  "tl.reducer_update"(%q, %h, %k) : (memref<4xf32, #tl.scope<"fragment">>, f16, index) -> ()
  return
}

// -----

func.func @f(%k: index, %x: f32) {
  %q = "tl.alloc_reducer"() {kind = "sum"} : () -> memref<4xf32, #tl.scope<"fragment">>
  // expected-error@+1 {{expects 1 indices, got 2}}
  "tl.reducer_update"(%q, %x, %k, %k) : (memref<4xf32, #tl.scope<"fragment">>, f32, index, index) -> ()
  return
}

// -----

func.func @f(%i: i32, %x: f32) {
  %q = "tl.alloc_reducer"() {kind = "sum"} : () -> memref<4xf32, #tl.scope<"fragment">>
  // expected-error@+1 {{expects indices of type index, got i32}}
  "tl.reducer_update"(%q, %x, %i) : (memref<4xf32, #tl.scope<"fragment">>, f32, i32) -> ()
  return
}

// -----

func.func @f(%f: memref<8x4xf32, #tl.scope<"fragment">>) {
  // expected-error@+1 {{operand #0 must come from tl.alloc_reducer}}
  "tl.finalize_reducer"(%f, %f) : (memref<8x4xf32, #tl.scope<"fragment">>, memref<8x4xf32, #tl.scope<"fragment">>) -> ()
  return
}

// -----

func.func @f(%f: memref<8x4xf32, #tl.scope<"fragment">>) {
  %q = "tl.alloc_reducer"() {kind = "sum"} : () -> memref<4xf32, #tl.scope<"fragment">>
  // expected-error@+1 {{reducer and target differ in shape: [4] and [8, 4]}}
  "tl.finalize_reducer"(%q, %f) : (memref<4xf32, #tl.scope<"fragment">>, memref<8x4xf32, #tl.scope<"fragment">>) -> ()
  return
}

// -----

func.func @f(%f: memref<8x4xf32, #tl.scope<"fragment">>, %r: memref<4xf32, #tl.scope<"fragment">>) {
  // expected-error@+1 {{compares a tile of [8, 4] with a reference of [4], expected one per row}}
  %0 = "tl.outgrows"(%f, %r) {margin = 8.0 : f32} : (memref<8x4xf32, #tl.scope<"fragment">>, memref<4xf32, #tl.scope<"fragment">>) -> i1
  return
}

// -----

func.func @f(%f: memref<8x4xf16, #tl.scope<"fragment">>, %r: memref<8xf32, #tl.scope<"fragment">>) {
  // expected-error@+1 {{compares f16 with f32, expected f32}}
  %0 = "tl.outgrows"(%f, %r) {margin = 8.0 : f32} : (memref<8x4xf16, #tl.scope<"fragment">>, memref<8xf32, #tl.scope<"fragment">>) -> i1
  return
}

// -----

func.func @f(%f: memref<8x4xf32, #tl.scope<"fragment">>, %r: memref<8xf32, #tl.scope<"fragment">>) {
  // expected-error@+1 {{attribute 'margin' must be a float}}
  %0 = "tl.outgrows"(%f, %r) {margin = 8 : i32} : (memref<8x4xf32, #tl.scope<"fragment">>, memref<8xf32, #tl.scope<"fragment">>) -> i1
  return
}
