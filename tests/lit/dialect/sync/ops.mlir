// Barriers, shuffles and votes.
// RUN: tl-opt %s | filecheck %s
// RUN: tl-opt %s > %t
// RUN: tl-opt %t | diff %t -

// CHECK-LABEL: func.func @sync(
// CHECK: "tl.sync_threads"() : () -> ()
// CHECK: "tl.sync_threads"() {count = 64 : i32, id = 1 : i32} : () -> ()
// CHECK: "tl.sync_warp"() : () -> ()
// CHECK: "tl.sync_warp"(%{{[0-9a-z_]+}}) : (i32) -> ()
// CHECK: "tl.sync_grid"() : () -> ()
func.func @sync(%m: i32) {
  "tl.sync_threads"() : () -> ()
  "tl.sync_threads"() {count = 64 : i32, id = 1 : i32} : () -> ()
  "tl.sync_warp"() : () -> ()
  "tl.sync_warp"(%m) : (i32) -> ()
  "tl.sync_grid"() : () -> ()
  return
}

// CHECK-LABEL: func.func @lanes(
// CHECK: %{{[0-9a-z_]+}} = "tl.shuffle"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {kind = "xor", width = 32 : i32} : (f32, i32) -> f32
// CHECK: %{{[0-9a-z_]+}} = "tl.shuffle"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {kind = "up", width = 16 : i32} : (i32, i32) -> i32
// CHECK: %{{[0-9a-z_]+}} = "tl.shuffle"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {kind = "down", width = 1 : i32} : (i32, i32) -> i32
// CHECK: %{{[0-9a-z_]+}} = "tl.shuffle"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {kind = "idx", width = 64 : i32} : (i32, i32) -> i32
// CHECK: %{{[0-9a-z_]+}} = "tl.shuffle"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {kind = "idx", width = 16 : i32} : (f32, i32, i32) -> f32
// CHECK: %{{[0-9a-z_]+}} = "tl.vote"(%{{[0-9a-z_]+}}) {kind = "any"} : (i1) -> i1
// CHECK: %{{[0-9a-z_]+}} = "tl.vote"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {kind = "all"} : (i32, i32) -> i1
// CHECK: %{{[0-9a-z_]+}} = "tl.vote"(%{{[0-9a-z_]+}}) {kind = "ballot"} : (i1) -> i64
// CHECK: %{{[0-9a-z_]+}} = "tl.vote"() {kind = "activemask"} : () -> i64
// CHECK: %{{[0-9a-z_]+}} = "tl.vote"(%{{[0-9a-z_]+}}) {kind = "block_count"} : (i1) -> i32
// CHECK: %{{[0-9a-z_]+}} = "tl.vote"(%{{[0-9a-z_]+}}) {kind = "block_and"} : (i1) -> i1
// CHECK: %{{[0-9a-z_]+}} = "tl.vote"(%{{[0-9a-z_]+}}) {kind = "block_or"} : (i1) -> i1
// CHECK: %{{[0-9a-z_]+}} = "tl.vote"(%{{[0-9a-z_]+}}) {kind = "match_any"} : (i32) -> i32
// CHECK: %{{[0-9a-z_]+}} = "tl.vote"(%{{[0-9a-z_]+}}) {kind = "match_all"} : (i32) -> i32
// CHECK: %{{[0-9a-z_]+}} = "tl.warp_reduce"(%{{[0-9a-z_]+}}) {kind = "sum"} : (f32) -> f32
// CHECK: %{{[0-9a-z_]+}} = "tl.warp_reduce"(%{{[0-9a-z_]+}}) {kind = "umax"} : (i32) -> i32
func.func @lanes(%x: f32, %n: i32, %p: i1) {
  %a = "tl.shuffle"(%x, %n) {kind = "xor", width = 32 : i32} : (f32, i32) -> f32
  %b = "tl.shuffle"(%n, %n) {kind = "up", width = 16 : i32} : (i32, i32) -> i32
  %c = "tl.shuffle"(%n, %n) {kind = "down", width = 1 : i32} : (i32, i32) -> i32
  %d = "tl.shuffle"(%n, %n) {kind = "idx", width = 64 : i32} : (i32, i32) -> i32
  %some = "tl.shuffle"(%x, %n, %n) {kind = "idx", width = 16 : i32} : (f32, i32, i32) -> f32
  %e = "tl.vote"(%p) {kind = "any"} : (i1) -> i1
  %f = "tl.vote"(%n, %n) {kind = "all"} : (i32, i32) -> i1
  %g = "tl.vote"(%p) {kind = "ballot"} : (i1) -> i64
  %h = "tl.vote"() {kind = "activemask"} : () -> i64
  %i = "tl.vote"(%p) {kind = "block_count"} : (i1) -> i32
  %j = "tl.vote"(%p) {kind = "block_and"} : (i1) -> i1
  %k = "tl.vote"(%p) {kind = "block_or"} : (i1) -> i1
  %l = "tl.vote"(%n) {kind = "match_any"} : (i32) -> i32
  %m = "tl.vote"(%n) {kind = "match_all"} : (i32) -> i32
  %o = "tl.warp_reduce"(%x) {kind = "sum"} : (f32) -> f32
  %q = "tl.warp_reduce"(%n) {kind = "umax"} : (i32) -> i32
  return
}

// CHECK-LABEL: func.func @mbarrier(
// CHECK: %{{[0-9a-z_]+}} = "tl.alloc_barrier"() {counts = array<i32: 1, 128>} : () -> !tl.barrier<2 : i64>
// CHECK: "tl.mbarrier_expect"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) : (!tl.barrier<2 : i64>, i32, i32) -> ()
// CHECK: "tl.mbarrier_arrive"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) : (!tl.barrier<2 : i64>, i32) -> ()
// CHECK: "tl.mbarrier_arrive"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) {expect = 4096 : i32} : (!tl.barrier<2 : i64>, i32) -> ()
// CHECK: "tl.mbarrier_arrive"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) : (!tl.barrier<2 : i64>, i32, i32) -> ()
// CHECK: "tl.mbarrier_wait"(%{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}, %{{[0-9a-z_]+}}) : (!tl.barrier<2 : i64>, i32, i32) -> ()
func.func @mbarrier(%i: i32) {
  %b = "tl.alloc_barrier"() {counts = array<i32: 1, 128>} : () -> !tl.barrier<2 : i64>
  "tl.mbarrier_expect"(%b, %i, %i) : (!tl.barrier<2 : i64>, i32, i32) -> ()
  "tl.mbarrier_arrive"(%b, %i) : (!tl.barrier<2 : i64>, i32) -> ()
  "tl.mbarrier_arrive"(%b, %i) {expect = 4096 : i32} : (!tl.barrier<2 : i64>, i32) -> ()
  "tl.mbarrier_arrive"(%b, %i, %i) : (!tl.barrier<2 : i64>, i32, i32) -> ()
  "tl.mbarrier_wait"(%b, %i, %i) : (!tl.barrier<2 : i64>, i32, i32) -> ()
  return
}

// CHECK-LABEL: func.func @phases(
// CHECK: %[[STATE:.*]] = "tl.mbarrier_state"(%arg0, %arg1) : (!tl.barrier<1 : i64>, i32) -> i64
// CHECK: "tl.mbarrier_test"(%arg0, %arg1, %[[STATE]]) : (!tl.barrier<1 : i64>, i32, i64) -> i1
// CHECK: "tl.mbarrier_test"(%arg0, %arg1, %arg1) : (!tl.barrier<1 : i64>, i32, i32) -> i1
func.func @phases(%bar: !tl.barrier<1 : i64>, %i: i32) {
  %state = "tl.mbarrier_state"(%bar, %i) : (!tl.barrier<1 : i64>, i32) -> i64
  %a = "tl.mbarrier_test"(%bar, %i, %state) : (!tl.barrier<1 : i64>, i32, i64) -> i1
  %b = "tl.mbarrier_test"(%bar, %i, %i) : (!tl.barrier<1 : i64>, i32, i32) -> i1
  return
}
