// One thread loads into a ring of two versions, one issues products whose completion frees a version, four warps wait for
// the sum and store it through small tiles.
// RUN: tl-opt %s --target=sm_100a --use-tensor-memory --layout-inference --specialize-tensor-warps | filecheck %s
// RUN: tl-opt %s --target=sm_100a --use-tensor-memory --layout-inference --specialize-tensor-warps=enabled=false | filecheck %s --check-prefix=OTHER

// CHECK: %[[FULL:.*]] = "tl.alloc_barrier"() {counts = array<i64: 1, 1>}
// CHECK: %[[EMPTY:.*]] = "tl.alloc_barrier"() {counts = array<i64: 1, 1>}
// CHECK: %[[DONE:.*]] = "tl.alloc_barrier"() {counts = array<i64: 1>}
// CHECK: %[[FREE:.*]] = "tl.alloc_barrier"() {counts = array<i64: 4>}
// CHECK: "tl.tensor_roles"() ({
// CHECK: scf.for
// CHECK: "tl.mbarrier_wait"(%[[EMPTY]]
// CHECK: "tl.mbarrier_arrive"(%[[FULL]], %{{.*}}) {expect = 32768 : i32}
// CHECK-COUNT-2: "tl.tma_load"
// CHECK: }, {
// CHECK: "tl.mbarrier_wait"(%[[FREE]]
// CHECK: scf.for
// CHECK: "tl.mbarrier_wait"(%[[FULL]]
// CHECK: "tl.tcgen05_mma"
// CHECK: "tl.tcgen05_commit"(%[[EMPTY]]
// CHECK: "tl.tcgen05_commit"(%[[DONE]]
// CHECK: }, {
// CHECK-NOT: scf.for
// CHECK: "tl.mbarrier_wait"(%[[DONE]]
// CHECK-NOT: #tl.scope<"fragment">
// CHECK-COUNT-2: "tl.tma_store"
// CHECK: "tl.mbarrier_arrive"(%[[FREE]], %{{.*}}) {per_warp}
// CHECK: {consumers = 128 : i32}
// CHECK: threads = array<i32: 192, 1, 1>

// OTHER-NOT: tl.tensor_roles
// OTHER: tl.pipeline = {num_stages = 2 : i32}

!ga = memref<256x256xf16, #tl.scope<"global">>
!ta = memref<128x64xf16, strided<[256, 1], offset: ?>, #tl.scope<"global">>
!tc = memref<128x128xf16, strided<[256, 1], offset: ?>, #tl.scope<"global">>
!s = memref<128x64xf16, #tl.scope<"shared">>
!f = memref<128x128xf32, #tl.scope<"fragment">>
!t = memref<128x128xf32, #tl.scope<"tmem">>
func.func @product(%arg0: !llvm.ptr<1>, %arg1: !llvm.ptr<1>, %arg2: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "float16", kind = "tensor", name = "B"}, {dtype = "float16", kind = "tensor", name = "C"}]} {
  %A = "tl.tensor"(%arg0) {shape = array<i64: 256, 256>, strides = array<i64: 256, 1>} : (!llvm.ptr<1>) -> !ga
  %B = "tl.tensor"(%arg1) {shape = array<i64: 256, 256>, strides = array<i64: 256, 1>} : (!llvm.ptr<1>) -> !ga
  %C = "tl.tensor"(%arg2) {shape = array<i64: 256, 256>, strides = array<i64: 256, 1>} : (!llvm.ptr<1>) -> !ga
  %c2 = arith.constant 2 : i32
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c4 = arith.constant 4 : i32
  %c64 = arith.constant 64 : i32
  %c128 = arith.constant 128 : i32
  %zero = arith.constant 0.0 : f32
  "tl.launch"(%c2, %c2) ({
  ^bb0(%x: i32, %y: i32):
    %a = "tl.alloc"() : () -> !s
    %b = "tl.alloc"() : () -> !s
    %c = "tl.alloc"() : () -> !f
    "tl.fill"(%c, %zero) : (!f, f32) -> ()
    %row = arith.muli %y, %c128 : i32
    %column = arith.muli %x, %c128 : i32
    scf.for %k = %c0 to %c4 step %c1 : i32 {
      %at = arith.muli %k, %c64 : i32
      %0 = "tl.slice"(%A, %row, %at) {sizes = array<i64: 128, 64>} : (!ga, i32, i32) -> !ta
      "tl.copy"(%0, %a) : (!ta, !s) -> ()
      %1 = "tl.slice"(%B, %column, %at) {sizes = array<i64: 128, 64>} : (!ga, i32, i32) -> !ta
      "tl.copy"(%1, %b) : (!ta, !s) -> ()
      "tl.gemm"(%a, %b, %c) {transpose_a = false, transpose_b = true, clear = false, policy = "square"} : (!s, !s, !f) -> ()
    } {tl.pipeline = {num_stages = 2 : i32}}
    %2 = "tl.slice"(%C, %row, %column) {sizes = array<i64: 128, 128>} : (!ga, i32, i32) -> !tc
    "tl.copy"(%c, %2) : (!f, !tc) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32, i32) -> ()
  return
}
