// RUN: not tl-opt %s --plan-shared-memory --target=sm_80 2>&1 | filecheck %s
// RUN: tl-opt %s --plan-shared-memory --target=sm_80 --verify-diagnostics

// CHECK: error: the kernel needs 200000 bytes of shared memory, cuda:sm_80 has 166912
// CHECK: note: tile: 200000 bytes
// CHECK: hint: use smaller tiles or fewer pipeline stages
func.func @too_much() {
  %one = arith.constant 1 : i32
  // expected-error@+1 {{needs 200000 bytes of shared memory}}
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() {layout = #tl.smem<array<i64: 50000>, array<i64: 50000, 0, 1, 1>, array<i64: 0, 0, 0>>} : () -> memref<50000xf32, #tl.scope<"shared">>
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
