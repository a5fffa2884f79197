// Reductions and scans.
// RUN: tl-opt %s | filecheck %s
// RUN: tl-opt %s > %t
// RUN: tl-opt %t | diff %t -

// CHECK-LABEL: func.func @reduce(
// CHECK: "tl.reduce"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {clear = true, dim = 1 : i32, kind = "sum"} : (memref<128x64xf32, #tl.scope<"fragment">>, memref<128xf32, #tl.scope<"fragment">>) -> ()
// CHECK: "tl.reduce"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {clear = false, dim = 1 : i32, kind = "absmax", nan_propagate} : (memref<128x64xf32, #tl.scope<"fragment">>, memref<128x1xf32, #tl.scope<"fragment">>) -> ()
// CHECK: "tl.reduce"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {clear = true, dim = 0 : i32, kind = "umax"} : (memref<128x64xi32, #tl.scope<"fragment">>, memref<64xi32, #tl.scope<"fragment">>) -> ()
// CHECK: "tl.reduce"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {clear = true, dim = 0 : i32, kind = "sum", unsigned} : (memref<128x64xi8, #tl.scope<"fragment">>, memref<64xi32, #tl.scope<"fragment">>) -> ()
// CHECK: "tl.scan"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {dim = 0 : i32, kind = "sum", reverse = false} : (memref<128x64xf32, #tl.scope<"fragment">>, memref<128x64xf32, #tl.scope<"fragment">>) -> ()
// CHECK: "tl.scan"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {dim = 1 : i32, kind = "max", reverse = true} : (memref<128x64xf32, #tl.scope<"fragment">>, memref<128x64xf32, #tl.scope<"fragment">>) -> ()
func.func @reduce(%s: memref<128x64xf32, #tl.scope<"fragment">>, %d: memref<128xf32, #tl.scope<"fragment">>, %k: memref<128x1xf32, #tl.scope<"fragment">>, %n: memref<128x64xi32, #tl.scope<"fragment">>, %m: memref<64xi32, #tl.scope<"fragment">>, %b: memref<128x64xi8, #tl.scope<"fragment">>) {
  "tl.reduce"(%s, %d) {clear = true, dim = 1 : i32, kind = "sum"} : (memref<128x64xf32, #tl.scope<"fragment">>, memref<128xf32, #tl.scope<"fragment">>) -> ()
  "tl.reduce"(%s, %k) {clear = false, dim = 1 : i32, kind = "absmax", nan_propagate} : (memref<128x64xf32, #tl.scope<"fragment">>, memref<128x1xf32, #tl.scope<"fragment">>) -> ()
  "tl.reduce"(%n, %m) {clear = true, dim = 0 : i32, kind = "umax"} : (memref<128x64xi32, #tl.scope<"fragment">>, memref<64xi32, #tl.scope<"fragment">>) -> ()
  "tl.reduce"(%b, %m) {clear = true, dim = 0 : i32, kind = "sum", unsigned} : (memref<128x64xi8, #tl.scope<"fragment">>, memref<64xi32, #tl.scope<"fragment">>) -> ()
  "tl.scan"(%s, %s) {dim = 0 : i32, kind = "sum", reverse = false} : (memref<128x64xf32, #tl.scope<"fragment">>, memref<128x64xf32, #tl.scope<"fragment">>) -> ()
  "tl.scan"(%s, %s) {dim = 1 : i32, kind = "max", reverse = true} : (memref<128x64xf32, #tl.scope<"fragment">>, memref<128x64xf32, #tl.scope<"fragment">>) -> ()
  return
}

// CHECK-LABEL: func.func @reducer(
// CHECK: %{{[0-9a-z_]+}} = "tl.alloc_reducer"() {kind = "sum"} : () -> memref<16xf32, #tl.scope<"fragment">>
// CHECK: "tl.reducer_init"(%{{[0-9a-z_]+}}) : (memref<16xf32, #tl.scope<"fragment">>) -> ()
// CHECK: "tl.reducer_init"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) : (memref<16xf32, #tl.scope<"fragment">>, f32) -> ()
// CHECK: "tl.reducer_update"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) : (memref<16xf32, #tl.scope<"fragment">>, f32, index) -> ()
// CHECK: "tl.finalize_reducer"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) : (memref<16xf32, #tl.scope<"fragment">>, memref<16xf32, #tl.scope<"fragment">>) -> ()
// CHECK: "tl.finalize_reducer"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) : (memref<16xf32, #tl.scope<"fragment">>, memref<16xf32, #tl.scope<"shared">>) -> ()
func.func @reducer(%x: f32, %i: index, %out: memref<16xf32, #tl.scope<"shared">>) {
  %r = "tl.alloc_reducer"() {kind = "sum"} : () -> memref<16xf32, #tl.scope<"fragment">>
  "tl.reducer_init"(%r) : (memref<16xf32, #tl.scope<"fragment">>) -> ()
  "tl.reducer_init"(%r, %x) : (memref<16xf32, #tl.scope<"fragment">>, f32) -> ()
  "tl.reducer_update"(%r, %x, %i) : (memref<16xf32, #tl.scope<"fragment">>, f32, index) -> ()
  "tl.finalize_reducer"(%r, %r) : (memref<16xf32, #tl.scope<"fragment">>, memref<16xf32, #tl.scope<"fragment">>) -> ()
  "tl.finalize_reducer"(%r, %out) : (memref<16xf32, #tl.scope<"fragment">>, memref<16xf32, #tl.scope<"shared">>) -> ()
  return
}

// CHECK-LABEL: func.func @outgrows(
// CHECK: %{{[0-9a-z_]+}} = "tl.outgrows"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {margin = 8.000000e+00 : f32} : (memref<8x4xf32, #tl.scope<"fragment">>, memref<8xf32, #tl.scope<"fragment">>) -> i1
func.func @outgrows(%f: memref<8x4xf32, #tl.scope<"fragment">>, %r: memref<8xf32, #tl.scope<"fragment">>) {
  %0 = "tl.outgrows"(%f, %r) {margin = 8.0 : f32} : (memref<8x4xf32, #tl.scope<"fragment">>, memref<8xf32, #tl.scope<"fragment">>) -> i1
  return
}
