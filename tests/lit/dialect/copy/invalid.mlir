// The verifier messages.
// RUN: tl-opt %s --split-input-file --verify-diagnostics

func.func @f(%s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{expects 2 to 3 operands, got 1}}
  "tl.copy"(%s) : (memref<8x4xf32, #tl.scope<"shared">>) -> ()
  return
}

// -----

func.func @f(%x: f32, %s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{operand #1 must be a buffer, got f32}}
  "tl.copy"(%s, %x) : (memref<8x4xf32, #tl.scope<"shared">>, f32) -> ()
  return
}

// -----

func.func @f(%s: memref<8x4xf32, #tl.scope<"shared">>, %l: memref<4xf32, #tl.scope<"local">>) {
  // expected-error@+1 {{source and destination differ in shape: [8, 4] and [4]}}
  "tl.copy"(%s, %l) : (memref<8x4xf32, #tl.scope<"shared">>, memref<4xf32, #tl.scope<"local">>) -> ()
  return
}

// -----

func.func @f(%s: memref<8x4xf32, #tl.scope<"shared">>, %f: memref<8x4xf32, #tl.scope<"fragment">>) {
  // expected-error@+1 {{asynchronous copies go from global to shared, not shared to fragment}}
  "tl.copy"(%s, %f) {async} : (memref<8x4xf32, #tl.scope<"shared">>, memref<8x4xf32, #tl.scope<"fragment">>) -> ()
  return
}

// -----

func.func @f(%g: memref<8x4xf32, #tl.scope<"global">>, %s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{attribute 'async' must be a unit attribute, got true}}
  "tl.copy"(%g, %s) {async = true} : (memref<8x4xf32, #tl.scope<"global">>, memref<8x4xf32, #tl.scope<"shared">>) -> ()
  return
}

// -----

func.func @f(%g: memref<8x4xf32, #tl.scope<"global">>, %s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{attribute 'prefer' is 'dma', expected one of tma, cp_async, sync}}
  "tl.copy"(%g, %s) {prefer = "dma"} : (memref<8x4xf32, #tl.scope<"global">>, memref<8x4xf32, #tl.scope<"shared">>) -> ()
  return
}

// -----

func.func @f(%g: memref<8x4xf32, #tl.scope<"global">>, %s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{attribute 'eviction' is 'never', expected one of evict_normal}}
  "tl.copy"(%g, %s) {eviction = "never"} : (memref<8x4xf32, #tl.scope<"global">>, memref<8x4xf32, #tl.scope<"shared">>) -> ()
  return
}

// -----

func.func @f(%s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{expects 2 operands, got 1}}
  "tl.fill"(%s) : (memref<8x4xf32, #tl.scope<"shared">>) -> ()
  return
}

// -----

func.func @f(%h: f16, %s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{fills a buffer of f32 with a value of f16}}
  "tl.fill"(%s, %h) : (memref<8x4xf32, #tl.scope<"shared">>, f16) -> ()
  return
}

// -----

func.func @f(%x: f32) {
  // expected-error@+1 {{operand #0 must be a buffer, got f32}}
  "tl.fill"(%x, %x) : (f32, f32) -> ()
  return
}

// -----

func.func @f(%s: memref<8x4xf32, #tl.scope<"shared">>, %f: memref<8x4xf32, #tl.scope<"fragment">>) {
  // expected-error@+1 {{expects transposed shapes, got [8, 4] and [8, 4]}}
  "tl.transpose"(%s, %f) : (memref<8x4xf32, #tl.scope<"shared">>, memref<8x4xf32, #tl.scope<"fragment">>) -> ()
  return
}

// -----

func.func @f(%s: memref<8x4xf32, #tl.scope<"shared">>) {
  %q = "tl.alloc"() : () -> memref<4x8xf16, #tl.scope<"shared">>
  // expected-error@+1 {{source and target differ in element type: f32 and f16}}
  "tl.transpose"(%s, %q) : (memref<8x4xf32, #tl.scope<"shared">>, memref<4x8xf16, #tl.scope<"shared">>) -> ()
  return
}

// -----

func.func @f() {
  %q = "tl.alloc"() : () -> memref<2x3x4xf16, #tl.scope<"shared">>
  // expected-error@+1 {{expects two-dimensional tiles, got 3 dimensions}}
  "tl.transpose"(%q, %q) : (memref<2x3x4xf16, #tl.scope<"shared">>, memref<2x3x4xf16, #tl.scope<"shared">>) -> ()
  return
}

// -----

func.func @f(%i: i32) {
  // expected-error@+1 {{expects 0 operands, got 1}}
  "tl.commit_group"(%i) : (i32) -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{requires attribute 'pending'}}
  "tl.wait_group"() : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{attribute 'pending' is -1, expected 0 or more}}
  "tl.wait_group"() {pending = -1 : i32} : () -> ()
  return
}

// -----

func.func @f(%g: memref<8x4xf32, #tl.scope<"global">>, %s: memref<8x4xf32, #tl.scope<"shared">>, %x: i32) {
  // expected-error@+1 {{the condition must be i1, got i32}}
  "tl.copy"(%g, %s, %x) {async} : (memref<8x4xf32, #tl.scope<"global">>, memref<8x4xf32, #tl.scope<"shared">>, i32) -> ()
  return
}

// -----

func.func @f(%g: memref<8x4xf32, #tl.scope<"global">>, %s: memref<8x4xf32, #tl.scope<"shared">>, %x: i1) {
  // expected-error@+1 {{only asynchronous copies have a condition}}
  "tl.copy"(%g, %s, %x) : (memref<8x4xf32, #tl.scope<"global">>, memref<8x4xf32, #tl.scope<"shared">>, i1) -> ()
  return
}
