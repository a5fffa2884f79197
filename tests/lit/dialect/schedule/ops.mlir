// A schedule of warp roles.
// RUN: tl-opt %s | filecheck %s
// RUN: tl-opt %s > %t
// RUN: tl-opt %t | diff %t -

// CHECK-LABEL: func.func @schedule(
// CHECK: "tl.ws_schedule"() {pipelines = [{depth = 1 : i64, name = "p"}], roles = [
func.func @schedule() {
  "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "a", first = 0 : i64, last = 4 : i64, registers = 0 : i64}, {name = "b", first = 4 : i64, last = 8 : i64, registers = 0 : i64}], pipelines = [{name = "p", depth = 1 : i64}], scopes = [{name = "tl.ws_scope_root", bodies = {a = [{kind = "acquire", pipeline = "p", stage = 0 : i64}, {kind = "commit", pipeline = "p", stage = 0 : i64}], b = [{kind = "wait", pipeline = "p", stage = 0 : i64}, {kind = "release", pipeline = "p", stage = 0 : i64}]}}]} : () -> ()
  return
}
