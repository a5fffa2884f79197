// Branches on the thread index and more: Y of `if thread and uniform {X} else {Y}` is for the other threads, and for the
// same ones where the uniform part fails.
// RUN: tl-opt %s --legalize-tile-ops --target=sm_90a | filecheck %s

!s = memref<64xf32, #tl.scope<"shared">>

// CHECK-LABEL: func.func @beside_a_uniform_condition(
// CHECK: "tl.warpgroups"() ({
// CHECK-NEXT: scf.if
// CHECK-NEXT: "tl.fill"
// CHECK: }) {groups = array<i32: 0, 1>, tl.branch = 0 : i32, warps}
// CHECK: "tl.warpgroups"() ({
// CHECK-NEXT: "tl.fill"
// CHECK: }) {groups = array<i32: 4, 5>, tl.branch = 0 : i32, warps}
// CHECK-NOT: "tl.fill"
func.func @beside_a_uniform_condition(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %c0 = arith.constant 0 : i32
    %c64 = arith.constant 64 : i32
    %c128 = arith.constant 128 : i32
    %c192 = arith.constant 192 : i32
    %x = arith.constant 1.0 : f32
    %t = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %a = "tl.alloc"() : () -> !s
    %b = "tl.alloc"() : () -> !s
    %low = arith.cmpi slt, %t, %c64 : i32
    %first = arith.cmpi eq, %bx, %c0 : i32
    %both = arith.andi %first, %low : i1
    scf.if %both {
      "tl.fill"(%a, %x) : (!s, f32) -> ()
    } else {
      %from = arith.cmpi sge, %t, %c128 : i32
      %to = arith.cmpi slt, %t, %c192 : i32
      %inside = arith.andi %from, %to : i1
      scf.if %inside {
        "tl.fill"(%b, %x) : (!s, f32) -> ()
      }
    }
  }) {threads = array<i32: 256, 1, 1>} : (i32) -> ()
  return
}

// A range in the middle, with an arm for threads on one side of it.
// CHECK-LABEL: func.func @a_range_in_the_middle(
// CHECK: }) {groups = array<i32: 1>, tl.branch = {{[0-9]}} : i32, warps}
// CHECK: }) {groups = array<i32: 2, 3>, tl.branch = {{[0-9]}} : i32, warps}
// CHECK-NOT: "tl.fill"
func.func @a_range_in_the_middle(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %c32 = arith.constant 32 : i32
    %c64 = arith.constant 64 : i32
    %x = arith.constant 1.0 : f32
    %t = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %a = "tl.alloc"() : () -> !s
    %b = "tl.alloc"() : () -> !s
    %from = arith.cmpi sge, %t, %c32 : i32
    %to = arith.cmpi slt, %t, %c64 : i32
    %inside = arith.andi %from, %to : i1
    scf.if %inside {
      "tl.fill"(%a, %x) : (!s, f32) -> ()
    } else {
      %last = arith.cmpi sge, %t, %c64 : i32
      scf.if %last {
        "tl.fill"(%b, %x) : (!s, f32) -> ()
      }
    }
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
