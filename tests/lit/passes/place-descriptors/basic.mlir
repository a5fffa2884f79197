// Room for tensor maps: a row of 128 bytes per warp, eight at least, of views that tiles are copied of or to.
// RUN: tl-opt %s --target=sm_90a --place-descriptors | filecheck %s
// RUN: tl-opt %s --target=sm_90 --place-descriptors | filecheck %s --check-prefix=PLAIN
// PLAIN-NOT: tl.make_descriptor
!g = memref<100x64xf16, #tl.scope<"global">>
!v = memref<?x64xf16, strided<[64, 1]>, #tl.scope<"global">>
!o = memref<?x64xf16, strided<[65, 1]>, #tl.scope<"global">>
!s = memref<32x64xf16, #tl.scope<"shared">>
!t = memref<32x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>
!u = memref<32x64xf16, strided<[65, 1], offset: ?>, #tl.scope<"global">>

// CHECK-LABEL: func.func @places
func.func @places(%n: i32, %p: !llvm.ptr<1>, %rows: i32) {
  %g = "tl.tensor"(%p) {shape = array<i64: 100, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !g
  "tl.launch"(%n) ({
  ^bb0(%x: i32):
    %zero = arith.constant 0 : i32
    // CHECK: %[[ROOM:.*]] = "tl.alloc"() : () -> memref<12x128xi8, #tl.scope<"shared">>
    // CHECK-NOT: memref<12x128xi8
    %s = "tl.alloc"() : () -> !s
    // CHECK: %[[VIEW:.*]] = "tl.view"
    // CHECK-NEXT: "tl.make_descriptor"(%[[VIEW]], %[[ROOM]])
    // CHECK-NOT: tl.make_descriptor
    %v = "tl.view"(%g, %x, %zero, %rows) {id = 0, shape = array<i64: -1, 64>, strides = array<i64: 64, 1>} : (!g, i32, i32, i32) -> !v
    // Read element by element.
    %w = "tl.view"(%g, %x, %zero, %rows) {id = 1, shape = array<i64: -1, 64>, strides = array<i64: 64, 1>} : (!g, i32, i32, i32) -> !v
    // Rows that no map describes.
    %o = "tl.view"(%g, %x, %zero, %rows) {id = 2, shape = array<i64: -1, 64>, strides = array<i64: 65, 1>} : (!g, i32, i32, i32) -> !o
    %t = "tl.slice"(%v, %zero, %zero) {sizes = array<i64: 32, 64>} : (!v, i32, i32) -> !t
    "tl.copy"(%s, %t) : (!s, !t) -> ()
    %u = "tl.slice"(%o, %zero, %zero) {sizes = array<i64: 32, 64>} : (!o, i32, i32) -> !u
    "tl.copy"(%s, %u) : (!s, !u) -> ()
    %i = arith.index_cast %x : i32 to index
    %e = memref.load %w[%i, %i] : !v
    memref.store %e, %w[%i, %i] : !v
  }) {threads = array<i32: 384, 1, 1>} : (i32) -> ()
  return
}
