// Schedules that do not fit their kernel.
// RUN: tl-opt %s --target=sm_90a --materialize-schedule --split-input-file --verify-diagnostics

func.func @unnamed(%f: f32) {
  %one = arith.constant 1 : i32
  %zero = arith.constant 0 : i32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() {tl.ws_pipeline = "tile"} : () -> memref<64xf32, #tl.scope<"shared">>
    %t = "tl.alloc"() : () -> memref<64xf32, #tl.scope<"fragment">>
    "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "load", first = 0 : i64, last = 4 : i64, registers = 0 : i64}, {name = "use", first = 4 : i64, last = 8 : i64, registers = 0 : i64}], pipelines = [{name = "tile", depth = 1 : i64}], scopes = [{name = "tl.ws_scope_root", bodies = {load = [{kind = "acquire", pipeline = "tile", stage = 0 : i64}, "put", {kind = "commit", pipeline = "tile", stage = 0 : i64}], use = [{kind = "wait", pipeline = "tile", stage = 0 : i64}, "take", {kind = "release", pipeline = "tile", stage = 0 : i64}]}}]} : () -> ()
    "tl.fill"(%s, %f) {tl.ws_op = "put"} : (memref<64xf32, #tl.scope<"shared">>, f32) -> ()
    "tl.copy"(%s, %t) {tl.ws_op = "take"} : (memref<64xf32, #tl.scope<"shared">>, memref<64xf32, #tl.scope<"fragment">>) -> ()
    // expected-error@+1 {{a statement of a kernel with a schedule has no name}}
    "tl.fill"(%t, %f) : (memref<64xf32, #tl.scope<"fragment">>, f32) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

func.func @no_place(%f: f32) {
  %one = arith.constant 1 : i32
  %zero = arith.constant 0 : i32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() {tl.ws_pipeline = "tile"} : () -> memref<64xf32, #tl.scope<"shared">>
    %t = "tl.alloc"() : () -> memref<64xf32, #tl.scope<"fragment">>
    "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "load", first = 0 : i64, last = 4 : i64, registers = 0 : i64}, {name = "use", first = 4 : i64, last = 8 : i64, registers = 0 : i64}], pipelines = [{name = "tile", depth = 1 : i64}], scopes = [{name = "tl.ws_scope_root", bodies = {load = [{kind = "acquire", pipeline = "tile", stage = 0 : i64}, "put", {kind = "commit", pipeline = "tile", stage = 0 : i64}], use = [{kind = "wait", pipeline = "tile", stage = 0 : i64}, {kind = "release", pipeline = "tile", stage = 0 : i64}]}}]} : () -> ()
    "tl.fill"(%s, %f) {tl.ws_op = "put"} : (memref<64xf32, #tl.scope<"shared">>, f32) -> ()
    // expected-error@+1 {{'take' has no place in the schedule}}
    "tl.copy"(%s, %t) {tl.ws_op = "take"} : (memref<64xf32, #tl.scope<"shared">>, memref<64xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

func.func @no_statement(%f: f32) {
  %one = arith.constant 1 : i32
  %zero = arith.constant 0 : i32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() {tl.ws_pipeline = "tile"} : () -> memref<64xf32, #tl.scope<"shared">>
    %t = "tl.alloc"() : () -> memref<64xf32, #tl.scope<"fragment">>
    // expected-error@+1 {{no statement of the kernel is called 'more'}}
    "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "load", first = 0 : i64, last = 4 : i64, registers = 0 : i64}, {name = "use", first = 4 : i64, last = 8 : i64, registers = 0 : i64}], pipelines = [{name = "tile", depth = 1 : i64}], scopes = [{name = "tl.ws_scope_root", bodies = {load = [{kind = "acquire", pipeline = "tile", stage = 0 : i64}, "put", {kind = "commit", pipeline = "tile", stage = 0 : i64}], use = [{kind = "wait", pipeline = "tile", stage = 0 : i64}, "take", "more", {kind = "release", pipeline = "tile", stage = 0 : i64}]}}]} : () -> ()
    "tl.fill"(%s, %f) {tl.ws_op = "put"} : (memref<64xf32, #tl.scope<"shared">>, f32) -> ()
    "tl.copy"(%s, %t) {tl.ws_op = "take"} : (memref<64xf32, #tl.scope<"shared">>, memref<64xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

func.func @twice(%f: f32) {
  %one = arith.constant 1 : i32
  %c = arith.constant true
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() {tl.ws_pipeline = "tile"} : () -> memref<64xf32, #tl.scope<"shared">>
    %t = "tl.alloc"() : () -> memref<64xf32, #tl.scope<"fragment">>
    "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "load", first = 0 : i64, last = 4 : i64, registers = 0 : i64}, {name = "use", first = 4 : i64, last = 8 : i64, registers = 0 : i64}], pipelines = [{name = "tile", depth = 1 : i64}], scopes = [{name = "tl.ws_scope_root", bodies = {load = [{kind = "acquire", pipeline = "tile", stage = 0 : i64}, "put", {kind = "commit", pipeline = "tile", stage = 0 : i64}], use = [{kind = "wait", pipeline = "tile", stage = 0 : i64}, "take", {kind = "release", pipeline = "tile", stage = 0 : i64}]}}]} : () -> ()
    "tl.fill"(%s, %f) {tl.ws_op = "put"} : (memref<64xf32, #tl.scope<"shared">>, f32) -> ()
    scf.if %c {
    // expected-error@+1 {{two statements are called 'put'}}
    "tl.fill"(%s, %f) {tl.ws_op = "put"} : (memref<64xf32, #tl.scope<"shared">>, f32) -> ()
    }
    "tl.copy"(%s, %t) {tl.ws_op = "take"} : (memref<64xf32, #tl.scope<"shared">>, memref<64xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

func.func @outside(%f: f32) {
  %one = arith.constant 1 : i32
  %zero = arith.constant 0 : i32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() {tl.ws_pipeline = "tile"} : () -> memref<64xf32, #tl.scope<"shared">>
    %t = "tl.alloc"() : () -> memref<64xf32, #tl.scope<"fragment">>
    "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "load", first = 0 : i64, last = 4 : i64, registers = 0 : i64}, {name = "use", first = 4 : i64, last = 8 : i64, registers = 0 : i64}], pipelines = [{name = "tile", depth = 1 : i64}], scopes = [{name = "tl.ws_scope_root", bodies = {load = [{kind = "acquire", pipeline = "tile", stage = 0 : i64}, "put", {kind = "commit", pipeline = "tile", stage = 0 : i64}], use = [{kind = "wait", pipeline = "tile", stage = 0 : i64}, {kind = "release", pipeline = "tile", stage = 0 : i64}, "take"]}}]} : () -> ()
    "tl.fill"(%s, %f) {tl.ws_op = "put"} : (memref<64xf32, #tl.scope<"shared">>, f32) -> ()
    // expected-error@+1 {{role 'use' runs 'take', which uses a buffer of pipeline 'tile', without holding a version of it}}
    "tl.copy"(%s, %t) {tl.ws_op = "take"} : (memref<64xf32, #tl.scope<"shared">>, memref<64xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

func.func @both(%f: f32) {
  %one = arith.constant 1 : i32
  %zero = arith.constant 0 : i32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() {tl.ws_pipeline = "tile"} : () -> memref<64xf32, #tl.scope<"shared">>
    %t = "tl.alloc"() : () -> memref<64xf32, #tl.scope<"fragment">>
    "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "load", first = 0 : i64, last = 4 : i64, registers = 0 : i64}, {name = "use", first = 4 : i64, last = 8 : i64, registers = 0 : i64}], pipelines = [{name = "tile", depth = 1 : i64}], scopes = [{name = "tl.ws_scope_root", bodies = {load = [{kind = "acquire", pipeline = "tile", stage = 0 : i64}, "put", "take", {kind = "commit", pipeline = "tile", stage = 0 : i64}], use = [{kind = "wait", pipeline = "tile", stage = 0 : i64}, "take", {kind = "release", pipeline = "tile", stage = 0 : i64}]}}]} : () -> ()
    "tl.fill"(%s, %f) {tl.ws_op = "put"} : (memref<64xf32, #tl.scope<"shared">>, f32) -> ()
    // expected-error@+1 {{roles load, use all run 'take', which uses a buffer of pipeline 'tile'}}
    "tl.copy"(%s, %t) {tl.ws_op = "take"} : (memref<64xf32, #tl.scope<"shared">>, memref<64xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

func.func @registers(%f: f32) {
  %one = arith.constant 1 : i32
  %zero = arith.constant 0 : i32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() {tl.ws_pipeline = "tile"} : () -> memref<64xf32, #tl.scope<"shared">>
    %u = "tl.alloc"() : () -> memref<64xf32, #tl.scope<"fragment">>
    %t = "tl.alloc"() : () -> memref<64xf32, #tl.scope<"fragment">>
    "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "load", first = 0 : i64, last = 4 : i64, registers = 0 : i64}, {name = "use", first = 4 : i64, last = 8 : i64, registers = 0 : i64}], pipelines = [{name = "tile", depth = 1 : i64}], scopes = [{name = "tl.ws_scope_root", bodies = {load = [{kind = "acquire", pipeline = "tile", stage = 0 : i64}, "put", {kind = "commit", pipeline = "tile", stage = 0 : i64}], use = [{kind = "wait", pipeline = "tile", stage = 0 : i64}, "take", {kind = "release", pipeline = "tile", stage = 0 : i64}, "back"]}}]} : () -> ()
    "tl.fill"(%s, %f) {tl.ws_op = "put"} : (memref<64xf32, #tl.scope<"shared">>, f32) -> ()
    "tl.copy"(%s, %t) {tl.ws_op = "take"} : (memref<64xf32, #tl.scope<"shared">>, memref<64xf32, #tl.scope<"fragment">>) -> ()
    // expected-error@+1 {{role 'use' reads a fragment in 'back' that it never writes}}
    "tl.copy"(%u, %t) {tl.ws_op = "back"} : (memref<64xf32, #tl.scope<"fragment">>, memref<64xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

func.func @stuck(%f: f32) {
  %one = arith.constant 1 : i32
  %zero = arith.constant 0 : i32
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() {tl.ws_pipeline = "tile"} : () -> memref<64xf32, #tl.scope<"shared">>
    %t = "tl.alloc"() : () -> memref<64xf32, #tl.scope<"fragment">>
    // expected-error@+1 {{the roles of the schedule wait for each other for ever: 'load' at the acquire of 'tile'}}
    "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "load", first = 0 : i64, last = 4 : i64, registers = 0 : i64}, {name = "use", first = 4 : i64, last = 8 : i64, registers = 0 : i64}], pipelines = [{name = "tile", depth = 1 : i64}], scopes = [{name = "tl.ws_scope_root", bodies = {load = [{kind = "acquire", pipeline = "tile", stage = 0 : i64}, "put", {kind = "commit", pipeline = "tile", stage = 0 : i64}, {kind = "acquire", pipeline = "tile", stage = 0 : i64}, {kind = "commit", pipeline = "tile", stage = 0 : i64}, {kind = "acquire", pipeline = "tile", stage = 0 : i64}, {kind = "commit", pipeline = "tile", stage = 0 : i64}], use = [{kind = "wait", pipeline = "tile", stage = 0 : i64}, "take", {kind = "release", pipeline = "tile", stage = 0 : i64}]}}]} : () -> ()
    "tl.fill"(%s, %f) {tl.ws_op = "put"} : (memref<64xf32, #tl.scope<"shared">>, f32) -> ()
    "tl.copy"(%s, %t) {tl.ws_op = "take"} : (memref<64xf32, #tl.scope<"shared">>, memref<64xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// -----

func.func @else(%f: f32) {
  %one = arith.constant 1 : i32
  %c = arith.constant true
  "tl.launch"(%one) ({
  ^bb0(%b: i32):
    %s = "tl.alloc"() {tl.ws_pipeline = "tile"} : () -> memref<64xf32, #tl.scope<"shared">>
    %t = "tl.alloc"() : () -> memref<64xf32, #tl.scope<"fragment">>
    "tl.ws_schedule"() {warps = 8 : i64, roles = [{name = "load", first = 0 : i64, last = 4 : i64, registers = 0 : i64}, {name = "use", first = 4 : i64, last = 8 : i64, registers = 0 : i64}], pipelines = [{name = "tile", depth = 1 : i64}], scopes = [{name = "tl.ws_scope_root", bodies = {load = [{kind = "acquire", pipeline = "tile", stage = 0 : i64}, "put", {kind = "commit", pipeline = "tile", stage = 0 : i64}], use = [{kind = "wait", pipeline = "tile", stage = 0 : i64}, "take", {kind = "release", pipeline = "tile", stage = 0 : i64}]}}]} : () -> ()
    // expected-error@+1 {{a branch with an else around scheduled operations}}
    scf.if %c {
    "tl.fill"(%s, %f) {tl.ws_op = "put"} : (memref<64xf32, #tl.scope<"shared">>, f32) -> ()
    } else {
      "tl.sync_threads"() : () -> ()
    }
    "tl.copy"(%s, %t) {tl.ws_op = "take"} : (memref<64xf32, #tl.scope<"shared">>, memref<64xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
