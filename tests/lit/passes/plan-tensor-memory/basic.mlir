// Buffers share an arena of a power of two columns; one that the program frees itself has its own.
// RUN: tl-opt %s --target=sm_100a --layout-inference --plan-tensor-memory | filecheck %s

// CHECK: "tl.tmem_arena"() {columns = 128 : i32, id = 0 : i32}
// CHECK: "tl.tmem_arena"() {columns = 64 : i32, id = 1 : i32}
// CHECK: "tl.alloc"() {{.*}}tl.arena = 0 : i32, tl.column = 0 : i32} : () -> memref<128x64xf32
// CHECK: "tl.alloc"() {{.*}}tl.arena = 0 : i32, tl.column = 64 : i32} : () -> memref<128x64xf16
// CHECK: "tl.alloc"() {{.*}}tl.arena = 1 : i32, tl.column = 0 : i32} : () -> memref<2x128x32xf32
// CHECK: "tl.tmem_free"() {id = 1 : i32}
// CHECK-NOT: tl.dealloc_tmem
// CHECK: "tl.tmem_free"() {id = 0 : i32}
func.func @plan(%n: i32) {
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    %a = "tl.alloc"() : () -> memref<128x64xf32, #tl.scope<"tmem">>
    %b = "tl.alloc"() : () -> memref<128x64xf16, #tl.scope<"tmem">>
    %c = "tl.alloc"() : () -> memref<2x128x32xf32, #tl.scope<"tmem">>
    "tl.dealloc_tmem"(%c) : (memref<2x128x32xf32, #tl.scope<"tmem">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
