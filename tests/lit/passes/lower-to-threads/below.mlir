// A result that is known to stay below a number needs no guard for it.
// RUN: tl-opt %s --target=sm_90a --stage=lowered | filecheck %s
// RUN: tl-opt %s --target=sm_90a --lower-to-threads=guards=false | filecheck %s --check-prefix=OFF
// OFF-NOT: scf.if
// OFF: llvm.return

// CHECK-LABEL: llvm.func @guarded_kernel(
// CHECK: arith.cmpi slt, %{{.*}}, %c4_i32
// CHECK: scf.if
// CHECK: llvm.return
func.func @guarded(%a: !llvm.ptr<1>, %n: i32) attributes {tl.params = [{dtype = "float32", kind = "tensor", name = "A"}, {dtype = "int32", kind = "scalar", name = "n"}]} {
  %grid = arith.constant 8 : i32
  %one = arith.constant 1.0 : f32
  %A = "tl.tensor"(%a) {shape = array<i64: 4>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> memref<4xf32, #tl.scope<"global">>
  "tl.launch"(%grid) ({
  ^bb0(%bx: i32):
    %place = arith.divui %bx, %n : i32
    %index = arith.index_cast %place : i32 to index
    memref.store %one, %A[%index] : memref<4xf32, #tl.scope<"global">>
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}

// CHECK-LABEL: llvm.func @below_kernel(
// CHECK-NOT: %c4_i32
// CHECK: llvm.return
func.func @below(%a: !llvm.ptr<1>, %n: i32) attributes {tl.params = [{dtype = "float32", kind = "tensor", name = "A"}, {dtype = "int32", kind = "scalar", name = "n"}]} {
  %grid = arith.constant 8 : i32
  %one = arith.constant 1.0 : f32
  %A = "tl.tensor"(%a) {shape = array<i64: 4>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> memref<4xf32, #tl.scope<"global">>
  "tl.launch"(%grid) ({
  ^bb0(%bx: i32):
    %place = arith.divui %bx, %n {tl.facts = {hi = 3 : i64, lo = 0 : i64}} : i32
    %index = arith.index_cast %place : i32 to index
    memref.store %one, %A[%index] : memref<4xf32, #tl.scope<"global">>
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
