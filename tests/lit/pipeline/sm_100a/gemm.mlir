// A pipelined product from tiles to PTX: bulk copies by one thread, products by another, the sum through tensor memory.
// RUN: tl-opt %s --target=sm_100a --stage=lowered --emit=ptx | filecheck %s
// RUN: tl-opt %s --target=sm_100a --stage=lowered --emit=sass | filecheck %s --check-prefix=SASS

// CHECK: .target sm_100a
// CHECK: .reqntid 192
// CHECK: tcgen05.alloc.cta_group::1.sync.aligned.shared::cta.b32
// CHECK: tcgen05.relinquish_alloc_permit
// CHECK-DAG: cp.async.bulk.tensor.2d.shared::cta.global
// CHECK-DAG: tcgen05.mma.cta_group::1.kind::f16
// CHECK-DAG: tcgen05.commit.cta_group::1.mbarrier::arrive::one
// CHECK-DAG: tcgen05.ld.sync.aligned.32x32b.x64.b32
// CHECK-DAG: cp.async.bulk.tensor.2d.global.shared::cta
// CHECK: tcgen05.dealloc.cta_group::1.sync.aligned.b32

// SASS-DAG: UTMALDG
// SASS-DAG: UTCHMMA
// SASS-DAG: UTCBAR
// SASS-DAG: LDTM
// SASS-DAG: UTMASTG

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
