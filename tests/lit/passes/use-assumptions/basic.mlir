// What the program states of integers becomes facts about them, wherever they are used.
// RUN: tl-opt %s --use-assumptions | filecheck %s
// RUN: tl-opt %s --target=sm_90a --stage=lowered --emit=ptx | filecheck %s --check-prefix=PTX

// CHECK-LABEL: func.func @facts(
// CHECK-SAME: %arg2: i32 {tl.facts = {divisor = 8 : i64, hi = 4095 : i64}}
// CHECK: memref.load %{{.*}} {tl.facts = {divisor = 8 : i64, hi = 127 : i64, lo = 0 : i64}} : memref<4xi64
// CHECK: "tl.cast"(%{{.*}}) {from = "int64", {{.*}}tl.facts = {divisor = 8 : i64, hi = 127 : i64, lo = 0 : i64}
// What a branch states of a value from outside of it holds in the branch only.
// CHECK: scf.for %[[K:.*]] = {{.*}} {
// CHECK: memref.load %{{.*}}[%{{.*}}] : memref<4xi32
// CHECK: memref.load %{{.*}}[%{{.*}}] {tl.facts = {divisor = 16 : i64}} : memref<4xi32
// CHECK: scf.if

// Rows of 16 bytes from a start at a multiple of 16 bytes are read 16 bytes at a time.
// PTX: ld.global.v4.b32
func.func @facts(%a: !llvm.ptr<1>, %s: !llvm.ptr<1>, %k: i32, %l: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "int64", kind = "tensor", name = "S"}, {dtype = "int32", kind = "symbol", name = "K"}, {dtype = "int32", kind = "tensor", name = "L"}]} {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c4 = arith.constant 4 : i32
  %c8 = arith.constant 8 : i32
  %c16 = arith.constant 16 : i32
  %most = arith.constant 4096 : i32
  %wide0 = arith.constant 0 : i64
  %wide7 = arith.constant 7 : i64
  %wide128 = arith.constant 128 : i64
  %A = "tl.tensor"(%a, %k, %k) {shape = array<i64: 64, -1>, strides = array<i64: -1, 1>} : (!llvm.ptr<1>, i32, i32) -> memref<64x?xf16, #tl.scope<"global">>
  %S = "tl.tensor"(%s) {shape = array<i64: 4>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> memref<4xi64, #tl.scope<"global">>
  %L = "tl.tensor"(%l) {shape = array<i64: 4>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> memref<4xi32, #tl.scope<"global">>
  %kq = arith.floordivsi %k, %c8 : i32
  %kp = arith.muli %kq, %c8 : i32
  %kr = arith.subi %k, %kp : i32
  %even = arith.cmpi eq, %kr, %c0 : i32
  %less = arith.cmpi sgt, %most, %k : i32
  %both = arith.andi %even, %less : i1
  "tl.assert"(%both) {message = "sizes"} : (i1) -> ()
  "tl.launch"(%c4) ({
  ^bb0(%bx: i32):
    %place = arith.index_cast %bx : i32 to index
    %start = memref.load %S[%place] : memref<4xi64, #tl.scope<"global">>
    %low = arith.andi %start, %wide7 : i64
    %isz = arith.cmpi eq, %low, %wide0 : i64
    %isb = arith.cmpi ult, %start, %wide128 : i64
    "tl.assume"(%isz) : (i1) -> ()
    "tl.assume"(%isb) : (i1) -> ()
    %off = "tl.cast"(%start) {from = "int64", to = "int32"} : (i64) -> i32
    %tile = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"shared">>
    %part = "tl.slice"(%A, %c0, %off) {sizes = array<i64: 64, 64>} : (memref<64x?xf16, #tl.scope<"global">>, i32, i32) -> memref<64x64xf16, strided<[?, 1], offset: ?>, #tl.scope<"global">>
    "tl.copy"(%part, %tile) : (memref<64x64xf16, strided<[?, 1], offset: ?>, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>) -> ()
    "tl.copy"(%tile, %part) : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, strided<[?, 1], offset: ?>, #tl.scope<"global">>) -> ()
    scf.for %i = %c0 to %c4 step %c1 : i32 {
      %at = arith.index_cast %i : i32 to index
      %x = memref.load %L[%at] : memref<4xi32, #tl.scope<"global">>
      %y = memref.load %L[%place] : memref<4xi32, #tl.scope<"global">>
      %yr = arith.remui %y, %c16 : i32
      %yz = arith.cmpi eq, %yr, %c0 : i32
      "tl.assume"(%yz) : (i1) -> ()
      %positive = arith.cmpi sgt, %x, %y : i32
      scf.if %positive {
        %xr = arith.remui %x, %c16 : i32
        %xz = arith.cmpi eq, %xr, %c0 : i32
        "tl.assume"(%xz) : (i1) -> ()
      }
    }
  }) {threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
