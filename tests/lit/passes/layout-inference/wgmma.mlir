// Products on warpgroups: which, the swizzles of their operands, and the fragments that follow.
// RUN: tl-opt %s --layout-inference --target=sm_90a | filecheck %s
// RUN: tl-opt %s --layout-inference=wgmma=false --target=sm_90a | filecheck %s --check-prefix=OFF
// RUN: tl-opt %s --layout-inference --target=sm_90 | filecheck %s --check-prefix=OFF
// OFF-NOT: instr

// A along K, B along N: 128-byte rows. Four warps of 16 rows; registers walk a row pair, then 8 columns at a time.
// CHECK-LABEL: func.func @row_major(
// CHECK: "tl.alloc"() {layout = #tl.smem<array<i64: 64, 64>, {{.*}}, array<i64: 3, 3, 3>>} : () -> memref<64x64xf16
// CHECK: "tl.alloc"() {layout = #tl.smem<array<i64: 64, 128>, {{.*}}, array<i64: 3, 3, 3>>} : () -> memref<64x128xf16
// CHECK: "tl.alloc"() {layout = #tl.fragment<array<i64: 64, 128>, array<i64: 4, 1, 2, 8, 0, 1, 4, 0, 16>, array<i64: 2, 1, 1, 2, 0, 8, 16, 1, 8>>}
// CHECK: instr = "wgmma"
func.func @row_major(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<64x128xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x128xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = false} : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x128xf16, #tl.scope<"shared">>, memref<64x128xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// Both along the other dimension.
// CHECK-LABEL: func.func @both_transposed(
// CHECK: instr = "wgmma"
func.func @both_transposed(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<128x64xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x128xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = true, transpose_b = true} : (memref<64x64xf16, #tl.scope<"shared">>, memref<128x64xf16, #tl.scope<"shared">>, memref<64x128xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// Along K narrower rows do: 64 bytes,
// CHECK-LABEL: func.func @span_64(
// CHECK: array<i64: 2, 3, 3>
// CHECK: instr = "wgmma"
func.func @span_64(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x32xf16, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<64x32xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = true} : (memref<64x32xf16, #tl.scope<"shared">>, memref<64x32xf16, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// and 32 bytes,
// CHECK-LABEL: func.func @span_32(
// CHECK: array<i64: 1, 3, 3>
// CHECK: instr = "wgmma"
func.func @span_32(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x16xf16, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<64x16xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = true} : (memref<64x16xf16, #tl.scope<"shared">>, memref<64x16xf16, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// but not 16, half a step of the instruction.
// CHECK-LABEL: func.func @span_16(
// CHECK-NOT: instr
// CHECK: return
func.func @span_16(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x8xf16, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<64x8xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = true} : (memref<64x8xf16, #tl.scope<"shared">>, memref<64x8xf16, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// Along N only 128-byte rows.
// CHECK-LABEL: func.func @narrow_along_n(
// CHECK-NOT: instr
// CHECK: return
func.func @narrow_along_n(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<64x32xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x32xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = false} : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x32xf16, #tl.scope<"shared">>, memref<64x32xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// Along M too.
// CHECK-LABEL: func.func @narrow_along_m(
// CHECK-NOT: instr
// CHECK: return
func.func @narrow_along_m(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<32x96xf16, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<64x32xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<96x64xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = true, transpose_b = true} : (memref<32x96xf16, #tl.scope<"shared">>, memref<64x32xf16, #tl.scope<"shared">>, memref<96x64xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// 8-bit elements along K,
// CHECK-LABEL: func.func @bytes_along_k(
// CHECK: instr = "wgmma"
func.func @bytes_along_k(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x64xf8E4M3FN, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<64x64xf8E4M3FN, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = true} : (memref<64x64xf8E4M3FN, #tl.scope<"shared">>, memref<64x64xf8E4M3FN, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// not along N.
// CHECK-LABEL: func.func @bytes_along_n(
// CHECK-NOT: instr
// CHECK: return
func.func @bytes_along_n(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x128xf8E4M3FN, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<128x128xf8E4M3FN, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x128xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = false} : (memref<64x128xf8E4M3FN, #tl.scope<"shared">>, memref<128x128xf8E4M3FN, #tl.scope<"shared">>, memref<64x128xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// Warpgroups share the rows first,
// CHECK-LABEL: func.func @rows_of_two_warpgroups(
// CHECK: #tl.fragment<array<i64: 128, 64>, array<i64: 4, 1, 2, 8, 0, 1, 4, 0, 16, 2, 0, 64>, array<i64: 2, 1, 1, 2, 0, 8, 8, 1, 8>>
// CHECK: instr = "wgmma"
func.func @rows_of_two_warpgroups(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<128x64xf16, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<128x64xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = false} : (memref<128x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"shared">>, memref<128x64xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 256, 1, 1>} : (i32) -> ()
  return
}

// then the columns, a panel of B each,
// CHECK-LABEL: func.func @columns_of_two_warpgroups(
// CHECK: #tl.fragment<array<i64: 64, 128>, array<i64: 4, 1, 2, 8, 0, 1, 4, 0, 16, 2, 1, 64>, array<i64: 2, 1, 1, 2, 0, 8, 8, 1, 8>>
// CHECK: instr = "wgmma"
func.func @columns_of_two_warpgroups(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<64x128xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x128xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = false} : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x128xf16, #tl.scope<"shared">>, memref<64x128xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 256, 1, 1>} : (i32) -> ()
  return
}

// of which half is no operand.
// CHECK-LABEL: func.func @half_a_panel(
// CHECK-NOT: instr
// CHECK: return
func.func @half_a_panel(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = false} : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 256, 1, 1>} : (i32) -> ()
  return
}

// Half of a 128-byte row of B cannot be described: where two warpgroups share 64 columns, rows are given in two pieces.
// CHECK-LABEL: func.func @pieces_of_columns(
// CHECK: "tl.alloc"() {layout = #tl.smem<array<i64: 64, 64>, {{.*}}, array<i64: 2, 3, 3>>} : () -> memref<64x64xf16
// CHECK: instr = "wgmma"
func.func @pieces_of_columns(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %b = "tl.alloc"() {layout = #tl.smem<array<i64: 64, 64>, array<i64: 32, 1, 1, 1, 64, 0, 1, 32, 2, 1, 32, 2048>, array<i64: 2, 3, 3>>} : () -> memref<64x64xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = false} : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 256, 1, 1>} : (i32) -> ()
  return
}

// A warpgroup with more rows takes 64 at a time.
// CHECK-LABEL: func.func @two_blocks(
// CHECK: #tl.fragment<array<i64: 128, 64>, array<i64: 4, 1, 2, 8, 0, 1, 4, 0, 16>, array<i64: 2, 1, 1, 2, 0, 8, 8, 1, 8, 2, 0, 64>>
// CHECK: instr = "wgmma"
func.func @two_blocks(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<128x64xf16, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<128x64xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = false} : (memref<128x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"shared">>, memref<128x64xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// A in registers: four words a step.
// CHECK-LABEL: func.func @left_in_registers(
// CHECK: "tl.alloc"() {layout = #tl.fragment<array<i64: 64, 64>, array<i64: 4, 1, 2, 8, 0, 1, 4, 0, 16>, array<i64: 2, 1, 1, 2, 0, 8, 2, 1, 8, 4, 1, 16>>} : () -> memref<64x64xf16
// CHECK: instr = "wgmma"
func.func @left_in_registers(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"fragment">>
    %b = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = false} : (memref<64x64xf16, #tl.scope<"fragment">>, memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// A word is four bytes wide.
// CHECK-LABEL: func.func @bytes_in_registers(
// CHECK: "tl.alloc"() {layout = #tl.fragment<array<i64: 64, 64>, array<i64: 4, 1, 4, 8, 0, 1, 4, 0, 16>, array<i64: 4, 1, 1, 2, 0, 8, 2, 1, 16, 2, 1, 32>>} : () -> memref<64x64xf8E5M2
// CHECK: instr = "wgmma"
func.func @bytes_in_registers(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x64xf8E5M2, #tl.scope<"fragment">>
    %b = "tl.alloc"() : () -> memref<64x64xf8E5M2, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = true} : (memref<64x64xf8E5M2, #tl.scope<"fragment">>, memref<64x64xf8E5M2, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// Fewer than 64 rows,
// CHECK-LABEL: func.func @few_rows(
// CHECK-NOT: instr
// CHECK: return
func.func @few_rows(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<32x64xf16, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<32x64xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = false} : (memref<32x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"shared">>, memref<32x64xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// more than 256 columns,
// CHECK-LABEL: func.func @many_columns(
// CHECK-NOT: instr
// CHECK: return
func.func @many_columns(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<264x64xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x264xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = true} : (memref<64x64xf16, #tl.scope<"shared">>, memref<264x64xf16, #tl.scope<"shared">>, memref<64x264xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// no whole warpgroup,
// CHECK-LABEL: func.func @few_threads(
// CHECK-NOT: instr
// CHECK: return
func.func @few_threads(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = false} : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 64, 1, 1>} : (i32) -> ()
  return
}

// float32 operands are multiplied as tf32,
// CHECK-LABEL: func.func @tf32(
// CHECK: instr = "wgmma"
func.func @tf32(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x32xf32, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<64x32xf32, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = true} : (memref<64x32xf32, #tl.scope<"shared">>, memref<64x32xf32, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// integers with each other whatever their signs,
// CHECK-LABEL: func.func @integers(
// CHECK: a_unsigned
// CHECK-SAME: instr = "wgmma"
func.func @integers(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x64xi8, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<64x64xi8, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x64xi32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {a_unsigned, clear = true, policy = "square", transpose_a = false, transpose_b = true} : (memref<64x64xi8, #tl.scope<"shared">>, memref<64x64xi8, #tl.scope<"shared">>, memref<64x64xi32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// but with 32 columns or a multiple of 16 beyond;
// CHECK-LABEL: func.func @integers_of_40_columns(
// CHECK-NOT: instr
// CHECK: return
func.func @integers_of_40_columns(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x64xi8, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<40x64xi8, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x40xi32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = true} : (memref<64x64xi8, #tl.scope<"shared">>, memref<40x64xi8, #tl.scope<"shared">>, memref<64x40xi32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// 8-bit floats of both formats with each other;
// CHECK-LABEL: func.func @mixed_bytes(
// CHECK: instr = "wgmma"
func.func @mixed_bytes(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x64xf8E4M3FN, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<64x64xf8E5M2, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x64xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = true} : (memref<64x64xf8E4M3FN, #tl.scope<"shared">>, memref<64x64xf8E5M2, #tl.scope<"shared">>, memref<64x64xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// and sums in float16, which lie as those in float32 do.
// CHECK-LABEL: func.func @half_sums(
// CHECK: "tl.alloc"() {layout = #tl.fragment<array<i64: 64, 64>{{.*}}>} : () -> memref<64x64xf16, #tl.scope<"fragment">>
// CHECK: instr = "wgmma"
func.func @half_sums(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = false, transpose_b = false} : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}

// Along N pieces of 32 bytes do where 80 columns have no wider ones.
// CHECK-LABEL: func.func @columns_80(
// CHECK: "tl.alloc"() {layout = #tl.smem<array<i64: 64, 80>, {{.*}}, array<i64: 1, 3, 3>>} : () -> memref<64x80xf16
// CHECK: instr = "wgmma"
func.func @columns_80(%one: i32) {
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    %a = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %b = "tl.alloc"() : () -> memref<64x80xf16, #tl.scope<"shared">>
    %c = "tl.alloc"() : () -> memref<64x80xf32, #tl.scope<"fragment">>
    "tl.gemm"(%a, %b, %c) {clear = true, policy = "square", transpose_a = true, transpose_b = false} : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x80xf16, #tl.scope<"shared">>, memref<64x80xf32, #tl.scope<"fragment">>) -> ()
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
