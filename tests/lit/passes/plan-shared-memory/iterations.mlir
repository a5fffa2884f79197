// More tiles than fit, in a loop. Those that each iteration fills before it reads them share memory within the iteration;
// one that is read first keeps what the last iteration left in it, and so does one of which only a part is written.
// RUN: tl-opt %s --target=sm_80 --layout-inference --expand-tile-ops --plan-shared-memory | filecheck %s

// CHECK-LABEL: func.func @filled
// CHECK: "tl.alloc"() {{.*}}tl.offset = 0 : i64{{.*}} : () -> memref<160x128xf32, #tl.scope<"shared">>
// CHECK: "tl.alloc"() {{.*}}tl.offset = 0 : i64{{.*}} : () -> memref<160x128xf32, #tl.scope<"shared">>
// CHECK: "tl.alloc"() {{.*}}tl.offset = 81920 : i64{{.*}} : () -> memref<80x128xf32, #tl.scope<"shared">>
// CHECK: "tl.alloc"() {{.*}}tl.offset = 122880 : i64{{.*}} : () -> memref<32x128xf32, #tl.scope<"shared">>
// CHECK: tl.shared_bytes = 139264
func.func @filled(%p: !llvm.ptr<1>, %n: i32) attributes {tl.params = [{dtype = "float32", kind = "tensor", name = "A"}, {dtype = "int32", kind = "symbol", name = "n"}]} {
  %A = "tl.tensor"(%p) {shape = array<i64: 160, 128>, strides = array<i64: 128, 1>} : (!llvm.ptr<1>) -> memref<160x128xf32, #tl.scope<"global">>
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %x = arith.constant 1.0 : f32
  "tl.launch"(%n) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> memref<160x128xf32, #tl.scope<"shared">>
    %t = "tl.alloc"() : () -> memref<160x128xf32, #tl.scope<"shared">>
    %kept = "tl.alloc"() : () -> memref<80x128xf32, #tl.scope<"shared">>
    %part = "tl.alloc"() : () -> memref<32x128xf32, #tl.scope<"shared">>
    %f = "tl.alloc"() : () -> memref<160x128xf32, #tl.scope<"fragment">>
    %g = "tl.alloc"() : () -> memref<80x128xf32, #tl.scope<"fragment">>
    %h = "tl.alloc"() : () -> memref<32x128xf32, #tl.scope<"fragment">>
    scf.for %k = %zero to %n step %one : i32 {
      "tl.copy"(%A, %s) : (memref<160x128xf32, #tl.scope<"global">>, memref<160x128xf32, #tl.scope<"shared">>) -> ()
      "tl.copy"(%s, %f) : (memref<160x128xf32, #tl.scope<"shared">>, memref<160x128xf32, #tl.scope<"fragment">>) -> ()
      "tl.copy"(%f, %t) : (memref<160x128xf32, #tl.scope<"fragment">>, memref<160x128xf32, #tl.scope<"shared">>) -> ()
      "tl.copy"(%t, %A) : (memref<160x128xf32, #tl.scope<"shared">>, memref<160x128xf32, #tl.scope<"global">>) -> ()
      "tl.copy"(%kept, %g) : (memref<80x128xf32, #tl.scope<"shared">>, memref<80x128xf32, #tl.scope<"fragment">>) -> ()
      "tl.copy"(%g, %kept) : (memref<80x128xf32, #tl.scope<"fragment">>, memref<80x128xf32, #tl.scope<"shared">>) -> ()
      "tl.parallel"() ({
      ^bb0(%i: i32, %j: i32):
        %ii = arith.index_cast %i : i32 to index
        %jj = arith.index_cast %j : i32 to index
        memref.store %x, %part[%ii, %jj] : memref<32x128xf32, #tl.scope<"shared">>
      }) {extents = array<i64: 16, 128>} : () -> ()
      "tl.copy"(%part, %h) : (memref<32x128xf32, #tl.scope<"shared">>, memref<32x128xf32, #tl.scope<"fragment">>) -> ()
    }
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
