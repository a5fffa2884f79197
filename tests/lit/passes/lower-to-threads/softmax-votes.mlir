// Turns are named barriers of two warpgroups; what outgrows its reference is found by each warp for itself.
// RUN: tl-opt %s --target=sm_90a --lower-to-threads --canonicalize | filecheck %s

// CHECK: llvm.func @turns_kernel(
// CHECK: %[[TID:[0-9]+]] = nvvm.read.ptx.sreg.tid.x
// CHECK: %[[GROUP:[0-9]+]] = arith.shrui %[[TID]], %c7_i32
// CHECK: %[[LAST:[0-9]+]] = arith.cmpi eq, %[[GROUP]], %c1_i32
// CHECK: scf.if %[[LAST]] {
// CHECK-NEXT: nvvm.barrier.arrive id = %c5_i32 number_of_threads = %c256_i32
// CHECK: %[[OWN:[0-9]+]] = arith.addi %[[GROUP]], %c5_i32
// CHECK: nvvm.barrier id = %[[OWN]] number_of_threads = %c256_i32
// CHECK: %[[AHEAD:[0-9]+]] = arith.addi %[[GROUP]], %c6_i32
// CHECK: %[[NEXT:[0-9]+]] = arith.select %[[LAST]], %c5_i32, %[[AHEAD]]
// CHECK: nvvm.barrier.arrive id = %[[NEXT]] number_of_threads = %c256_i32
// CHECK-NOT: shfl
// CHECK: %[[MORE:[0-9]+]] = arith.subf
// CHECK: arith.cmpf ogt, %[[MORE]], %cst
// CHECK: %[[ANY:[0-9]+]] = arith.ori
// CHECK: %[[VOTE:[0-9]+]] = nvvm.vote.sync any %{{.*}}, %[[ANY]]
// CHECK-NEXT: scf.if %[[VOTE]] {
#sums = #tl.fragment<array<i64: 128, 64>, array<i64: 4, 1, 2, 8, 0, 1, 4, 0, 16, 2, 0, 64>, array<i64: 2, 1, 1, 2, 0, 8, 8, 1, 8>>
#rows = #tl.fragment<array<i64: 128>, array<i64: 4, -1, 1, 8, 0, 1, 4, 0, 16, 2, 0, 64>, array<i64: 2, 0, 8>>
!f = memref<128x64xf32, #tl.scope<"fragment">>
!r = memref<128xf32, #tl.scope<"fragment">>
func.func @turns(%one: i32) attributes {tl.params = [{kind = "scalar", name = "one", dtype = "int32"}]} {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    "tl.specialize"() ({
      "tl.fence_proxy"() : () -> ()
    }, {
      "tl.turn"() {action = "open"} : () -> ()
      %c = "tl.alloc"() {layout = #sums} : () -> !f
      %m = "tl.alloc"() {layout = #rows} : () -> !r
      "tl.turn"() {action = "take"} : () -> ()
      "tl.turn"() {action = "pass"} : () -> ()
      %grown = "tl.outgrows"(%c, %m) {margin = 64.0 : f32} : (!f, !r) -> i1
      scf.if %grown {
        "tl.sync_warp"() : () -> ()
      }
    }) {consumers = 256 : i32} : () -> ()
  }) {threads = array<i32: 384, 1, 1>, tl.shared_bytes = 0 : i64} : (i32) -> ()
  return
}
