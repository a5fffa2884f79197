// RUN: tl-opt %s --lower-to-threads --canonicalize --cse --target=sm_80 | filecheck %s

!g = memref<32x64xf32, #tl.scope<"global">>
!f = memref<32x64xf32, #tl.scope<"fragment">>
#rows = #tl.fragment<array<i64: 32, 64>, array<i64: 16, 1, 4, 2, 0, 1>, array<i64: 4, 1, 1, 16, 0, 2>>

// Rows of 16 threads with 4 elements each: 16-byte accesses at one address plus constants, arithmetic on 64 bytes
// at a time, and nothing in memory between.
// CHECK-LABEL: llvm.func @vectors_kernel
// CHECK-SAME: nvvm.reqntid = array<i32: 32, 1, 1>
// CHECK-SAME: tl.shared_bytes = 0 : i64
// CHECK: %[[TID:.*]] = nvvm.read.ptx.sreg.tid.x
// CHECK: %[[AT:.*]] = llvm.getelementptr %arg0[%{{.*}}] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
// CHECK: %[[NEXT:.*]] = llvm.getelementptr %[[AT]][128]
// CHECK: llvm.load %[[AT]] {alignment = 16 : i64} : !llvm.ptr<1> -> vector<4xf32>
// CHECK: llvm.load %[[NEXT]] {alignment = 16 : i64} : !llvm.ptr<1> -> vector<4xf32>
// CHECK-COUNT-14: llvm.load %{{.*}} -> vector<4xf32>
// CHECK-NOT: llvm.load
// CHECK-NOT: scf.if
// CHECK: arith.addf %{{.*}} : vector<16xf32>
// CHECK: llvm.store %{{.*}} {alignment = 16 : i64} : vector<4xf32>, !llvm.ptr<1>
// CHECK-NOT: llvm.alloca
func.func @vectors(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float32", kind = "tensor", name = "A"}, {dtype = "float32", kind = "tensor", name = "B"}]} {
  %one = arith.constant 1 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 32, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !g
  %B = "tl.tensor"(%b) {shape = array<i64: 32, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !g
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %f = "tl.alloc"() {layout = #rows} : () -> !f
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      %x = memref.load %A[%ii, %jj] : !g
      memref.store %x, %f[%ii, %jj] : !f
    }) {extents = array<i64: 32, 64>, layout = #rows} : () -> ()
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      %x = memref.load %f[%ii, %jj] : !f
      %y = arith.addf %x, %x : f32
      memref.store %y, %B[%ii, %jj] : !g
    }) {extents = array<i64: 32, 64>, layout = #rows} : () -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
