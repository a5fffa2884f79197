// RUN: tl-opt %s --target=sm_90a --legalize-tile-ops --split-input-file --verify-diagnostics

func.func @half_a_warp() {
  %one = arith.constant 1 : i32
  %few = arith.constant 16 : i32
  %x = arith.constant 1.0 : f32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> memref<128xf32, #tl.scope<"shared">>
    %tid = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %early = arith.cmpi slt, %tid, %few : i32
    // expected-error@+1 {{tile operations in a branch that threads 0 to 15 take}}
    scf.if %early {
      "tl.fill"(%s, %x) : (memref<128xf32, #tl.scope<"shared">>, f32) -> ()
    }
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

// A block that ends within a warp.
func.func @a_small_block() {
  %one = arith.constant 1 : i32
  %few = arith.constant 32 : i32
  %x = arith.constant 1.0 : f32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> memref<80xf32, #tl.scope<"shared">>
    %tid = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %early = arith.cmpi slt, %tid, %few : i32
    // expected-error@+1 {{tile operations in a branch that threads 0 to 31 take}}
    scf.if %early {
      "tl.fill"(%s, %x) : (memref<80xf32, #tl.scope<"shared">>, f32) -> ()
    }
  }) {threads = array<i32: 80, 1, 1>} : (i32) -> ()
  return
}

// -----

// The threads of the role that the branch is in.
func.func @half_a_warp_of_a_role() {
  %one = arith.constant 1 : i32
  %role = arith.constant 128 : i32
  %few = arith.constant 144 : i32
  %x = arith.constant 1.0 : f32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> memref<128xf32, #tl.scope<"shared">>
    %tid = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %late = arith.cmpi sge, %tid, %role : i32
    scf.if %late {
      "tl.fence_proxy"() : () -> ()
      %early = arith.cmpi slt, %tid, %few : i32
      // expected-error@+1 {{tile operations in a branch that threads 128 to 143 take}}
      scf.if %early {
        "tl.fill"(%s, %x) : (memref<128xf32, #tl.scope<"shared">>, f32) -> ()
      }
    }
  }) {threads = array<i32: 256, 1, 1>} : (i32) -> ()
  return
}
