// RUN: tl-opt %s --lower-to-threads --canonicalize --cse --target=sm_80 | filecheck %s

!g = memref<32x64xf32, #tl.scope<"global">>
!f = memref<32x64xf32, #tl.scope<"fragment">>
#rows = #tl.fragment<array<i64: 32, 64>, array<i64: 16, 1, 4, 2, 0, 1>, array<i64: 4, 1, 1, 16, 0, 2>>

// Neighbours in a row share the condition on the row: a branch around four elements at a time.
// CHECK-LABEL: llvm.func @on_the_row_kernel
// CHECK: scf.if
// CHECK: arith.addf %{{.*}} fastmath<contract> : vector<4xf32>
// CHECK: llvm.store %{{.*}} {alignment = 16 : i64} : vector<4xf32>, !llvm.ptr<1>
// CHECK-NOT: llvm.store %{{.*}} : f32
func.func @on_the_row(%a: !llvm.ptr<1>, %n: i32) attributes {tl.params = [{dtype = "float32", kind = "tensor", name = "A"}, {dtype = "int32", kind = "scalar", name = "n"}]} {
  %one = arith.constant 1 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 32, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !g
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
      %seen = arith.cmpi slt, %i, %n : i32
      scf.if %seen {
        %ii = arith.index_cast %i : i32 to index
        %jj = arith.index_cast %j : i32 to index
        %x = memref.load %f[%ii, %jj] : !f
        %y = arith.addf %x, %x : f32
        memref.store %y, %A[%ii, %jj] : !g
      }
    }) {extents = array<i64: 32, 64>, layout = #rows} : () -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}

// That on the column differs between them: one at a time.
// CHECK-LABEL: llvm.func @on_the_column_kernel
// CHECK: scf.if
// CHECK: arith.addf %{{.*}} fastmath<contract> : f32
// CHECK-NOT: llvm.store %{{.*}} : vector<4xf32>
func.func @on_the_column(%a: !llvm.ptr<1>, %n: i32) attributes {tl.params = [{dtype = "float32", kind = "tensor", name = "A"}, {dtype = "int32", kind = "scalar", name = "n"}]} {
  %one = arith.constant 1 : i32
  %A = "tl.tensor"(%a) {shape = array<i64: 32, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !g
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
      %seen = arith.cmpi slt, %j, %n : i32
      scf.if %seen {
        %ii = arith.index_cast %i : i32 to index
        %jj = arith.index_cast %j : i32 to index
        %x = memref.load %f[%ii, %jj] : !f
        %y = arith.addf %x, %x : f32
        memref.store %y, %A[%ii, %jj] : !g
      }
    }) {extents = array<i64: 32, 64>, layout = #rows} : () -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
