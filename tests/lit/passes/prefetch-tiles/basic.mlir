// The next tile is loaded into registers while the current one is used, where there are no asynchronous copies.
// RUN: tl-opt %s --prefetch-tiles --target=gfx942 | filecheck %s
// RUN: tl-opt %s --prefetch-tiles --target=sm_80 | filecheck %s --check-prefix=ASYNC
// RUN: tl-opt %s --prefetch-tiles=enabled=false --target=gfx942 | filecheck %s --check-prefix=ASYNC

!g = memref<64x256xf16, #tl.scope<"global">>
!gs = memref<64x32xf16, strided<[256, 1], offset: ?>, #tl.scope<"global">>
!s = memref<64x32xf16, #tl.scope<"shared">>
!f = memref<64x32xf16, #tl.scope<"fragment">>

// CHECK: %[[R:.*]] = "tl.alloc"() {layout = #tl.fragment{{.*}}} : () -> memref<64x32xf16, #tl.scope<"fragment">>
// CHECK: %[[FIRST:.*]] = arith.cmpi slt, %c0_i32, %c8_i32
// CHECK: scf.if %[[FIRST]] {
// CHECK: "tl.copy"(%{{.*}}, %[[R]])
// CHECK: scf.for %[[K:.*]] = %c0_i32 to %c8_i32
// CHECK: "tl.copy"(%[[R]], %[[S:.*]]) : {{.*}} -> ()
// CHECK-NEXT: %[[NEXT:.*]] = arith.addi %[[K]], %c1_i32
// CHECK-NEXT: %[[MORE:.*]] = arith.cmpi slt, %[[NEXT]], %c8_i32
// CHECK-NEXT: scf.if %[[MORE]] {
// CHECK: "tl.copy"(%{{.*}}, %[[R]])
// CHECK: }
// CHECK: "tl.copy"(%[[S]], %{{.*}})
// CHECK-NOT: tl.pipeline
// ASYNC-NOT: scf.if
// ASYNC: tl.pipeline
func.func @prefetched(%p: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}]} {
  %A = "tl.tensor"(%p) {shape = array<i64: 64, 256>, strides = array<i64: 256, 1>} : (!llvm.ptr<1>) -> !g
  %c1 = arith.constant 1 : i32
  "tl.launch"(%c1) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> !s
    %f = "tl.alloc"() : () -> !f
    %c0_i32 = arith.constant 0 : i32
    %c1_i32 = arith.constant 1 : i32
    %c8_i32 = arith.constant 8 : i32
    %c32_i32 = arith.constant 32 : i32
    scf.for %k = %c0_i32 to %c8_i32 step %c1_i32 : i32 {
      %at = arith.muli %k, %c32_i32 : i32
      %t = "tl.slice"(%A, %c0_i32, %at) {sizes = array<i64: 64, 32>} : (!g, i32, i32) -> !gs
      "tl.copy"(%t, %s) : (!gs, !s) -> ()
      "tl.copy"(%s, %f) : (!s, !f) -> ()
    } {tl.pipeline = {num_stages = 2 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
