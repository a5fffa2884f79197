// Threads of a branch that read elements of a shared tile that others of them store get a region, for its barriers; not
// those that read what only others store.
// RUN: tl-opt %s --target=sm_90a --legalize-tile-ops | filecheck %s
// RUN: tl-opt %s --target=gfx942 --legalize-tile-ops | filecheck %s

// CHECK-LABEL: func.func @reversed(
// CHECK: "tl.warpgroups"() ({
// CHECK: memref.store
// CHECK: memref.load
// CHECK: }) {groups = array<i32: 0, 1>, tl.branch = 0 : i32, warps}
// CHECK-NOT: scf.if
func.func @reversed() {
  %one = arith.constant 1 : i32
  %few = arith.constant 64 : i32
  %last = arith.constant 63 : i32
  %x = arith.constant 1.0 : f32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> memref<128xf32, #tl.scope<"shared">>
    %v = "tl.alloc"() : () -> memref<1xf32, #tl.scope<"var">>
    %c0 = arith.constant 0 : index
    %tid = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %early = arith.cmpi slt, %tid, %few : i32
    %back = arith.subi %last, %tid : i32
    %here = arith.index_cast %tid : i32 to index
    %there = arith.index_cast %back : i32 to index
    scf.if %early {
      memref.store %x, %s[%here] : memref<128xf32, #tl.scope<"shared">>
      %y = memref.load %s[%there] : memref<128xf32, #tl.scope<"shared">>
      memref.store %y, %v[%c0] : memref<1xf32, #tl.scope<"var">>
    }
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// A step of a sum over the threads.
// CHECK-LABEL: func.func @halved(
// CHECK-NOT: tl.warpgroups
// CHECK: scf.if
func.func @halved() {
  %one = arith.constant 1 : i32
  %few = arith.constant 64 : i32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> memref<128xf32, #tl.scope<"shared">>
    %tid = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %early = arith.cmpi slt, %tid, %few : i32
    %behind = arith.addi %tid, %few : i32
    %here = arith.index_cast %tid : i32 to index
    %there = arith.index_cast %behind : i32 to index
    scf.if %early {
      %x = memref.load %s[%here] : memref<128xf32, #tl.scope<"shared">>
      %y = memref.load %s[%there] : memref<128xf32, #tl.scope<"shared">>
      %z = arith.addf %x, %y : f32
      memref.store %z, %s[%here] : memref<128xf32, #tl.scope<"shared">>
    }
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
