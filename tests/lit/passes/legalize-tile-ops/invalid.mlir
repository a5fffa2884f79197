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

// -----

func.func @every_other_thread() {
  %one = arith.constant 1 : i32
  %zero = arith.constant 0 : i32
  %two = arith.constant 2 : i32
  %x = arith.constant 1.0 : f32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> memref<128xf32, #tl.scope<"shared">>
    %tid = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %rest = arith.remui %tid, %two : i32
    %even = arith.cmpi eq, %rest, %zero : i32
    // expected-error@+1 {{tile operations in a branch that some threads of a warp take}}
    scf.if %even {
      "tl.fill"(%s, %x) : (memref<128xf32, #tl.scope<"shared">>, f32) -> ()
    }
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

// What a variable holds counts, too.
func.func @as_the_run_tells(%n: i32) {
  %one = arith.constant 1 : i32
  %x = arith.constant 1.0 : f32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %zero = arith.constant 0 : index
    %s = "tl.alloc"() : () -> memref<128xf32, #tl.scope<"shared">>
    %v = "tl.alloc"() : () -> memref<1xi32, #tl.scope<"var">>
    %tid = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    memref.store %tid, %v[%zero] : memref<1xi32, #tl.scope<"var">>
    %mine = memref.load %v[%zero] : memref<1xi32, #tl.scope<"var">>
    %few = arith.cmpi slt, %mine, %n : i32
    // expected-error@+1 {{tile operations in a branch that some threads take and others do not}}
    scf.if %few {
      "tl.fill"(%s, %x) : (memref<128xf32, #tl.scope<"shared">>, f32) -> ()
    }
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

func.func @a_loop_of_each_thread() {
  %one = arith.constant 1 : i32
  %end = arith.constant 256 : i32
  %x = arith.constant 1.0 : f32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> memref<128xf32, #tl.scope<"shared">>
    %tid = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    // expected-error@+1 {{tile operations in a loop that some threads run more often than others}}
    scf.for %k = %tid to %end step %one : i32 {
      "tl.fill"(%s, %x) : (memref<128xf32, #tl.scope<"shared">>, f32) -> ()
    }
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

// Rows of a block of two dimensions.
func.func @one_row_of_threads() {
  %one = arith.constant 1 : i32
  %zero = arith.constant 0 : i32
  %x = arith.constant 1.0 : f32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> memref<128xf32, #tl.scope<"shared">>
    %y = "tl.thread_id"() {dim = 1 : i32} : () -> i32
    %row = arith.cmpi eq, %y, %zero : i32
    // expected-error@+1 {{tile operations in a branch that some threads take and others do not}}
    scf.if %row {
      "tl.fill"(%s, %x) : (memref<128xf32, #tl.scope<"shared">>, f32) -> ()
    }
  }) {threads = array<i32: 32, 4, 1>} : (i32) -> ()
  return
}

// -----

func.func @a_barrier_of_half_a_warp() {
  %one = arith.constant 1 : i32
  %few = arith.constant 16 : i32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %tid = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %early = arith.cmpi slt, %tid, %few : i32
    // expected-error@+1 {{a barrier in a branch that threads 0 to 15 take}}
    scf.if %early {
      "tl.sync_threads"() : () -> ()
    }
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

// A single element is the first thread's, who is not here.
func.func @one_element_of_others() {
  %one = arith.constant 1 : i32
  %few = arith.constant 5 : i32
  %x = arith.constant 1.0 : f32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %flag = "tl.alloc"() : () -> memref<1xf32, #tl.scope<"shared">>
    %tid = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %early = arith.cmpi slt, %tid, %few : i32
    scf.if %early {
      "tl.fill"(%flag, %x) : (memref<1xf32, #tl.scope<"shared">>, f32) -> ()
    }
    %late = arith.cmpi sge, %tid, %few : i32
    // expected-error@+1 {{tile operations in a branch that threads 5 to 127 take}}
    scf.if %late {
      "tl.fill"(%flag, %x) : (memref<1xf32, #tl.scope<"shared">>, f32) -> ()
    }
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

// Threads on both sides of a range would share the fill.
func.func @work_on_both_sides() {
  %one = arith.constant 1 : i32
  %c32 = arith.constant 32 : i32
  %c64 = arith.constant 64 : i32
  %x = arith.constant 1.0 : f32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> memref<128xf32, #tl.scope<"shared">>
    %tid = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %from = arith.cmpi sge, %tid, %c32 : i32
    %to = arith.cmpi slt, %tid, %c64 : i32
    %inside = arith.andi %from, %to : i1
    // expected-error@+1 {{tile operations in a branch that threads 32 to 63 take}}
    scf.if %inside {
      "tl.sync_warp"() : () -> ()
    } else {
      "tl.fill"(%s, %x) : (memref<128xf32, #tl.scope<"shared">>, f32) -> ()
    }
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
