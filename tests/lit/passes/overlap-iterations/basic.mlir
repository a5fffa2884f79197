// Where one warpgroup computes, products end when the next one is under way, and give their tiles back one iteration later.
// RUN: tl-opt %s --target=sm_90a --layout-inference --specialize-warps --overlap-iterations | filecheck %s

!A = memref<512x512xf16, #tl.scope<"global">>
!at = memref<64x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
!bt = memref<128x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
!s = memref<64x64xf16, #tl.scope<"shared">>
!f = memref<64x64xf32, #tl.scope<"fragment">>

// CHECK-LABEL: func.func @alone(
// CHECK: }, {
// CHECK: "tl.alloc"() {{.*}}scalars{{.*}} : () -> memref<64x64xf32, #tl.scope<"fragment">>
// CHECK: "tl.fill"
// CHECK: scf.for %[[K:.*]] = %[[FIRST:.*]] to %{{.*}} {
// CHECK: "tl.mbarrier_wait"
// CHECK: "tl.gemm"{{.*}}clear = false{{.*}}pending = 1 : i32
// CHECK-NEXT: %[[LATER:.*]] = arith.cmpi slt, %[[FIRST]], %[[K]]
// CHECK-NEXT: scf.if %[[LATER]] {
// CHECK-NEXT: %[[ONE:.*]] = arith.constant 1
// CHECK-NEXT: %[[BEFORE:.*]] = arith.subi %[[K]], %[[ONE]]
// CHECK: "tl.mbarrier_arrive"
// CHECK-NEXT: }
// CHECK-NEXT: }
// CHECK-NEXT: "tl.wait_products"(%{{.*}}) {pending = 0 : i32}
// CHECK-NOT: scf.if
// CHECK: "tl.mbarrier_arrive"
func.func @alone(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %n = arith.constant 8 : i32
  %size = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    %z = arith.constant 0.0 : f32
    "tl.fill"(%acc, %z) : (!f, f32) -> ()
    scf.for %k = %zero to %n step %one : i32 {
      %place = arith.muli %k, %size : i32
      %at = "tl.slice"(%A, %bx, %place) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %place, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// The number of iterations is known at run time only: there may be no tile to give back.
// CHECK-LABEL: func.func @perhaps_none(
// CHECK: scf.for %{{.*}} = %[[FIRST:.*]] to %[[END:.*]] step
// CHECK: }, {
// CHECK: "tl.wait_products"
// CHECK-NEXT: %[[SOME:.*]] = arith.cmpi slt, %{{.*}}, %{{.*}}
// CHECK-NEXT: scf.if %[[SOME]] {
// CHECK: "tl.mbarrier_arrive"
// CHECK-NEXT: }
func.func @perhaps_none(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %n: i32) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %size = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> !s
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> !f
    %z = arith.constant 0.0 : f32
    "tl.fill"(%acc, %z) : (!f, f32) -> ()
    scf.for %k = %zero to %n step %one : i32 {
      %place = arith.muli %k, %size : i32
      %at = "tl.slice"(%A, %bx, %place) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%at, %As) : (!at, !s) -> ()
      %bt = "tl.slice"(%B, %place, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// Two warpgroups together: every product ends at once.
// CHECK-LABEL: func.func @together(
// CHECK: }, {
// CHECK: scf.for
// CHECK: "tl.gemm"
// CHECK-NOT: pending
// CHECK-NEXT: "tl.mbarrier_arrive"
// CHECK-NOT: tl.wait_products
func.func @together(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %n = arith.constant 8 : i32
  %size = arith.constant 64 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %B = "tl.tensor"(%b) {shape = array<i64: 512, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %As = "tl.alloc"() : () -> memref<128x64xf16, #tl.scope<"shared">>
    %Bs = "tl.alloc"() : () -> !s
    %acc = "tl.alloc"() : () -> memref<128x64xf32, #tl.scope<"fragment">>
    %z = arith.constant 0.0 : f32
    "tl.fill"(%acc, %z) : (memref<128x64xf32, #tl.scope<"fragment">>, f32) -> ()
    scf.for %k = %zero to %n step %one : i32 {
      %place = arith.muli %k, %size : i32
      %at = "tl.slice"(%A, %bx, %place) {sizes = array<i64: 128, 64>} : (!A, i32, i32) -> !bt
      "tl.copy"(%at, %As) : (!bt, memref<128x64xf16, #tl.scope<"shared">>) -> ()
      %bt = "tl.slice"(%B, %place, %zero) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !at
      "tl.copy"(%bt, %Bs) : (!at, !s) -> ()
      "tl.gemm"(%As, %Bs, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = false} : (memref<128x64xf16, #tl.scope<"shared">>, !s, memref<128x64xf32, #tl.scope<"fragment">>) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 256, 1, 1>} : (i32) -> ()
  return
}
