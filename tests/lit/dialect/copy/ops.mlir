// Moving tiles.
// RUN: tl-opt %s | filecheck %s
// RUN: tl-opt %s > %t
// RUN: tl-opt %t | diff %t -

// CHECK-LABEL: func.func @copies(
// CHECK: "tl.copy"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) : (memref<128x64xf16, #tl.scope<"global">>, memref<128x64xf16, #tl.scope<"shared">>) -> ()
// CHECK: "tl.copy"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {async, coalesced_width = 8 : i32, prefer = "cp_async"} : (memref<128x64xf16, #tl.scope<"global">>, memref<1x128x64xf16, #tl.scope<"shared">>) -> ()
// CHECK: "tl.copy"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {eviction = "evict_first", unsigned} : (memref<128x64xf16, #tl.scope<"shared">>, memref<128x64xf32, #tl.scope<"fragment">>) -> ()
// CHECK: "tl.copy"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {disable_tma, prefer = "sync"} : (memref<128x64xf32, #tl.scope<"fragment">>, memref<128x64xf16, #tl.scope<"global">>) -> ()
// CHECK: "tl.commit_group"() : () -> ()
// CHECK: "tl.wait_group"() {pending = 1 : i32} : () -> ()
func.func @copies(%g: memref<128x64xf16, #tl.scope<"global">>, %s: memref<128x64xf16, #tl.scope<"shared">>, %o: memref<1x128x64xf16, #tl.scope<"shared">>, %f: memref<128x64xf32, #tl.scope<"fragment">>) {
  "tl.copy"(%g, %s) : (memref<128x64xf16, #tl.scope<"global">>, memref<128x64xf16, #tl.scope<"shared">>) -> ()
  "tl.copy"(%g, %o) {async, coalesced_width = 8 : i32, prefer = "cp_async"} : (memref<128x64xf16, #tl.scope<"global">>, memref<1x128x64xf16, #tl.scope<"shared">>) -> ()
  "tl.copy"(%s, %f) {eviction = "evict_first", unsigned} : (memref<128x64xf16, #tl.scope<"shared">>, memref<128x64xf32, #tl.scope<"fragment">>) -> ()
  "tl.copy"(%f, %g) {disable_tma, prefer = "sync"} : (memref<128x64xf32, #tl.scope<"fragment">>, memref<128x64xf16, #tl.scope<"global">>) -> ()
  "tl.commit_group"() : () -> ()
  "tl.wait_group"() {pending = 1 : i32} : () -> ()
  return
}

// CHECK-LABEL: func.func @others(
// CHECK: "tl.fill"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) : (memref<16x32xf16, #tl.scope<"shared">>, f16) -> ()
// CHECK: "tl.transpose"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) : (memref<16x32xf16, #tl.scope<"shared">>, memref<32x16xf16, #tl.scope<"shared">>) -> ()
func.func @others(%s: memref<16x32xf16, #tl.scope<"shared">>, %t: memref<32x16xf16, #tl.scope<"shared">>, %x: f16) {
  "tl.fill"(%s, %x) : (memref<16x32xf16, #tl.scope<"shared">>, f16) -> ()
  "tl.transpose"(%s, %t) : (memref<16x32xf16, #tl.scope<"shared">>, memref<32x16xf16, #tl.scope<"shared">>) -> ()
  return
}
