// RUN: tl-opt %s --test-mark=value=3 | filecheck %s
// RUN: tl-opt %s --test-mark="op=arith.muli value=5" --canonicalize | filecheck %s --check-prefix=MUL
// RUN: tl-opt %s --target=sm_80 --pass-pipeline='builtin.module(test-mark{target=true},canonicalize)' | filecheck %s --check-prefix=TARGET

// CHECK: arith.addi %{{.*}}, %{{.*}} {tl.mark = 3 : i32} : i32
// CHECK: arith.muli %{{.*}}, %{{[^ ]*}} : i32
// MUL: arith.muli %{{.*}} {tl.mark = 5 : i32} : i32
// TARGET: arith.addi %{{.*}} {tl.mark = "cuda:sm_80"} : i32
func.func @f(%a: i32, %b: i32) -> i32 {
  %0 = arith.addi %a, %b : i32
  %1 = arith.muli %0, %b : i32
  return %1 : i32
}
