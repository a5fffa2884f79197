// Atomic operations on elements.
// RUN: tl-opt %s | filecheck %s
// RUN: tl-opt %s > %t
// RUN: tl-opt %t | diff %t -

// CHECK-LABEL: func.func @atomics(
// CHECK: "tl.atomic"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {kind = "add", order = "relaxed"} : (memref<4x?xf32, #tl.scope<"global">>, f32, index, index) -> ()
// CHECK: %{{[0-9a-z_]+}} = "tl.atomic"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {kind = "max", order = "acq_rel"} : (memref<4x?xf32, #tl.scope<"global">>, f32, index, index) -> f32
// CHECK: "tl.atomic"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {kind = "min", order = "consume"} : (memref<4x?xf32, #tl.scope<"global">>, f32, index, index) -> ()
// CHECK: "tl.atomic"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {kind = "umax", order = "relaxed"} : (memref<8xi32, #tl.scope<"shared">>, i32, index) -> ()
// CHECK: "tl.atomic"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {kind = "umin", order = "relaxed"} : (memref<8xi32, #tl.scope<"shared">>, i32, index) -> ()
// CHECK: "tl.atomic"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {kind = "and", order = "relaxed"} : (memref<8xi32, #tl.scope<"shared">>, i32, index) -> ()
// CHECK: "tl.atomic"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {kind = "or", order = "seq_cst"} : (memref<8xi32, #tl.scope<"shared">>, i32, index) -> ()
// CHECK: "tl.atomic"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {kind = "xor", order = "relaxed"} : (memref<8xi32, #tl.scope<"shared">>, i32, index) -> ()
// CHECK: %{{[0-9a-z_]+}} = "tl.atomic"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {kind = "exchange", order = "relaxed"} : (memref<8xi32, #tl.scope<"shared">>, i32, index) -> i32
// CHECK: %{{[0-9a-z_]+}} = "tl.atomic"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {kind = "load", order = "acquire"} : (memref<8xi32, #tl.scope<"shared">>, i32, index) -> i32
// CHECK: "tl.atomic"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {kind = "store", order = "release"} : (memref<8xi32, #tl.scope<"shared">>, i32, index) -> ()
func.func @atomics(%g: memref<4x?xf32, #tl.scope<"global">>, %s: memref<8xi32, #tl.scope<"shared">>, %x: f32, %n: i32, %i: index) {
  "tl.atomic"(%g, %x, %i, %i) {kind = "add", order = "relaxed"} : (memref<4x?xf32, #tl.scope<"global">>, f32, index, index) -> ()
  %a = "tl.atomic"(%g, %x, %i, %i) {kind = "max", order = "acq_rel"} : (memref<4x?xf32, #tl.scope<"global">>, f32, index, index) -> f32
  "tl.atomic"(%g, %x, %i, %i) {kind = "min", order = "consume"} : (memref<4x?xf32, #tl.scope<"global">>, f32, index, index) -> ()
  "tl.atomic"(%s, %n, %i) {kind = "umax", order = "relaxed"} : (memref<8xi32, #tl.scope<"shared">>, i32, index) -> ()
  "tl.atomic"(%s, %n, %i) {kind = "umin", order = "relaxed"} : (memref<8xi32, #tl.scope<"shared">>, i32, index) -> ()
  "tl.atomic"(%s, %n, %i) {kind = "and", order = "relaxed"} : (memref<8xi32, #tl.scope<"shared">>, i32, index) -> ()
  "tl.atomic"(%s, %n, %i) {kind = "or", order = "seq_cst"} : (memref<8xi32, #tl.scope<"shared">>, i32, index) -> ()
  "tl.atomic"(%s, %n, %i) {kind = "xor", order = "relaxed"} : (memref<8xi32, #tl.scope<"shared">>, i32, index) -> ()
  %b = "tl.atomic"(%s, %n, %i) {kind = "exchange", order = "relaxed"} : (memref<8xi32, #tl.scope<"shared">>, i32, index) -> i32
  %c = "tl.atomic"(%s, %n, %i) {kind = "load", order = "acquire"} : (memref<8xi32, #tl.scope<"shared">>, i32, index) -> i32
  "tl.atomic"(%s, %n, %i) {kind = "store", order = "release"} : (memref<8xi32, #tl.scope<"shared">>, i32, index) -> ()
  return
}
