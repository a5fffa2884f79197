// Round trip of the roles around tensor memory.
// RUN: tl-opt %s | tl-opt | filecheck %s

func.func @f() {
  // CHECK: "tl.tensor_roles"() ({
  // CHECK: }) {consumers = 128 : i32, repeated}
  "tl.tensor_roles"() ({
    "tl.sync_warp"() : () -> ()
  }, {
    "tl.sync_warp"() : () -> ()
  }, {
  }, {
    "tl.sync_threads"() : () -> ()
  }) {consumers = 128 : i32, repeated} : () -> ()
  return
}
