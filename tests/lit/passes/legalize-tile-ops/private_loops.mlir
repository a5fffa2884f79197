// RUN: tl-opt %s --legalize-tile-ops --target=sm_80 | filecheck %s

// Every thread has an array of its own, and runs all iterations for it.
// CHECK-LABEL: func.func @own
// CHECK-NOT: "tl.parallel"
// CHECK: scf.for [[I:%.+]] = %c0_i32{{.*}} to %c2_i32
// CHECK: scf.for [[J:%.+]] = %c0_i32{{.*}} to %c4_i32
// CHECK: memref.store
// CHECK: {tl.unroll}
func.func @own() {
  %one = arith.constant 1 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<2x4xi32, #tl.scope<"local">>
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      %x = memref.load %a[%ii, %jj] : memref<2x4xi32, #tl.scope<"local">>
      %y = arith.addi %x, %j : i32
      memref.store %y, %a[%ii, %jj] : memref<2x4xi32, #tl.scope<"local">>
    }) {extents = array<i64: 2, 4>} : () -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}

// Other memory belongs to all threads, which share the iterations.
// CHECK-LABEL: func.func @shared
// CHECK: "tl.parallel"
func.func @shared() {
  %one = arith.constant 1 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<4xi32, #tl.scope<"local">>
    %s = "tl.alloc"() : () -> memref<4xi32, #tl.scope<"shared">>
    "tl.parallel"() ({
    ^bb0(%j: i32):
      %jj = arith.index_cast %j : i32 to index
      %x = memref.load %s[%jj] : memref<4xi32, #tl.scope<"shared">>
      memref.store %x, %a[%jj] : memref<4xi32, #tl.scope<"local">>
    }) {extents = array<i64: 4>} : () -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
