// RUN: tl-opt %s --legalize-tile-ops | filecheck %s

!frag = memref<16x8xf32, #tl.scope<"fragment">>
!shared = memref<16x8xf32, #tl.scope<"shared">>
!local = memref<4x2xf32, #tl.scope<"local">>

// Operands in shared memory go through fragments; a result that is added to is read first.
// CHECK-LABEL: func.func @reduce_shared_operands
// CHECK: %[[S:.*]] = "tl.alloc"() : () -> memref<16x8xf32, #tl.scope<"shared">>
// CHECK: %[[D:.*]] = "tl.alloc"() : () -> memref<16xf32, #tl.scope<"shared">>
// CHECK: "tl.copy"(%[[S]], %[[SF:.*]]) : (memref<16x8xf32, #tl.scope<"shared">>, memref<16x8xf32, #tl.scope<"fragment">>)
// CHECK: "tl.copy"(%[[D]], %[[DF:.*]]) : (memref<16xf32, #tl.scope<"shared">>, memref<16xf32, #tl.scope<"fragment">>)
// CHECK: "tl.reduce"(%[[SF]], %[[DF]]) {clear = false, dim = 1 : i32, kind = "sum"}
// CHECK: "tl.copy"(%[[DF]], %[[D]])
func.func @reduce_shared_operands() {
  %one = arith.constant 1 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %s = "tl.alloc"() : () -> !shared
    %d = "tl.alloc"() : () -> memref<16xf32, #tl.scope<"shared">>
    "tl.reduce"(%s, %d) {clear = false, dim = 1 : i32, kind = "sum"} : (!shared, memref<16xf32, #tl.scope<"shared">>) -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}

// Arrays of each thread are reduced by loops; `clear` starts from the first element.
// CHECK-LABEL: func.func @reduce_private
// CHECK-NOT: tl.reduce
// CHECK: scf.for %[[I:.*]] = {{.*}} : i32 {
// CHECK: %[[FIRST:.*]] = memref.load {{.*}} : memref<4x2xf32
// CHECK: %[[ABS:.*]] = math.absf %[[FIRST]]
// CHECK: memref.store %[[ABS]], {{.*}} : memref<4xf32
// CHECK: scf.for
// CHECK: arith.maxnumf
// CHECK: memref.store {{.*}} : memref<4xf32
func.func @reduce_private() {
  %one = arith.constant 1 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %s = "tl.alloc"() : () -> !local
    %d = "tl.alloc"() : () -> memref<4xf32, #tl.scope<"local">>
    "tl.reduce"(%s, %d) {clear = true, dim = 1 : i32, kind = "absmax"} : (!local, memref<4xf32, #tl.scope<"local">>) -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}

// Elements that the result has more bits than are converted first, as the reduction reads them.
// CHECK-LABEL: func.func @reduce_to_wider
// CHECK: %[[W:.*]] = "tl.alloc"() : () -> memref<16x8xi32, #tl.scope<"fragment">>
// CHECK: "tl.copy"(%[[B:.*]], %[[W]]) {unsigned} : (memref<16x8xi8
// CHECK: "tl.reduce"(%[[W]], {{.*}}) {clear = true, dim = 1 : i32, kind = "sum", unsigned}
// Sums of 16-bit floats are lowering's to widen.
// CHECK-NOT: tl.copy
// CHECK: "tl.reduce"({{.*}}) {{.*}}kind = "sum"} : (memref<16x8xf16
// CHECK-NOT: tl.copy
func.func @reduce_to_wider() {
  %one = arith.constant 1 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %b = "tl.alloc"() : () -> memref<16x8xi8, #tl.scope<"fragment">>
    %d = "tl.alloc"() : () -> memref<16xi32, #tl.scope<"fragment">>
    "tl.reduce"(%b, %d) {clear = true, dim = 1 : i32, kind = "sum", unsigned} : (memref<16x8xi8, #tl.scope<"fragment">>, memref<16xi32, #tl.scope<"fragment">>) -> ()
    %h = "tl.alloc"() : () -> memref<16x8xf16, #tl.scope<"fragment">>
    %e = "tl.alloc"() : () -> memref<16xf16, #tl.scope<"fragment">>
    "tl.reduce"(%h, %e) {clear = true, dim = 1 : i32, kind = "sum"} : (memref<16x8xf16, #tl.scope<"fragment">>, memref<16xf16, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}

// A scan of a fragment in place is what lowering takes.
// CHECK-LABEL: func.func @scan
// CHECK-NOT: "tl.copy"
// CHECK: "tl.scan"(%[[F:.*]], %[[F]]) {dim = 0 : i32, kind = "max", reverse = true}
// CHECK-NOT: "tl.copy"
func.func @scan() {
  %one = arith.constant 1 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %f = "tl.alloc"() : () -> !frag
    "tl.scan"(%f, %f) {dim = 0 : i32, kind = "max", reverse = true} : (!frag, !frag) -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}

// A part of a shared tile goes through a fragment, in which a thread holds neighbours along the scanned dimension.
// CHECK-LABEL: func.func @scan_part
// CHECK: %[[S:.*]] = "tl.slice"
// CHECK: %[[F:.*]] = "tl.alloc"() {layout = #tl.fragment<array<i64: 4, 8>, array<i64: 2, 1, 4, 4, 0, 1, 4, -1, 1>, array<i64: 4, 1, 1>>}
// CHECK: "tl.copy"(%[[S]], %[[F]])
// CHECK: "tl.scan"(%[[F]], %[[F]]) {dim = 0 : i32, kind = "sum", reverse = false}
// CHECK: "tl.copy"(%[[F]], %[[S]])
func.func @scan_part(%row: i32) {
  %one = arith.constant 1 : i32
  %zero = arith.constant 0 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %t = "tl.alloc"() : () -> !shared
    %s = "tl.slice"(%t, %row, %zero) {sizes = array<i64: 4, 8>} : (!shared, i32, i32) -> memref<4x8xf32, strided<[8, 1], offset: ?>, #tl.scope<"shared">>
    "tl.scan"(%s, %s) {dim = 0 : i32, kind = "sum", reverse = false} : (memref<4x8xf32, strided<[8, 1], offset: ?>, #tl.scope<"shared">>, memref<4x8xf32, strided<[8, 1], offset: ?>, #tl.scope<"shared">>) -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}

// A tile of more elements than 64 per thread is walked where it lies, one line per iteration.
// CHECK-LABEL: func.func @scan_large
// CHECK-NOT: "tl.copy"
// CHECK: "tl.parallel"() ({
// CHECK: scf.for
// CHECK: arith.addf
// CHECK: }) {extents = array<i64: 520>}
func.func @scan_large() {
  %one = arith.constant 1 : i32
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %t = "tl.alloc"() : () -> memref<520x4xf32, #tl.scope<"shared">>
    "tl.scan"(%t, %t) {dim = 1 : i32, kind = "sum", reverse = false} : (memref<520x4xf32, #tl.scope<"shared">>, memref<520x4xf32, #tl.scope<"shared">>) -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
