// The verifier messages.
// RUN: tl-opt %s --split-input-file --verify-diagnostics

func.func @f() {
  // expected-error@+1 {{'tl.tensor' op expects 1 or more operands, got 0}}
  "tl.tensor"() {shape = array<i64: 4>, strides = array<i64: 1>} : () -> memref<4xf32, #tl.scope<"global">>
  return
}

// -----

func.func @f(%p: !llvm.ptr<1>) {
  // expected-error@+1 {{requires attribute 'shape'}}
  "tl.tensor"(%p) {strides = array<i64: 1>} : (!llvm.ptr<1>) -> memref<4xf32, #tl.scope<"global">>
  return
}

// -----

func.func @f(%p: !llvm.ptr<1>) {
  // expected-error@+1 {{attribute 'shape' must be array<i64>, got 4 : i64}}
  "tl.tensor"(%p) {shape = 4 : i64, strides = array<i64: 1>} : (!llvm.ptr<1>) -> memref<4xf32, #tl.scope<"global">>
  return
}

// -----

func.func @f(%p: !llvm.ptr<1>) {
  // expected-error@+1 {{'tl.tensor' op attribute 'view' must be a unit attribute}}
  "tl.tensor"(%p) {shape = array<i64: 4>, strides = array<i64: 1>, view = 2 : i32} : (!llvm.ptr<1>) -> memref<4xf32, #tl.scope<"global">>
  return
}

// -----

func.func @f(%p: !llvm.ptr<1>) {
  // expected-error@+1 {{has 1 sizes but 2 strides}}
  "tl.tensor"(%p) {shape = array<i64: 4>, strides = array<i64: 4, 1>} : (!llvm.ptr<1>) -> memref<4xf32, #tl.scope<"global">>
  return
}

// -----

func.func @f(%p: !llvm.ptr<1>) {
  // expected-error@+1 {{has 1 dynamic sizes and strides but 0 operands for them}}
  "tl.tensor"(%p) {shape = array<i64: -1>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> memref<?xf32, #tl.scope<"global">>
  return
}

// -----

func.func @f(%i: i32) {
  // expected-error@+1 {{operand #0 must be a pointer, got i32}}
  "tl.tensor"(%i) {shape = array<i64: 4>, strides = array<i64: 1>} : (i32) -> memref<4xf32, #tl.scope<"global">>
  return
}

// -----

func.func @f(%p: !llvm.ptr<1>, %x: f32) {
  // expected-error@+1 {{expects integer operands, got f32}}
  "tl.tensor"(%p, %x) {shape = array<i64: -1>, strides = array<i64: 1>} : (!llvm.ptr<1>, f32) -> memref<?xf32, #tl.scope<"global">>
  return
}

// -----

func.func @f(%p: !llvm.ptr<1>) {
  // expected-error@+1 {{result #0 is in scope 'shared', expected global}}
  "tl.tensor"(%p) {shape = array<i64: 4>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> memref<4xf32, #tl.scope<"shared">>
  return
}

// -----

func.func @f(%p: !llvm.ptr<1>) {
  // expected-error@+1 {{result #0 must be a buffer, got f32}}
  "tl.tensor"(%p) {shape = array<i64: 4>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> f32
  return
}

// -----

func.func @f(%p: !llvm.ptr<1>) {
  // expected-error@+1 {{sizes [4] do not match the result's shape [5]}}
  "tl.tensor"(%p) {shape = array<i64: 4>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> memref<5xf32, #tl.scope<"global">>
  return
}

// -----

func.func @f(%p: !llvm.ptr<1>) {
  // expected-error@+1 {{strides [2] do not match the result's strides [1]}}
  "tl.tensor"(%p) {shape = array<i64: 4>, strides = array<i64: 2>} : (!llvm.ptr<1>) -> memref<4xf32, #tl.scope<"global">>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{result #0 must be a buffer, got i32}}
  "tl.alloc"() : () -> i32
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{result #0 has memory space 3 : i64, expected #tl.scope<...>}}
  "tl.alloc"() : () -> memref<4xf32, 3>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{result #0 is in scope 'l2', expected global or shared}}
  "tl.alloc"() : () -> memref<4xf32, #tl.scope<"l2">>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{on-chip buffers have static shapes, got [-1]}}
  "tl.alloc"() : () -> memref<?xf32, #tl.scope<"shared">>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{has 1 dynamic sizes but 0 operands for them}}
  "tl.alloc"() : () -> memref<?xf32, #tl.scope<"global">>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{a buffer in scope 'var' is one element, got shape [2]}}
  "tl.alloc"() : () -> memref<2xf32, #tl.scope<"var">>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{a buffer in scope 'tmem' has at least two dimensions, got shape [2]}}
  "tl.alloc"() : () -> memref<2xf32, #tl.scope<"tmem">>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{attribute 'init' is for scope 'var', not 'local'}}
  "tl.alloc"() {init = 1 : i32} : () -> memref<1xi32, #tl.scope<"local">>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{in scope 'shared', expected #tl.smem<...>}}
  "tl.alloc"() {layout = #tl.fragment<[], [], []>} : () -> memref<8xi32, #tl.scope<"shared">>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{in scope 'local', expected none}}
  "tl.alloc"() {layout = #tl.fragment<[], [], []>} : () -> memref<8xi32, #tl.scope<"local">>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{requires attribute 'counts'}}
  "tl.alloc_barrier"() : () -> !tl.barrier<1 : i64>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{attribute 'counts' must be an array of integers}}
  "tl.alloc_barrier"() {counts = "x"} : () -> !tl.barrier<1 : i64>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{needs positive arrival counts, got []}}
  "tl.alloc_barrier"() {counts = array<i32>} : () -> !tl.barrier<1 : i64>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{needs positive arrival counts, got [1, 0]}}
  "tl.alloc_barrier"() {counts = array<i32: 1, 0>} : () -> !tl.barrier<2 : i64>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{result must be a !tl.barrier, got memref}}
  "tl.alloc_barrier"() {counts = array<i32: 1>} : () -> memref<1xi64, #tl.scope<"shared">>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{has 1 arrival counts for 2 barriers}}
  "tl.alloc_barrier"() {counts = array<i32: 1>} : () -> !tl.barrier<2 : i64>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{requires attribute 'kind'}}
  "tl.alloc_reducer"() : () -> memref<4xf32, #tl.scope<"fragment">>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{attribute 'kind' is 'mean', expected one of sum, max, min}}
  "tl.alloc_reducer"() {kind = "mean"} : () -> memref<4xf32, #tl.scope<"fragment">>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{result #0 is in scope 'shared', expected fragment}}
  "tl.alloc_reducer"() {kind = "sum"} : () -> memref<4xf32, #tl.scope<"shared">>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{on-chip buffers have static shapes}}
  "tl.alloc_reducer"() {kind = "sum"} : () -> memref<?xf32, #tl.scope<"fragment">>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{a reducer of kind 'xor' needs integers, got f32}}
  "tl.alloc_reducer"() {kind = "xor"} : () -> memref<4xf32, #tl.scope<"fragment">>
  return
}

// -----

func.func @f(%i: i32, %s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{requires attribute 'sizes'}}
  "tl.slice"(%s, %i, %i) : (memref<8x4xf32, #tl.scope<"shared">>, i32, i32) -> memref<2x2xf32, strided<[4, 1], offset: ?>, #tl.scope<"shared">>
  return
}

// -----

func.func @f(%i: i32, %x: f32) {
  // expected-error@+1 {{operand #0 must be a buffer, got f32}}
  "tl.slice"(%x, %i, %i) {sizes = array<i64: 2, 2>} : (f32, i32, i32) -> memref<2x2xf32, strided<[4, 1], offset: ?>, #tl.scope<"shared">>
  return
}

// -----

func.func @f(%i: i32, %s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{has 1 sizes for a buffer of rank 2}}
  "tl.slice"(%s, %i, %i) {sizes = array<i64: 2>} : (memref<8x4xf32, #tl.scope<"shared">>, i32, i32) -> memref<2xf32, strided<[1], offset: ?>, #tl.scope<"shared">>
  return
}

// -----

func.func @f(%i: i32, %s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{expects 3 operands (buffer, 2 offsets, dynamic sizes), got 2}}
  "tl.slice"(%s, %i) {sizes = array<i64: 2, 2>} : (memref<8x4xf32, #tl.scope<"shared">>, i32) -> memref<2x2xf32, strided<[4, 1], offset: ?>, #tl.scope<"shared">>
  return
}

// -----

func.func @f(%i: i32, %s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{sizes [2, 2] do not match the result's shape [2, 3]}}
  "tl.slice"(%s, %i, %i) {sizes = array<i64: 2, 2>} : (memref<8x4xf32, #tl.scope<"shared">>, i32, i32) -> memref<2x3xf32, strided<[4, 1], offset: ?>, #tl.scope<"shared">>
  return
}

// -----

func.func @f(%x: f32, %s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{expects integer operands, got f32}}
  "tl.slice"(%s, %x, %x) {sizes = array<i64: 2, 2>} : (memref<8x4xf32, #tl.scope<"shared">>, f32, f32) -> memref<2x2xf32, strided<[4, 1], offset: ?>, #tl.scope<"shared">>
  return
}

// -----

func.func @f(%i: i32, %s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{changes the scope from 'shared' to 'global'}}
  "tl.slice"(%s, %i, %i) {sizes = array<i64: 2, 2>} : (memref<8x4xf32, #tl.scope<"shared">>, i32, i32) -> memref<2x2xf32, strided<[4, 1], offset: ?>, #tl.scope<"global">>
  return
}

// -----

func.func @f(%i: i32, %s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{source and result differ in element type: f32 and f16}}
  "tl.slice"(%s, %i, %i) {sizes = array<i64: 2, 2>} : (memref<8x4xf32, #tl.scope<"shared">>, i32, i32) -> memref<2x2xf16, strided<[4, 1], offset: ?>, #tl.scope<"shared">>
  return
}

// -----

func.func @f(%i: i32, %s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{has strides [2, 1], expected the source's [4, 1]}}
  "tl.slice"(%s, %i, %i) {sizes = array<i64: 2, 2>} : (memref<8x4xf32, #tl.scope<"shared">>, i32, i32) -> memref<2x2xf32, #tl.scope<"shared">>
  return
}

// -----

func.func @f(%s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{changes the scope from 'shared' to 'fragment'}}
  "tl.reshape"(%s) : (memref<8x4xf32, #tl.scope<"shared">>) -> memref<32xf32, #tl.scope<"fragment">>
  return
}

// -----

func.func @f(%s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{has 1024 bits in the source and 1056 in the result}}
  "tl.reshape"(%s) : (memref<8x4xf32, #tl.scope<"shared">>) -> memref<33xf32, #tl.scope<"shared">>
  return
}

// -----

func.func @f(%s: memref<8x4xf32, #tl.scope<"shared">>) {
  // expected-error@+1 {{expects a size for each of 0 dynamic dimensions, got 1}}
  "tl.reshape"(%s, %s) : (memref<8x4xf32, #tl.scope<"shared">>, memref<8x4xf32, #tl.scope<"shared">>) -> memref<32xf32, #tl.scope<"shared">>
  return
}
