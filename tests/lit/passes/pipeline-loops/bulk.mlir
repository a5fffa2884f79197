// Around products of warpgroups one elected thread loads both tiles by bulk copies: two versions ahead before the loop, the
// third behind a barrier that says its tile was read. The first copy of a step announces the bytes of both. Inside of
// another loop a register counts the rounds. Not with cp.async asked for, nor for what the kernel writes.
// RUN: tl-opt %s --target=sm_90a --legalize-tile-ops --layout-inference --pipeline-loops | filecheck %s
// RUN: tl-opt %s --target=sm_90a --legalize-tile-ops --layout-inference --pipeline-loops=bulk=false | filecheck %s --check-prefix=OFF
// RUN: tl-opt %s --target=sm_90 --legalize-tile-ops --layout-inference --pipeline-loops | filecheck %s --check-prefix=OFF

!A = memref<256x512xf16, #tl.scope<"global">>
!C = memref<256x64xf32, #tl.scope<"global">>
!part = memref<64x64xf16, strided<[512, 1], offset: ?>, #tl.scope<"global">>
!out = memref<64x64xf32, strided<[64, 1], offset: ?>, #tl.scope<"global">>
!t = memref<64x64xf16, #tl.scope<"shared">>
!f = memref<64x64xf32, #tl.scope<"fragment">>

// CHECK-LABEL: func.func @tiles
// CHECK: %[[FULL:.*]] = "tl.alloc_barrier"() {counts = array<i64: 1, 1, 1>}
// CHECK: "tl.alloc"() {{.*}} : () -> memref<3x64x64xf16, #tl.scope<"shared">>
// CHECK: scf.for
// CHECK: memref.load
// CHECK: "tl.tma_load"(%{{.*}}, %{{.*}}, %[[FULL]], %{{.*}}) {async, elected, expect = 16384 : i32}
// CHECK: "tl.tma_load"(%{{.*}}, %{{.*}}, %[[FULL]], %{{.*}}) {async, elected}
// CHECK: scf.for
// CHECK-NEXT: "tl.sync_threads"
// CHECK: "tl.tma_load"(%{{.*}}, %{{.*}}, %[[FULL]], %{{.*}}) {async, elected, expect = 16384 : i32, ordered}
// CHECK: "tl.tma_load"(%{{.*}}, %{{.*}}, %[[FULL]], %{{.*}}) {async, elected, ordered}
// CHECK: "tl.mbarrier_wait"(%[[FULL]]
// CHECK: "tl.gemm"
// CHECK: memref.store
// CHECK-LABEL: func.func @written
// CHECK-NOT: tma_load
// CHECK: "tl.wait_group"

// OFF-NOT: tl.tma_load
// OFF: "tl.wait_group"
func.func @tiles(%p: !llvm.ptr<1>, %q: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "float32", kind = "tensor", name = "C"}]} {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c4 = arith.constant 4 : i32
  %c8 = arith.constant 8 : i32
  %c64 = arith.constant 64 : i32
  %zero = arith.constant 0.0 : f32
  %A = "tl.tensor"(%p) {shape = array<i64: 256, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  %C = "tl.tensor"(%q) {shape = array<i64: 256, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !C
  "tl.launch"(%c1) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> !t
    %u = "tl.alloc"() : () -> !t
    %acc = "tl.alloc"() : () -> !f
    scf.for %tile = %c0 to %c4 step %c1 : i32 {
      %r = arith.muli %tile, %c64 : i32
      "tl.fill"(%acc, %zero) : (!f, f32) -> ()
      scf.for %k = %c0 to %c8 step %c1 : i32 {
        %at = arith.muli %k, %c64 : i32
        %x = "tl.slice"(%A, %r, %at) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !part
        %y = "tl.slice"(%A, %c0, %at) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !part
        "tl.copy"(%x, %s) : (!part, !t) -> ()
        "tl.copy"(%y, %u) : (!part, !t) -> ()
        "tl.gemm"(%s, %u, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = true} : (!t, !t, !f) -> ()
      } {tl.pipeline = {num_stages = 3 : i32}}
      %o = "tl.slice"(%C, %r, %c0) {sizes = array<i64: 64, 64>} : (!C, i32, i32) -> !out
      "tl.copy"(%acc, %o) : (!f, !out) -> ()
    }
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

func.func @written(%p: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}]} {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c8 = arith.constant 8 : i32
  %c64 = arith.constant 64 : i32
  %zero = arith.constant 0.0 : f32
  %A = "tl.tensor"(%p) {shape = array<i64: 256, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !A
  "tl.launch"(%c1) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> !t
    %acc = "tl.alloc"() : () -> !f
    "tl.fill"(%acc, %zero) : (!f, f32) -> ()
    scf.for %k = %c0 to %c8 step %c1 : i32 {
      %at = arith.muli %k, %c64 : i32
      %x = "tl.slice"(%A, %c0, %at) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !part
      "tl.copy"(%x, %s) : (!part, !t) -> ()
      "tl.gemm"(%s, %s, %acc) {clear = false, policy = "square", transpose_a = false, transpose_b = true} : (!t, !t, !f) -> ()
    } {tl.pipeline = {num_stages = 3 : i32}}
    %o = "tl.slice"(%A, %c64, %c0) {sizes = array<i64: 64, 64>} : (!A, i32, i32) -> !part
    "tl.copy"(%acc, %o) : (!f, !part) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
