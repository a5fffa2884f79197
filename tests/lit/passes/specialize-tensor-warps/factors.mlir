// Block scales: a third warp copies words straight into the order of tensor memory, and arrives when they have landed;
// the warp of products moves them on in front of its product.
// RUN: tl-opt %s --target=sm_100a --use-tensor-memory --layout-inference --specialize-tensor-warps | filecheck %s

// CHECK: "tl.alloc_barrier"() {counts = array<i64: 33, 33>}
// CHECK-COUNT-2: memref<2x1x128xi32, #tl.scope<"shared">>
// CHECK: "tl.tensor_roles"() ({
// CHECK-COUNT-2: "tl.tma_load"
// CHECK: "tl.mbarrier_wait"
// CHECK: "tl.fence_proxy"
// CHECK-COUNT-2: "tl.tcgen05_cp"
// CHECK: "tl.tcgen05_scaled_mma"
// CHECK: "tl.tcgen05_commit"
// CHECK: "tl.thread_id"() {dim = 0 : i32}
// CHECK: "tl.mbarrier_wait"
// CHECK-COUNT-8: "tl.copy_words"{{.*}} {bytes = 4 : i32}
// CHECK: "tl.mbarrier_arrive"({{.*}}) {copies}
// CHECK: consumers = 128 : i32
// CHECK: threads = array<i32: 224, 1, 1>

!ga = memref<256x512xf8E4M3FN, #tl.scope<"global">>
!gs = memref<256x4xi32, #tl.scope<"global">>
!ta = memref<128x128xf8E4M3FN, strided<[512, 1], offset: ?>, #tl.scope<"global">>
!ts = memref<128x1xi32, strided<[4, 1], offset: ?>, #tl.scope<"global">>
!tc = memref<128x128xf32, strided<[256, 1], offset: ?>, #tl.scope<"global">>
!gc = memref<256x256xf32, #tl.scope<"global">>
!s = memref<128x128xf8E4M3FN, #tl.scope<"shared">>
!w = memref<128x1xi32, #tl.scope<"shared">>
!f = memref<128x128xf32, #tl.scope<"fragment">>
func.func @scaled(%arg0: !llvm.ptr<1>, %arg1: !llvm.ptr<1>, %arg2: !llvm.ptr<1>, %arg3: !llvm.ptr<1>, %arg4: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float8_e4m3fn", kind = "tensor", name = "A"}, {dtype = "float8_e4m3fn", kind = "tensor", name = "B"}, {dtype = "uint32", kind = "tensor", name = "U"}, {dtype = "uint32", kind = "tensor", name = "V"}, {dtype = "float32", kind = "tensor", name = "C"}]} {
  %A = "tl.tensor"(%arg0) {shape = array<i64: 256, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !ga
  %B = "tl.tensor"(%arg1) {shape = array<i64: 256, 512>, strides = array<i64: 512, 1>} : (!llvm.ptr<1>) -> !ga
  %U = "tl.tensor"(%arg2) {shape = array<i64: 256, 4>, strides = array<i64: 4, 1>} : (!llvm.ptr<1>) -> !gs
  %V = "tl.tensor"(%arg3) {shape = array<i64: 256, 4>, strides = array<i64: 4, 1>} : (!llvm.ptr<1>) -> !gs
  %C = "tl.tensor"(%arg4) {shape = array<i64: 256, 256>, strides = array<i64: 256, 1>} : (!llvm.ptr<1>) -> !gc
  %c2 = arith.constant 2 : i32
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c4 = arith.constant 4 : i32
  %c128 = arith.constant 128 : i32
  %zero = arith.constant 0.0 : f32
  "tl.launch"(%c2, %c2) ({
  ^bb0(%x: i32, %y: i32):
    %a = "tl.alloc"() : () -> !s
    %b = "tl.alloc"() : () -> !s
    %u = "tl.alloc"() : () -> !w
    %v = "tl.alloc"() : () -> !w
    %c = "tl.alloc"() : () -> !f
    "tl.fill"(%c, %zero) : (!f, f32) -> ()
    %row = arith.muli %y, %c128 : i32
    %column = arith.muli %x, %c128 : i32
    scf.for %k = %c0 to %c4 step %c1 : i32 {
      %at = arith.muli %k, %c128 : i32
      %0 = "tl.slice"(%A, %row, %at) {sizes = array<i64: 128, 128>} : (!ga, i32, i32) -> !ta
      "tl.copy"(%0, %a) : (!ta, !s) -> ()
      %1 = "tl.slice"(%B, %column, %at) {sizes = array<i64: 128, 128>} : (!ga, i32, i32) -> !ta
      "tl.copy"(%1, %b) : (!ta, !s) -> ()
      %2 = "tl.slice"(%U, %row, %k) {sizes = array<i64: 128, 1>} : (!gs, i32, i32) -> !ts
      "tl.copy"(%2, %u) : (!ts, !w) -> ()
      %3 = "tl.slice"(%V, %column, %k) {sizes = array<i64: 128, 1>} : (!gs, i32, i32) -> !ts
      "tl.copy"(%3, %v) : (!ts, !w) -> ()
      "tl.mma_scaled"(%a, %b, %c, %u, %v) {clear = false, policy = "square", scale_blocks = array<i64: 32, 32>, scale_bytes = array<i64: 0, 0>, transpose_a = false, transpose_b = true} : (!s, !s, !f, !w, !w) -> ()
    } {tl.pipeline = {num_stages = 2 : i32}}
    %4 = "tl.slice"(%C, %row, %column) {sizes = array<i64: 128, 128>} : (!gc, i32, i32) -> !tc
    "tl.copy"(%c, %4) : (!f, !tc) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32, i32) -> ()
  return
}
