// A loop around one product loads its operands one k step ahead, in a body without branches.
// RUN: tl-opt %s --layout-inference --pipeline-loops --canonicalize --cse --target=sm_80 | filecheck %s
// RUN: tl-opt %s --layout-inference --pipeline-loops=prefetch=false --canonicalize --cse --target=sm_80 | filecheck %s --check-prefix=PLAIN

!g = memref<512x512xf16, #tl.scope<"global">>
!t = memref<64x32xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
!s = memref<64x32xf16, #tl.scope<"shared">>
!f = memref<64x64xf32, #tl.scope<"fragment">>

// CHECK-LABEL: func.func @product
// CHECK-COUNT-4: "tl.copy"({{.*}}, %true) {async} :
// CHECK: "tl.wait_group"() {pending = 1 : i32}
// CHECK-NEXT: "tl.sync_threads"()
// CHECK: "tl.load_operand"(%{{.*}}, %[[A0:.*]]) {k_dim = 1 : i32, side = "a", warps = array<i32: 2, 2>}
// CHECK: "tl.load_operand"(%{{.*}}, %[[B0:.*]]) {k_dim = 1 : i32, side = "b", warps = array<i32: 2, 2>}
// CHECK: scf.for
// CHECK-NOT: scf.if
// CHECK-NOT: arith.remui
// CHECK: %[[AHEAD:.*]] = arith.addi %{{.*}}, %c2
// CHECK: %[[MORE:.*]] = arith.cmpi slt, %[[AHEAD]]
// CHECK: %[[CAPPED:.*]] = arith.minsi %[[AHEAD]], %{{.*}} {tl.facts = {hi = 7 : i64, lo = 0 : i64}}
// CHECK: "tl.load_operand"(%{{.*}}, %[[A1:.*]]) {k_dim = 1 : i32, side = "a"
// CHECK: "tl.load_operand"(%{{.*}}, %[[B1:.*]]) {k_dim = 1 : i32, side = "b"
// CHECK-COUNT-2: "tl.copy"({{.*}}, %[[MORE]]) {async, ordered}
// CHECK: "tl.gemm"(%[[A0]], %[[B0]], %[[C:.*]]) {{{.*}}transpose_b = true}
// CHECK: "tl.commit_group"()
// CHECK-NEXT: "tl.wait_group"() {pending = 1 : i32}
// CHECK-NEXT: "tl.sync_threads"()
// CHECK: "tl.load_operand"(%{{.*}}, %[[A0]])
// CHECK: "tl.load_operand"(%{{.*}}, %[[B0]])
// CHECK: "tl.gemm"(%[[A1]], %[[B1]], %[[C]])
// CHECK-NEXT: } {tl.operand_steps = 2 : i32}
// CHECK-NEXT: "tl.wait_group"() {pending = 0 : i32}

// PLAIN-LABEL: func.func @product
// PLAIN-NOT: tl.load_operand
// PLAIN: scf.if
// PLAIN: "tl.gemm"
func.func @product(%p: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}]} {
  %one = arith.constant 1 : i32
  %c0 = arith.constant 0 : i32
  %step = arith.constant 32 : i32
  %trips = arith.constant 8 : i32
  %zero = arith.constant 0.0 : f32
  %A = "tl.tensor"(%p) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !g
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> !s
    %b = "tl.alloc"() : () -> !s
    %c = "tl.alloc"() : () -> !f
    "tl.fill"(%c, %zero) : (!f, f32) -> ()
    scf.for %k = %c0 to %trips step %one : i32 {
      %at = arith.muli %k, %step : i32
      %tile = "tl.slice"(%A, %c0, %at) {sizes = array<i64: 64, 32>} : (!g, i32, i32) -> !t
      "tl.copy"(%tile, %a) : (!t, !s) -> ()
      "tl.copy"(%tile, %b) : (!t, !s) -> ()
      "tl.gemm"(%a, %b, %c) {transpose_a = false, transpose_b = true, policy = "square", clear = false} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// A product whose sums a loop also scales keeps the plain form.
// CHECK-LABEL: func.func @scaled
// CHECK-NOT: tl.load_operand
// CHECK: scf.if
func.func @scaled(%p: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}]} {
  %one = arith.constant 1 : i32
  %c0 = arith.constant 0 : i32
  %step = arith.constant 32 : i32
  %trips = arith.constant 8 : i32
  %zero = arith.constant 0.0 : f32
  %A = "tl.tensor"(%p) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !g
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> !s
    %b = "tl.alloc"() : () -> !s
    %c = "tl.alloc"() : () -> !f
    "tl.fill"(%c, %zero) : (!f, f32) -> ()
    scf.for %k = %c0 to %trips step %one : i32 {
      %at = arith.muli %k, %step : i32
      %tile = "tl.slice"(%A, %c0, %at) {sizes = array<i64: 64, 32>} : (!g, i32, i32) -> !t
      "tl.copy"(%tile, %a) : (!t, !s) -> ()
      "tl.copy"(%tile, %b) : (!t, !s) -> ()
      "tl.gemm"(%a, %b, %c) {transpose_a = false, transpose_b = true, policy = "square", clear = false} : (!s, !s, !f) -> ()
      "tl.parallel"() ({
      ^bb0(%i: i32, %j: i32):
        %x = arith.index_cast %i : i32 to index
        %y = arith.index_cast %j : i32 to index
        %v = memref.load %c[%x, %y] : !f
        %w = arith.addf %v, %v : f32
        memref.store %w, %c[%x, %y] : !f
      }) {extents = array<i64: 64, 64>} : () -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
