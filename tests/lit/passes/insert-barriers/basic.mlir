// A barrier stands between the write of a shared tile and its read, and none where nothing is shared.
// RUN: tl-opt %s --target=sm_80 --legalize-tile-ops --layout-inference --pipeline-loops --expand-tile-ops --plan-shared-memory --insert-barriers | filecheck %s

// CHECK: "tl.parallel"()
// CHECK: memref.store
// CHECK: "tl.sync_threads"() : () -> ()
// CHECK: "tl.parallel"()
// CHECK-NOT: tl.sync_threads
// CHECK: return

func.func @f(%p: !llvm.ptr<1>, %n: i32) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "int32", kind = "symbol", name = "n"}]} {
  %A = "tl.tensor"(%p) {shape = array<i64: 64, 32>, strides = array<i64: 32, 1>} : (!llvm.ptr<1>) -> memref<64x32xf16, #tl.scope<"global">>
  "tl.launch"(%n) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> memref<64x32xf16, #tl.scope<"shared">>
    %f = "tl.alloc"() : () -> memref<64x32xf16, #tl.scope<"fragment">>
    "tl.copy"(%A, %s) : (memref<64x32xf16, #tl.scope<"global">>, memref<64x32xf16, #tl.scope<"shared">>) -> ()
    "tl.copy"(%s, %f) : (memref<64x32xf16, #tl.scope<"shared">>, memref<64x32xf16, #tl.scope<"fragment">>) -> ()
    "tl.copy"(%f, %A) : (memref<64x32xf16, #tl.scope<"fragment">>, memref<64x32xf16, #tl.scope<"global">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
