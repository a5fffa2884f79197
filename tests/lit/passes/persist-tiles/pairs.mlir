// A block that walks over a short and a long tile takes as long as any other: such programs persist, although the steps of a
// tile depend on the block. A of the next tile is loaded into its second version while this one is worked on, and given back
// behind the last product that reads it, before the last second one.
// RUN: tl-opt %s --target=sm_90a --layout-inference --persist-tiles | filecheck %s
// RUN: tl-opt %s --target=sm_90a --layout-inference --persist-tiles --specialize-warps --overlap-products --show-pretty | filecheck %s --check-prefix=ROLES

// CHECK: scf.for {{.*}} step %c132
// CHECK: scf.for
// CHECK: tl.pipeline
// CHECK: {tl.tiles}

// ROLES: [[FULL:v[0-9]+]] = alloc barrier [1, 1]
// ROLES-NEXT: [[EMPTY:v[0-9]+]] = alloc barrier [8, 8]
// ROLES: [[A:v[0-9]+]] = alloc shared [2x128x64xf16]
// ROLES: for {{.*}} {tl.tiles}:
// ROLES: wait [[EMPTY]][[[T:v[0-9]+]] % 2] parity [[T]] // 2 & 1 ^ 1
// ROLES: arrive [[FULL]][[[T]] % 2] {expect=16384}
// ROLES: -> [[A]][[[T]] % 2,
// ROLES: consumers
// ROLES: wait [[FULL]]
// ROLES: = [[A]][[[N:v[0-9]+]] % 2, {{.*}} {asynchronous, instr=wgmma
// ROLES: arrive [[EMPTY]][[[N]] % 2] {per_warp}
// ROLES: += {{.*}} {instr=wgmma
// ROLES: else:
// ROLES-NEXT: arrive [[EMPTY]][[[N]] % 2] {per_warp}
!g = memref<65536x64xf16, #tl.scope<"global">>
!rows = memref<128x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>
!columns = memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>
!a = memref<128x64xf16, #tl.scope<"shared">>
!b = memref<64x64xf16, #tl.scope<"shared">>
!p = memref<128x64xf16, #tl.scope<"fragment">>
!s = memref<128x64xf32, #tl.scope<"fragment">>
func.func @pairs(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %c: !llvm.ptr<1>, %d: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "float16", kind = "tensor", name = "B"}, {dtype = "float16", kind = "tensor", name = "C"}, {dtype = "float16", kind = "tensor", name = "D"}]} {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %two = arith.constant 2 : i32
  %n = arith.constant 511 : i32
  %blocks = arith.constant 256 : i32
  %step = arith.constant 64 : i32
  %height = arith.constant 128 : i32
  %nothing = arith.constant 0.0 : f32
  %A = "tl.tensor"(%a) {shape = array<i64: 65536, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !g
  %B = "tl.tensor"(%b) {shape = array<i64: 65536, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !g
  %C = "tl.tensor"(%c) {shape = array<i64: 65536, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !g
  %D = "tl.tensor"(%d) {shape = array<i64: 65536, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> !g
  "tl.launch"(%blocks) ({
  ^bb0(%x: i32):
    %As = "tl.alloc"() : () -> !a
    %Bs = "tl.alloc"() : () -> !b
    %Cs = "tl.alloc"() : () -> !b
    %S = "tl.alloc"() : () -> !s
    %P = "tl.alloc"() : () -> !p
    %O = "tl.alloc"() : () -> !s
    scf.for %turn = %zero to %two step %one : i32 {
      %first = arith.cmpi eq, %turn, %zero : i32
      %other = arith.subi %n, %x : i32
      %row = arith.select %first, %x, %other : i32
      %y = arith.muli %row, %height : i32
      %at = "tl.slice"(%A, %y, %zero) {sizes = array<i64: 128, 64>} : (!g, i32, i32) -> !rows
      "tl.copy"(%at, %As) : (!rows, !a) -> ()
      "tl.fill"(%O, %nothing) : (!s, f32) -> ()
      %end = arith.addi %row, %one : i32
      scf.for %k = %zero to %end step %one : i32 {
        %z = arith.muli %k, %step : i32
        %bt = "tl.slice"(%B, %z, %zero) {sizes = array<i64: 64, 64>} : (!g, i32, i32) -> !columns
        "tl.copy"(%bt, %Bs) : (!columns, !b) -> ()
        "tl.gemm"(%As, %Bs, %S) {clear = true, policy = "full_row", transpose_a = false, transpose_b = true} : (!a, !b, !s) -> ()
        "tl.copy"(%S, %P) : (!s, !p) -> ()
        %ct = "tl.slice"(%C, %z, %zero) {sizes = array<i64: 64, 64>} : (!g, i32, i32) -> !columns
        "tl.copy"(%ct, %Cs) : (!columns, !b) -> ()
        "tl.gemm"(%P, %Cs, %O) {clear = false, policy = "full_row", transpose_a = false, transpose_b = false} : (!p, !b, !s) -> ()
      } {tl.pipeline = {num_stages = 2 : i32}}
      %dt = "tl.slice"(%D, %y, %zero) {sizes = array<i64: 128, 64>} : (!g, i32, i32) -> !rows
      "tl.copy"(%O, %dt) : (!s, !rows) -> ()
    }
  }) {name = "pairs_kernel", threads = array<i32: 256, 1, 1>} : (i32) -> ()
  return
}
