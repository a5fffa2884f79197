// Machine code comes from the lowered level: what is above it is refused at its kernel, with the way there.
// RUN: not tl-opt %s --target=sm_80 --emit=ptx 2>&1 | filecheck %s
// RUN: tl-opt %s --target=sm_80 --stage=lowered --emit=ptx | filecheck %s --check-prefix=PTX

// CHECK: emit-needs-lowered.mlir:[[# @LINE + 5]]:5: error: --emit=ptx takes a lowered module, and this one still has a tl.launch
// CHECK: hint: --stage=lowered runs the passes up to there
// PTX: .entry nothing
func.func @nothing() attributes {tl.params = []} {
    %one = arith.constant 1 : i32
    "tl.launch"(%one) ({
    ^bb0(%block: i32):
    }) {name = "nothing", threads = array<i32: 32, 1, 1>} : (i32) -> ()
    return
}
