// Arms of a branch run side by side, with arithmetic between them, too: no barrier of all threads parts them.
// RUN: tl-opt %s --target=sm_100a --insert-barriers --show-pretty | filecheck %s

// CHECK: warpgroups 0
// CHECK-NOT: sync_threads
// CHECK: warpgroups 1
func.func @arms(%n: i32) {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %x = arith.constant 1.0 : f32
  "tl.launch"(%c1) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() {tl.offset = 0 : i64, layout = #tl.smem<array<i64: 4>, array<i64: 4, 0, 1, 1>, array<i64: 0, 0, 0>>} : () -> memref<4xf32, #tl.scope<"shared">>
    %i = arith.index_cast %c0 : i32 to index
    "tl.warpgroups"() ({
      memref.store %x, %s[%i] : memref<4xf32, #tl.scope<"shared">>
    }) {groups = array<i32: 0>, tl.branch = 0 : i32} : () -> ()
    %odd = arith.andi %n, %c1 : i32
    "tl.warpgroups"() ({
      %j = arith.index_cast %odd : i32 to index
      %v = memref.load %s[%j] : memref<4xf32, #tl.scope<"shared">>
      memref.store %v, %s[%i] : memref<4xf32, #tl.scope<"shared">>
    }) {groups = array<i32: 1>, tl.branch = 0 : i32} : () -> ()
  }) {threads = array<i32: 256, 1, 1>} : (i32) -> ()
  return
}
