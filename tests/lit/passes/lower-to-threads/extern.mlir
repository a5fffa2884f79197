// Calls of device functions: a declaration, addresses as generic pointers, scalars of their own type.
// RUN: tl-opt %s --target=sm_80 --lower-to-threads --canonicalize | filecheck %s

// CHECK: llvm.func @f(!llvm.ptr, i16) -> f32 attributes {{{.*}}tl.extern = ["float32*", "int16", "float32"]
// CHECK-LABEL: llvm.func @calls_kernel(
// CHECK: %[[P:[0-9]+]] = llvm.addrspacecast %{{.*}} : !llvm.ptr<1> to !llvm.ptr
// CHECK: %[[N:[0-9]+]] = arith.trunci %{{.*}} : i64 to i16
// CHECK: llvm.call @f(%{{.*}}, %[[N]]) : (!llvm.ptr, i16) -> f32
func.func @calls(%x: !llvm.ptr<1>, %n: i64, %one: i32) {
  %g = "tl.tensor"(%x) {shape = array<i64: 64>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> memref<64xf32, #tl.scope<"global">>
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.address"(%g, %bx) {access = "rw"} : (memref<64xf32, #tl.scope<"global">>, i32) -> i64
    %r = "tl.call_extern"(%a, %n) {name = "f", result = "float32", types = ["float32*", "int16"]} : (i64, i64) -> i64
    %b = arith.trunci %r : i64 to i32
    %v = arith.bitcast %b : i32 to f32
    %i = arith.index_cast %bx : i32 to index
    memref.store %v, %g[%i] : memref<64xf32, #tl.scope<"global">>
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
