// Sums that pass through share columns with those that do at other times; the first two are in use together.
// RUN: tl-opt %s --target=sm_100a --layout-inference --plan-tensor-memory | filecheck %s

// CHECK: "tl.tmem_arena"() {columns = 256 : i32, id = 0 : i32}
// CHECK: "tl.alloc"() {{.*}}tl.column = 32 : i32, tl.passing}
// CHECK: "tl.alloc"() {{.*}}tl.column = 96 : i32, tl.passing}
// CHECK: "tl.alloc"() {{.*}}tl.column = 32 : i32, tl.passing}
// CHECK: "tl.alloc"() {{.*}}tl.column = 0 : i32} : () -> memref<128x32xf32
!t = memref<128x64xf32, #tl.scope<"tmem">>
!u = memref<128x128xf32, #tl.scope<"tmem">>
!f = memref<128x64xf32, #tl.scope<"fragment">>
!g = memref<128x128xf32, #tl.scope<"fragment">>
func.func @plan(%n: i32) {
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    %a = "tl.alloc"() {tl.passing} : () -> !t
    %b = "tl.alloc"() {tl.passing} : () -> !t
    %c = "tl.alloc"() {tl.passing} : () -> !u
    %d = "tl.alloc"() : () -> memref<128x32xf32, #tl.scope<"tmem">>
    %f = "tl.alloc"() : () -> !f
    %g = "tl.alloc"() : () -> !g
    "tl.copy"(%f, %a) : (!f, !t) -> ()
    "tl.copy"(%f, %b) : (!f, !t) -> ()
    "tl.copy"(%a, %f) : (!t, !f) -> ()
    "tl.copy"(%b, %f) : (!t, !f) -> ()
    "tl.copy"(%g, %c) : (!g, !u) -> ()
    "tl.copy"(%c, %g) : (!u, !g) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
