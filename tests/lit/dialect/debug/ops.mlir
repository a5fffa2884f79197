// Printing, assertions and facts.
// RUN: tl-opt %s | filecheck %s
// RUN: tl-opt %s > %t
// RUN: tl-opt %t | diff %t -

// CHECK-LABEL: func.func @debug(
// CHECK: "tl.print"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {message = "x"} : (f32, f32) -> ()
// CHECK: "tl.print"(%{{[0-9a-z_]+}}) {message = "s"} : (memref<4xf32, #tl.scope<"shared">>) -> ()
// CHECK: "tl.print"() {message = "here"} : () -> ()
// CHECK: "tl.assert"(%{{[0-9a-z_]+}}) {message = "c holds"} : (i1) -> ()
// CHECK: "tl.assume"(%{{[0-9a-z_]+}}) : (i1) -> ()
func.func @debug(%c: i1, %x: f32, %s: memref<4xf32, #tl.scope<"shared">>) {
  "tl.print"(%x, %x) {message = "x"} : (f32, f32) -> ()
  "tl.print"(%s) {message = "s"} : (memref<4xf32, #tl.scope<"shared">>) -> ()
  "tl.print"() {message = "here"} : () -> ()
  "tl.assert"(%c) {message = "c holds"} : (i1) -> ()
  "tl.assume"(%c) : (i1) -> ()
  return
}
