// While tiles are loaded for products the other threads use no memory of theirs; behind the wait for the products they do.
// RUN: tl-opt %s --target=sm_100a --plan-shared-memory | filecheck %s

#plain = #tl.smem<array<i64: 1024>, array<i64: 1024, 0, 1, 1>, array<i64: 0, 0, 0>>
!s = memref<1024xf32, #tl.scope<"shared">>

// CHECK: [[RING:%[0-9]+]] = "tl.alloc"() {{.*}}tl.offset = 0
// CHECK: [[EARLY:%[0-9]+]] = "tl.alloc"() {{.*}}tl.offset = 4096
// CHECK: [[LATE:%[0-9]+]] = "tl.alloc"() {{.*}}tl.offset = 0
// CHECK: memref.store {{.*}}, [[RING]]
// CHECK: memref.store {{.*}}, [[EARLY]]
// CHECK: "tl.mbarrier_wait"
// CHECK: memref.store {{.*}}, [[LATE]]
func.func @parts(%one: i32, %x: f32) {
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %c0 = arith.constant 0 : index
    %zero = arith.constant 0 : i32
    %finished = "tl.alloc_barrier"() {counts = array<i64: 1>} : () -> !tl.barrier<1 : i64>
    %ring = "tl.alloc"() {layout = #plain} : () -> !s
    %early = "tl.alloc"() {layout = #plain} : () -> !s
    %late = "tl.alloc"() {layout = #plain} : () -> !s
    "tl.tensor_roles"() ({
      memref.store %x, %ring[%c0] : !s
    }, {
      "tl.tcgen05_commit"(%finished, %zero) : (!tl.barrier<1 : i64>, i32) -> ()
    }, {
    }, {
      memref.store %x, %early[%c0] : !s
      "tl.mbarrier_wait"(%finished, %zero, %zero) : (!tl.barrier<1 : i64>, i32, i32) -> ()
      memref.store %x, %late[%c0] : !s
    }) {consumers = 128 : i32} : () -> ()
  }) {threads = array<i32: 192, 1, 1>} : (i32) -> ()
  return
}
