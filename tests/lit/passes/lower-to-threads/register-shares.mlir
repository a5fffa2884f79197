// Registers that warpgroups ask for and a block does not have; a share that is given back before counts as what is left.
// RUN: tl-opt %s --split-input-file --target=sm_90a --lower-to-threads --verify-diagnostics

func.func @too_many(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    "tl.warpgroups"() ({
      "tl.intrinsic"() {name = "set_registers", count = 24 : i32, increase = 0 : i32} : () -> ()
    }) {groups = array<i32: 0>} : () -> ()
    "tl.warpgroups"() ({
      // expected-error@+1 {{the warpgroups ask for 128 x (24 + 248 + 248) = 66560 registers, a block has 65536}}
      "tl.intrinsic"() {name = "set_registers", count = 248 : i32, increase = 1 : i32} : () -> ()
    }) {groups = array<i32: 1, 2>} : () -> ()
  }) {threads = array<i32: 384, 1, 1>} : (i32) -> ()
  return
}

// -----

func.func @in_turn(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    "tl.warpgroups"() ({
      "tl.intrinsic"() {name = "set_registers", count = 248 : i32, increase = 1 : i32} : () -> ()
      "tl.intrinsic"() {name = "set_registers", count = 240 : i32, increase = 0 : i32} : () -> ()
    }) {groups = array<i32: 1, 2>} : () -> ()
    "tl.warpgroups"() ({
      "tl.intrinsic"() {name = "set_registers", count = 32 : i32, increase = 0 : i32} : () -> ()
    }) {groups = array<i32: 0>} : () -> ()
  }) {threads = array<i32: 384, 1, 1>} : (i32) -> ()
  return
}

// -----

// A warp of a role beside the role's own share.
func.func @one_warp(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    "tl.warpgroups"() ({
      "tl.intrinsic"() {name = "set_registers", count = 40 : i32, increase = 0 : i32} : () -> ()
      "tl.warpgroups"() ({
        // expected-error@+1 {{warps [4] change their registers, which whole warpgroups do}}
        "tl.intrinsic"() {name = "set_registers", count = 24 : i32, increase = 0 : i32} : () -> ()
      }) {groups = array<i32: 4>, warps} : () -> ()
    }) {groups = array<i32: 1>} : () -> ()
  }) {threads = array<i32: 256, 1, 1>} : (i32) -> ()
  return
}
