// RUN: tl-opt %s --exchange-fragments | filecheck %s

!f = memref<8x8xf32, #tl.scope<"fragment">>
!g = memref<8x8xf32, #tl.scope<"global">>
#rows = #tl.fragment<array<i64: 8, 8>, array<i64: 8, 0, 1, 4, 1, 2>, array<i64: 2, 1, 1>>
#loop = #tl.fragment<array<i64: 8, 8>, array<i64: 8, 0, 1, 4, 1, 2>, array<i64: 2, 1, 1>>

// A transposed read comes from a second fragment, laid out as the loop needs it; a plain one stays.
// CHECK-LABEL: func.func @transposed(
// CHECK: %[[F:[0-9]+]] = "tl.alloc"() {{.*}} : () -> memref<8x8xf32, #tl.scope<"fragment">>
// CHECK: %[[C:[0-9]+]] = "tl.alloc"() {layout = #tl.fragment<array<i64: 8, 8>, array<i64: 8, 1, 1, 4, 0, 2>, array<i64: 2, 0, 1>>}
// CHECK-NEXT: "tl.copy"(%[[F]], %[[C]])
// CHECK-NEXT: "tl.parallel"
// CHECK: memref.load %[[F]]
// CHECK: memref.load %[[C]]
func.func @transposed(%a: !llvm.ptr<1>) {
  %one = arith.constant 1 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %f = "tl.alloc"() {layout = #rows} : () -> !f
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      %x = memref.load %f[%ii, %jj] : !f
      %y = memref.load %f[%jj, %ii] : !f
      %z = arith.addf %x, %y : f32
      memref.store %z, %f[%ii, %jj] : !f
    }) {extents = array<i64: 8, 8>, layout = #loop} : () -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}

// Code of every thread reads from a shared tile, which is filled in front of the loop that does not write the fragment.
// CHECK-LABEL: func.func @scalar(
// CHECK: %[[F:[0-9]+]] = "tl.alloc"() {{.*}} : () -> memref<8x8xf32, #tl.scope<"fragment">>
// CHECK: %[[S:[0-9]+]] = "tl.alloc"() {{.*}} : () -> memref<8x8xf32, #tl.scope<"shared">>
// CHECK-NEXT: "tl.copy"(%[[F]], %[[S]])
// CHECK-NEXT: scf.for
// CHECK: memref.load %[[S]]
func.func @scalar(%a: !llvm.ptr<1>, %n: i32) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %f = "tl.alloc"() {layout = #rows} : () -> !f
    %sum = "tl.alloc"() : () -> memref<1xf32, #tl.scope<"var">>
    %first = arith.constant 0 : index
    scf.for %k = %zero to %n step %one : i32 {
      %kk = arith.index_cast %k : i32 to index
      %x = memref.load %f[%kk, %first] : !f
      memref.store %x, %sum[%first] : memref<1xf32, #tl.scope<"var">>
    }
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}

// A run-time index into registers that every thread holds needs no copy while they are few.
// CHECK-LABEL: func.func @selected(
// CHECK-NOT: tl.copy
func.func @selected(%a: !llvm.ptr<1>, %n: i32) {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %f = "tl.alloc"() {layout = #tl.fragment<array<i64: 8, 8>, array<i64: 8, 1, 1, 4, -1, 1>, array<i64: 8, 0, 1>>} : () -> !f
    %o = "tl.alloc"() {layout = #tl.fragment<array<i64: 8>, array<i64: 8, 0, 1, 4, -1, 1>, array<i64>>} : () -> memref<8xf32, #tl.scope<"fragment">>
    scf.for %k = %zero to %n step %one : i32 {
      "tl.parallel"() ({
      ^bb0(%j: i32):
        %kk = arith.index_cast %k : i32 to index
        %jj = arith.index_cast %j : i32 to index
        %x = memref.load %f[%kk, %jj] : !f
        memref.store %x, %o[%jj] : memref<8xf32, #tl.scope<"fragment">>
      }) {extents = array<i64: 8>, layout = #tl.fragment<array<i64: 8>, array<i64: 8, 0, 1, 4, -1, 1>, array<i64>>} : () -> ()
    }
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}

// Rows that other threads hold are written in a shared tile, which goes back to the registers after the loop.
// CHECK-LABEL: func.func @lower_rows(
// CHECK: %[[F:[0-9]+]] = "tl.alloc"() {{.*}} : () -> memref<8x8xf32, #tl.scope<"fragment">>
// CHECK: %[[S:[0-9]+]] = "tl.alloc"() {{.*}} : () -> memref<8x8xf32, #tl.scope<"shared">>
// CHECK-NEXT: "tl.copy"(%[[F]], %[[S]])
// CHECK-NEXT: "tl.parallel"
// CHECK: memref.load %[[S]]
// CHECK: memref.store %{{.*}}, %[[S]]
// CHECK: "tl.copy"(%[[S]], %[[F]])
func.func @lower_rows(%a: !llvm.ptr<1>) {
  %one = arith.constant 1 : i32
  %half = arith.constant 4 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %f = "tl.alloc"() {layout = #rows} : () -> !f
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %k = arith.addi %i, %half : i32
      %kk = arith.index_cast %k : i32 to index
      %jj = arith.index_cast %j : i32 to index
      %x = memref.load %f[%kk, %jj] : !f
      %z = arith.addf %x, %x : f32
      memref.store %z, %f[%kk, %jj] : !f
    }) {extents = array<i64: 4, 8>, layout = #tl.fragment<array<i64: 4, 8>, array<i64: 8, 0, 1, 4, 1, 2>, array<i64: 2, 1, 1>>} : () -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
