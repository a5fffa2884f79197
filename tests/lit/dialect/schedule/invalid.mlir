// What is wrong with a schedule in itself.
// RUN: tl-opt %s --split-input-file --verify-diagnostics

func.func @f() {
  // expected-error@+1 {{num_warps is 6, expected a positive multiple of 4}}
  "tl.ws_schedule"() {warps = 6 : i64, roles = [{name = "a", first = 0 : i64, last = 4 : i64, registers = 0 : i64}, {name = "b", first = 4 : i64, last = 8 : i64, registers = 0 : i64}], pipelines = [], scopes = [{name = "tl.ws_scope_root", bodies = {}}]} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{attributes hold no schedule}}
  "tl.ws_schedule"() {warps = 8 : i64} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{there is no root scope}}
  "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "a", first = 0 : i64, last = 4 : i64, registers = 0 : i64}, {name = "b", first = 4 : i64, last = 8 : i64, registers = 0 : i64}], pipelines = [], scopes = []} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{it has no roles}}
  "tl.ws_schedule"() {warps = 8 : i64, roles = [], pipelines = [], scopes = [{name = "tl.ws_scope_root", bodies = {}}]} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{two roles are called 'a'}}
  "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "a", first = 0 : i64, last = 4 : i64, registers = 0 : i64}, {name = "a", first = 4 : i64, last = 8 : i64, registers = 0 : i64}], pipelines = [], scopes = [{name = "tl.ws_scope_root", bodies = {}}]} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{roles 'a' and 'b' share warp 3}}
  "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "a", first = 0 : i64, last = 4 : i64, registers = 0 : i64}, {name = "b", first = 3 : i64, last = 4 : i64, registers = 0 : i64}], pipelines = [], scopes = [{name = "tl.ws_scope_root", bodies = {}}]} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{role 'a' has warps 0 to 12, expected a range in 0 to 8}}
  "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "a", first = 0 : i64, last = 12 : i64, registers = 0 : i64}], pipelines = [], scopes = [{name = "tl.ws_scope_root", bodies = {}}]} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{role 'a' has warps 2 to 8, expected some of one warpgroup or whole warpgroups}}
  "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "a", first = 2 : i64, last = 8 : i64, registers = 0 : i64}], pipelines = [], scopes = [{name = "tl.ws_scope_root", bodies = {}}]} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{max_nreg of role 'a' is 20, expected 0 or a multiple of 8}}
  "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "a", first = 0 : i64, last = 4 : i64, registers = 20 : i64}], pipelines = [], scopes = [{name = "tl.ws_scope_root", bodies = {}}]} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{ask for 24 and 40 registers}}
  "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "a", first = 0 : i64, last = 1 : i64, registers = 24 : i64}, {name = "b", first = 1 : i64, last = 2 : i64, registers = 40 : i64}], pipelines = [], scopes = [{name = "tl.ws_scope_root", bodies = {}}]} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{pipeline 'p' has depth 0}}
  "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "a", first = 0 : i64, last = 4 : i64, registers = 0 : i64}, {name = "b", first = 4 : i64, last = 8 : i64, registers = 0 : i64}], pipelines = [{name = "p", depth = 0 : i64}], scopes = [{name = "tl.ws_scope_root", bodies = {}}]} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{synchronises 'q', which is no pipeline}}
  "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "a", first = 0 : i64, last = 4 : i64, registers = 0 : i64}, {name = "b", first = 4 : i64, last = 8 : i64, registers = 0 : i64}], pipelines = [], scopes = [{name = "tl.ws_scope_root", bodies = {a = [{kind = "wait", pipeline = "q", stage = 0 : i64}], b = []}}]} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{has a body for 'c', which is no role}}
  "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "a", first = 0 : i64, last = 4 : i64, registers = 0 : i64}, {name = "b", first = 4 : i64, last = 8 : i64, registers = 0 : i64}], pipelines = [], scopes = [{name = "tl.ws_scope_root", bodies = {a = [], b = [], c = ["x"]}}]} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{contains the root scope}}
  "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "a", first = 0 : i64, last = 4 : i64, registers = 0 : i64}, {name = "b", first = 4 : i64, last = 8 : i64, registers = 0 : i64}], pipelines = [], scopes = [{name = "tl.ws_scope_root", bodies = {a = ["tl.ws_scope_root"], b = []}}]} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{scope 'l' is in no other scope}}
  "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "a", first = 0 : i64, last = 4 : i64, registers = 0 : i64}, {name = "b", first = 4 : i64, last = 8 : i64, registers = 0 : i64}], pipelines = [], scopes = [{name = "tl.ws_scope_root", bodies = {a = [], b = []}}, {name = "l", bodies = {}}]} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{role 'a' runs 'x' twice}}
  "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "a", first = 0 : i64, last = 4 : i64, registers = 0 : i64}, {name = "b", first = 4 : i64, last = 8 : i64, registers = 0 : i64}], pipelines = [], scopes = [{name = "tl.ws_scope_root", bodies = {a = ["x", "x"], b = []}}]} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{the acquire of 'p' in scope 'tl.ws_scope_root' of role 'a' has no commit after it}}
  "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "a", first = 0 : i64, last = 4 : i64, registers = 0 : i64}, {name = "b", first = 4 : i64, last = 8 : i64, registers = 0 : i64}], pipelines = [{name = "p", depth = 1 : i64}], scopes = [{name = "tl.ws_scope_root", bodies = {a = [{kind = "acquire", pipeline = "p", stage = 0 : i64}], b = [{kind = "wait", pipeline = "p", stage = 0 : i64}, {kind = "release", pipeline = "p", stage = 0 : i64}]}}]} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{the commit of 'p' in scope 'tl.ws_scope_root' of role 'a' has no acquire before it}}
  "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "a", first = 0 : i64, last = 4 : i64, registers = 0 : i64}, {name = "b", first = 4 : i64, last = 8 : i64, registers = 0 : i64}], pipelines = [{name = "p", depth = 1 : i64}], scopes = [{name = "tl.ws_scope_root", bodies = {a = [{kind = "commit", pipeline = "p", stage = 0 : i64}], b = [{kind = "wait", pipeline = "p", stage = 0 : i64}, {kind = "release", pipeline = "p", stage = 0 : i64}]}}]} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{has stage 0, its commit stage 1}}
  "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "a", first = 0 : i64, last = 4 : i64, registers = 0 : i64}, {name = "b", first = 4 : i64, last = 8 : i64, registers = 0 : i64}], pipelines = [{name = "p", depth = 1 : i64}], scopes = [{name = "tl.ws_scope_root", bodies = {a = [{kind = "acquire", pipeline = "p", stage = 0 : i64}, {kind = "commit", pipeline = "p", stage = 1 : i64}], b = [{kind = "wait", pipeline = "p", stage = 0 : i64}, {kind = "release", pipeline = "p", stage = 0 : i64}]}}]} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{pipeline 'p' needs one role that consumes it, got no role}}
  "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "a", first = 0 : i64, last = 4 : i64, registers = 0 : i64}, {name = "b", first = 4 : i64, last = 8 : i64, registers = 0 : i64}], pipelines = [{name = "p", depth = 1 : i64}], scopes = [{name = "tl.ws_scope_root", bodies = {a = [{kind = "acquire", pipeline = "p", stage = 0 : i64}, {kind = "commit", pipeline = "p", stage = 0 : i64}], b = []}}]} : () -> ()
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{an iteration of scope 'l' commits pipeline 'p' 2 times and releases it once}}
  "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "a", first = 0 : i64, last = 4 : i64, registers = 0 : i64}, {name = "b", first = 4 : i64, last = 8 : i64, registers = 0 : i64}], pipelines = [{name = "p", depth = 1 : i64}], scopes = [{name = "tl.ws_scope_root", bodies = {a = ["l"], b = ["l"]}}, {name = "l", bodies = {a = [{kind = "acquire", pipeline = "p", stage = 0 : i64}, {kind = "commit", pipeline = "p", stage = 0 : i64}, {kind = "acquire", pipeline = "p", stage = 0 : i64}, {kind = "commit", pipeline = "p", stage = 0 : i64}], b = [{kind = "wait", pipeline = "p", stage = 0 : i64}, {kind = "release", pipeline = "p", stage = 0 : i64}]}}]} : () -> ()
  return
}
