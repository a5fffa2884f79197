// A product of elements that goes into one sum is rounded once, together with it; one that is read elsewhere is not.
// RUN: tl-opt %s --lower-to-threads --canonicalize --cse --target=sm_80 | filecheck %s

!g = memref<32x64xf32, #tl.scope<"global">>
!f = memref<32x64xf32, #tl.scope<"fragment">>
#rows = #tl.fragment<array<i64: 32, 64>, array<i64: 16, 1, 4, 2, 0, 1>, array<i64: 4, 1, 1, 16, 0, 2>>

// CHECK-LABEL: llvm.func @fused_kernel
// CHECK-COUNT-4: math.fma %{{.*}}, %{{.*}}, %{{.*}} : vector<16xf32>
// CHECK: arith.mulf
// CHECK: arith.addf
// CHECK-NOT: math.fma
// CHECK: llvm.return
func.func @fused(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float32", kind = "tensor", name = "A"}, {dtype = "float32", kind = "tensor", name = "B"}]} {
  %one = arith.constant 1 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 32, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !g
  %B = "tl.tensor"(%b) {shape = array<i64: 32, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !g
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %f = "tl.alloc"() {layout = #rows} : () -> !f
    "tl.parallel"() ({
    ^bb1(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      %v = memref.load %A[%ii, %jj] : !g
      memref.store %v, %f[%ii, %jj] : !f
    }) {extents = array<i64: 32, 64>, layout = #rows} : () -> ()
    "tl.parallel"() ({
    ^bb1(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      %x = memref.load %f[%ii, %jj] : !f
      %p = arith.mulf %x, %x : f32
      %s = arith.addf %p, %x : f32
      memref.store %s, %f[%ii, %jj] : !f
    }) {extents = array<i64: 32, 64>, layout = #rows} : () -> ()
    "tl.parallel"() ({
    ^bb1(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      %x = memref.load %f[%ii, %jj] : !f
      %p = arith.mulf %x, %x : f32
      %s = arith.addf %p, %x : f32
      %t = arith.subf %s, %p : f32
      memref.store %t, %f[%ii, %jj] : !f
    }) {extents = array<i64: 32, 64>, layout = #rows} : () -> ()
    "tl.parallel"() ({
    ^bb1(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      %v = memref.load %f[%ii, %jj] : !f
      memref.store %v, %B[%ii, %jj] : !g
    }) {extents = array<i64: 32, 64>, layout = #rows} : () -> ()
  }) {name = "fused_kernel", threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
