// RUN: tl-opt %s --pipeline-loops --canonicalize --cse --target=sm_80 | filecheck %s
// RUN: tl-opt %s --pipeline-loops --canonicalize --cse --target=sm_75 | filecheck %s --check-prefix=OLD

!g = memref<64x256xf16, #tl.scope<"global">>
!gs = memref<64x32xf16, strided<[256, 1], offset: ?>, #tl.scope<"global">>
!s = memref<64x32xf16, #tl.scope<"shared">>

// Three versions; two copies before the loop; in it one wait and one barrier, then the copy for two iterations ahead.
// CHECK-LABEL: func.func @pipelined
// CHECK: %[[S:.*]] = "tl.alloc"() : () -> memref<3x64x32xf16, #tl.scope<"shared">>
// CHECK: "tl.copy"({{.*}}) {async}
// CHECK: "tl.commit_group"()
// CHECK: "tl.copy"({{.*}}) {async}
// CHECK: "tl.commit_group"()
// CHECK: scf.for %[[K:.*]] = %c0_i32 to %c8_i32
// CHECK-NEXT: "tl.wait_group"() {pending = 1 : i32}
// CHECK-NEXT: "tl.sync_threads"()
// CHECK: %[[AHEAD:.*]] = arith.addi %[[K]], %c2_i32
// CHECK: %[[SLOT:.*]] = arith.remui %[[AHEAD]], %c3_i32
// CHECK: %[[MORE:.*]] = arith.cmpi slt, %[[AHEAD]], %c8_i32
// CHECK: scf.if %[[MORE]] {
// CHECK: %[[TO:.*]] = "tl.slice"(%[[S]], %[[SLOT]], %c0_i32, %c0_i32)
// CHECK: "tl.copy"(%{{.*}}, %[[TO]]) {async}
// CHECK: }
// CHECK: "tl.commit_group"()
// CHECK: %[[NOW:.*]] = arith.remui %[[K]], %c3_i32
// CHECK: %[[FROM:.*]] = "tl.slice"(%[[S]], %[[NOW]], %c0_i32, %c0_i32)
// CHECK: "tl.copy"(%[[FROM]], %{{.*}}) :
// CHECK-NOT: tl.pipeline

// Without asynchronous copies the loop stays as it is.
// OLD-LABEL: func.func @pipelined
// OLD: "tl.alloc"() : () -> memref<64x32xf16, #tl.scope<"shared">>
// OLD-NOT: async
// OLD: scf.for
// OLD-NOT: tl.pipeline
func.func @pipelined(%p: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}]} {
  %one = arith.constant 1 : i32
  %zero = arith.constant 0 : i32
  %step = arith.constant 32 : i32
  %trips = arith.constant 8 : i32
  %A = "tl.tensor"(%p) {shape = array<i64: 64, 256>, strides = array<i64: 256, 1>} : (!llvm.ptr<1>) -> !g
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %s = "tl.alloc"() : () -> !s
    %f = "tl.alloc"() : () -> memref<64x32xf16, #tl.scope<"fragment">>
    scf.for %k = %zero to %trips step %one : i32 {
      %at = arith.muli %k, %step : i32
      %tile = "tl.slice"(%A, %zero, %at) {sizes = array<i64: 64, 32>} : (!g, i32, i32) -> !gs
      "tl.copy"(%tile, %s) : (!gs, !s) -> ()
      "tl.copy"(%s, %f) : (!s, memref<64x32xf16, #tl.scope<"fragment">>) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}

// A tile that the loop's body also writes itself cannot be loaded ahead.
// CHECK-LABEL: func.func @written
// CHECK: "tl.alloc"() : () -> memref<64x32xf16, #tl.scope<"shared">>
// CHECK: scf.for
// CHECK-NEXT: "tl.copy"(%{{.*}}, %{{.*}}) :
// CHECK-NEXT: "tl.fill"
func.func @written(%p: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}]} {
  %one = arith.constant 1 : i32
  %zero = arith.constant 0 : i32
  %trips = arith.constant 8 : i32
  %h = arith.constant 0.0 : f16
  %A = "tl.tensor"(%p) {shape = array<i64: 64, 32>, strides = array<i64: 32, 1>} : (!llvm.ptr<1>) -> memref<64x32xf16, #tl.scope<"global">>
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %s = "tl.alloc"() : () -> !s
    scf.for %k = %zero to %trips step %one : i32 {
      "tl.copy"(%A, %s) : (memref<64x32xf16, #tl.scope<"global">>, !s) -> ()
      "tl.fill"(%s, %h) : (!s, f16) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
