// Half a wave of 64 threads has no region of its own, and shares no tile operations.
// RUN: tl-opt %s --target=gfx942 --legalize-tile-ops --verify-diagnostics

func.func @half_a_wave() {
  %one = arith.constant 1 : i32
  %few = arith.constant 32 : i32
  %x = arith.constant 1.0 : f32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() : () -> memref<128xf32, #tl.scope<"shared">>
    %tid = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %early = arith.cmpi slt, %tid, %few : i32
    // expected-error@+1 {{tile operations in a branch that threads 0 to 31 take}}
    scf.if %early {
      "tl.fill"(%s, %x) : (memref<128xf32, #tl.scope<"shared">>, f32) -> ()
    }
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
