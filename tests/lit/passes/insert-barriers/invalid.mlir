// RUN: tl-opt %s --plan-shared-memory --insert-barriers --split-input-file --verify-diagnostics

#twice = #tl.fragment<array<i64: 64>, array<i64: 64, 0, 1, 2, -1, 1>, array<i64>>
!s = memref<64xf32, #tl.scope<"shared">>
!f = memref<64xf32, #tl.scope<"fragment">>

func.func @a_branch_of_some(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() {layout = #tl.smem<array<i64: 64>, array<i64: 64, 0, 1, 1>, array<i64: 0, 0, 0>>} : () -> !s
    %f = "tl.alloc"() {layout = #twice} : () -> !f
    "tl.parallel"() ({
    ^bb0(%i: i32):
      %at = arith.index_cast %i : i32 to index
      %few = arith.cmpi slt, %i, %one : i32
      scf.if %few {
        %x = memref.load %s[%at] : !s
        memref.store %x, %f[%at] : !f
        // expected-error@+1 {{an element that several threads hold a copy of is read and overwritten in a branch of a parallel loop}}
        memref.store %x, %s[%at] : !s
      }
    }) {extents = array<i64: 64>, layout = #twice} : () -> ()
  }) {threads = array<i32: 128, 1, 1>, name = "main_kernel"} : (i32) -> ()
  return
}
