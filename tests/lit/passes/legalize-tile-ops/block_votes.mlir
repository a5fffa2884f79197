// Votes of a block: kept where a barrier counts predicates, else the sum of what the waves count.
// RUN: tl-opt %s --target=sm_80 --legalize-tile-ops | filecheck %s --check-prefix=COUNTED
// RUN: tl-opt %s --target=gfx942 --legalize-tile-ops | filecheck %s

// COUNTED-COUNT-2: "tl.vote"
// CHECK-COUNT-2: "tl.alloc"() : () -> memref<2xi32, #tl.scope<"shared">>
// CHECK: "tl.vote"(%{{.*}}) {kind = "ballot"} : (i1) -> i64
// CHECK: math.ctpop %{{.*}} : i64
// CHECK: scf.if
// CHECK: memref.store
// CHECK: "tl.sync_threads"
// CHECK-COUNT-2: memref.load
// CHECK: "tl.sync_threads"
// CHECK: "tl.vote"(%{{.*}}) {kind = "ballot"} : (i1) -> i64
// CHECK: arith.cmpi eq, %{{.*}}, %c128_i32
// CHECK: arith.extui
func.func @votes(%a: !llvm.ptr<1>) attributes {tl.params = [{dtype = "int32", kind = "tensor", name = "A"}]} {
  %A = "tl.tensor"(%a) {shape = array<i64: 2>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> memref<2xi32, #tl.scope<"global">>
  %c1 = arith.constant 1 : i32
  "tl.launch"(%c1) ({
  ^bb0(%x: i32):
    %c0 = arith.constant 0 : index
    %i1 = arith.constant 1 : index
    %t = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %c7 = arith.constant 7 : i32
    %p = arith.cmpi slt, %t, %c7 : i32
    %n = "tl.vote"(%p) {kind = "block_count"} : (i1) -> i32
    memref.store %n, %A[%c0] : memref<2xi32, #tl.scope<"global">>
    %m = "tl.vote"(%p) {kind = "block_and"} : (i1) -> i32
    memref.store %m, %A[%i1] : memref<2xi32, #tl.scope<"global">>
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
