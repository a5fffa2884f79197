// RUN: tl-opt %s --target=sm_90a --layout-inference --plan-shared-memory | filecheck %s

// A bulk store that is waited for on the spot ends there: two tiles stored one after the other share memory. One that is
// waited for later lives on.
// CHECK-LABEL: func.func @stores(
// CHECK: "tl.alloc"() {{.*}}tl.offset = 0 : i64
// CHECK-NEXT: "tl.alloc"() {{.*}}tl.offset = 0 : i64
// CHECK-NEXT: "tl.alloc"() {{.*}}tl.offset = 16384 : i64
func.func @stores(%p: !llvm.ptr<1>, %x: f32) {
  %one = arith.constant 1 : i32
  %A = "tl.tensor"(%p) {shape = array<i64: 4096>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> memref<4096xf32, #tl.scope<"global">>
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %s = "tl.alloc"() : () -> memref<4096xf32, #tl.scope<"shared">>
    %t = "tl.alloc"() : () -> memref<4096xf32, #tl.scope<"shared">>
    %u = "tl.alloc"() : () -> memref<4096xf32, #tl.scope<"shared">>
    "tl.fill"(%u, %x) : (memref<4096xf32, #tl.scope<"shared">>, f32) -> ()
    "tl.tma_store"(%u, %A) {explicit} : (memref<4096xf32, #tl.scope<"shared">>, memref<4096xf32, #tl.scope<"global">>) -> ()
    "tl.fill"(%s, %x) : (memref<4096xf32, #tl.scope<"shared">>, f32) -> ()
    "tl.tma_store"(%s, %A) {explicit, reduce = "add"} : (memref<4096xf32, #tl.scope<"shared">>, memref<4096xf32, #tl.scope<"global">>) -> ()
    "tl.tma_wait"() {pending = 0 : i32} : () -> ()
    "tl.fill"(%t, %x) : (memref<4096xf32, #tl.scope<"shared">>, f32) -> ()
    "tl.tma_store"(%t, %A) {explicit, reduce = "add"} : (memref<4096xf32, #tl.scope<"shared">>, memref<4096xf32, #tl.scope<"global">>) -> ()
    "tl.tma_wait"() {pending = 0 : i32} : () -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
