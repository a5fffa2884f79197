// Loads straight into LDS run one iteration ahead, in two versions whatever was asked for; elsewhere the loop is left
// to the loads into registers.
// RUN: tl-opt %s --pipeline-loops --target=gfx950 | filecheck %s
// RUN: tl-opt %s --prefetch-tiles --target=gfx950 | filecheck %s --check-prefix=LEFT
// RUN: tl-opt %s --pipeline-loops --target=gfx942 | filecheck %s --check-prefix=PLAIN

!g = memref<64x256xf16, #tl.scope<"global">>
!gs = memref<64x64xf16, strided<[256, 1], offset: ?>, #tl.scope<"global">>
!s = memref<64x64xf16, #tl.scope<"shared">>
!f = memref<64x64xf16, #tl.scope<"fragment">>

// CHECK: "tl.alloc"() {{.*}} : () -> memref<2x64x64xf16, #tl.scope<"shared">>
// CHECK: "tl.copy"(%{{.*}}) {async}
// CHECK: "tl.commit_group"
// CHECK: scf.for
// CHECK: "tl.wait_group"() {pending = 0 : i32}
// CHECK-NEXT: "tl.sync_threads"
// CHECK: "tl.copy"(%{{.*}}) {async}
// LEFT: tl.pipeline
// PLAIN-NOT: async
func.func @direct(%p: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}]} {
  %A = "tl.tensor"(%p) {shape = array<i64: 64, 256>, strides = array<i64: 256, 1>} : (!llvm.ptr<1>) -> !g
  %c1 = arith.constant 1 : i32
  "tl.launch"(%c1) ({
  ^bb0(%b: i32):
    %S = "tl.alloc"() {layout = #tl.smem<array<i64: 64, 64>, array<i64: 64, 1, 1, 1, 64, 0, 1, 64>, array<i64: 3, 3, 3>>} : () -> !s
    %F = "tl.alloc"() : () -> !f
    %lo = arith.constant 0 : i32
    %hi = arith.constant 4 : i32
    %one = arith.constant 1 : i32
    %step = arith.constant 64 : i32
    scf.for %k = %lo to %hi step %one : i32 {
      %at = arith.muli %k, %step : i32
      %t = "tl.slice"(%A, %lo, %at) {sizes = array<i64: 64, 64>} : (!g, i32, i32) -> !gs
      "tl.copy"(%t, %S) : (!gs, !s) -> ()
      "tl.copy"(%S, %F) : (!s, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
