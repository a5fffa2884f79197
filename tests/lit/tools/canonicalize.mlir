// RUN: tl-opt %s --canonicalize | filecheck %s
// RUN: tl-opt %s --pass-pipeline='builtin.module(func.func(canonicalize))' | filecheck %s

// CHECK-LABEL: func.func @fold
// CHECK: %[[C:.*]] = arith.constant 7 : i32
// CHECK-NEXT: return %[[C]] : i32
func.func @fold() -> i32 {
  %a = arith.constant 3 : i32
  %b = arith.constant 4 : i32
  %c = arith.addi %a, %b : i32
  return %c : i32
}
