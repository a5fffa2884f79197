// RUN: tl-opt %s --lower-to-threads --canonicalize --cse --target=sm_80 | filecheck %s

!g = memref<32x8xi16, #tl.scope<"global">>
!h = memref<32x8xf16, #tl.scope<"global">>
!b = memref<32x8xbf16, #tl.scope<"global">>
#rows = #tl.fragment<array<i64: 32, 8>, array<i64: 32, 0, 1>, array<i64: 8, 1, 1>>

// Four bits of each 16-bit word become float16 by a mask in pairs: 0x6400 is 1024, 1677747200 twice that pattern.
// CHECK-LABEL: llvm.func @nibbles_kernel
// CHECK-DAG: %[[SHIFT:.*]] = arith.constant dense<4> : vector<4xi32>
// CHECK-DAG: %[[MASK:.*]] = arith.constant dense<983055> : vector<4xi32>
// CHECK-DAG: %[[EXPONENT:.*]] = arith.constant dense<1677747200> : vector<4xi32>
// CHECK-DAG: %[[FIRST:.*]] = arith.constant dense<1.024000e+03> : vector<8xf16>
// CHECK: %[[PAIRS:.*]] = vector.bitcast %{{.*}} : vector<8xi16> to vector<4xi32>
// CHECK: %[[A:.*]] = arith.shrui %[[PAIRS]], %[[SHIFT]]
// CHECK: %[[B:.*]] = arith.andi %[[A]], %[[MASK]]
// CHECK: %[[C:.*]] = arith.ori %[[B]], %[[EXPONENT]]
// CHECK: %[[D:.*]] = vector.bitcast %[[C]] : vector<4xi32> to vector<8xf16>
// CHECK: arith.subf %[[D]], %[[FIRST]]
// CHECK-NOT: uitofp
func.func @nibbles(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {tl.params = [{dtype = "uint16", kind = "tensor", name = "X"}, {dtype = "float16", kind = "tensor", name = "Y"}]} {
  %one = arith.constant 1 : i32
  %X = "tl.tensor"(%x) {shape = array<i64: 32, 8>, strides = array<i64: 8, 1>} : (!llvm.ptr<1>) -> !g
  %Y = "tl.tensor"(%y) {shape = array<i64: 32, 8>, strides = array<i64: 8, 1>} : (!llvm.ptr<1>) -> !h
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      %four = arith.constant 4 : i16
      %mask = arith.constant 15 : i16
      %v = memref.load %X[%ii, %jj] : !g
      %s = arith.shrui %v, %four : i16
      %q = arith.andi %s, %mask : i16
      %f = "tl.cast"(%q) {from = "uint16", to = "float16"} : (i16) -> f16
      memref.store %f, %Y[%ii, %jj] : !h
    }) {extents = array<i64: 32, 8>, layout = #rows} : () -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}

// A zero point is subtracted together with the 1024, one that is no integer or too large is not.
// CHECK-LABEL: llvm.func @zero_points_kernel
// CHECK-DAG: %[[BOTH:.*]] = arith.constant dense<1.032000e+03> : vector<8xf16>
// CHECK-DAG: %[[ALONE:.*]] = arith.constant dense<1.024000e+03> : vector<8xf16>
// CHECK-DAG: %[[HALF:.*]] = arith.constant dense<5.000000e-01> : vector<8xf16>
// CHECK-DAG: %[[LARGE:.*]] = arith.constant dense<1.025000e+03> : vector<8xf16>
// CHECK: %[[D:.*]] = vector.bitcast %{{.*}} : vector<4xi32> to vector<8xf16>
// CHECK: %[[Q:.*]] = arith.subf %[[D]], %[[ALONE]]
// CHECK: %[[A:.*]] = arith.subf %[[D]], %[[BOTH]]
// CHECK: %[[B:.*]] = arith.subf %[[Q]], %[[HALF]]
// CHECK: %[[C:.*]] = arith.subf %[[Q]], %[[LARGE]]
func.func @zero_points(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {tl.params = [{dtype = "uint16", kind = "tensor", name = "X"}, {dtype = "float16", kind = "tensor", name = "Y"}]} {
  %one = arith.constant 1 : i32
  %X = "tl.tensor"(%x) {shape = array<i64: 32, 8>, strides = array<i64: 8, 1>} : (!llvm.ptr<1>) -> !g
  %Y = "tl.tensor"(%y) {shape = array<i64: 32, 8>, strides = array<i64: 8, 1>} : (!llvm.ptr<1>) -> !h
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      %mask = arith.constant 15 : i16
      %eight = arith.constant 8.0 : f16
      %half = arith.constant 0.5 : f16
      %large = arith.constant 1025.0 : f16
      %v = memref.load %X[%ii, %jj] : !g
      %q = arith.andi %v, %mask : i16
      %f = "tl.cast"(%q) {from = "uint16", to = "float16"} : (i16) -> f16
      %a = arith.subf %f, %eight : f16
      %b = arith.subf %f, %half : f16
      %c = arith.subf %f, %large : f16
      %ab = arith.mulf %a, %b : f16
      %abc = arith.mulf %ab, %c : f16
      memref.store %abc, %Y[%ii, %jj] : !h
    }) {extents = array<i64: 32, 8>, layout = #rows} : () -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}

// A bfloat16 holds seven bits so; eight are converted.
// CHECK-LABEL: llvm.func @bytes_kernel
// CHECK: arith.uitofp
func.func @bytes(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {tl.params = [{dtype = "uint16", kind = "tensor", name = "X"}, {dtype = "bfloat16", kind = "tensor", name = "Y"}]} {
  %one = arith.constant 1 : i32
  %X = "tl.tensor"(%x) {shape = array<i64: 32, 8>, strides = array<i64: 8, 1>} : (!llvm.ptr<1>) -> !g
  %Y = "tl.tensor"(%y) {shape = array<i64: 32, 8>, strides = array<i64: 8, 1>} : (!llvm.ptr<1>) -> !b
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      %mask = arith.constant 255 : i16
      %v = memref.load %X[%ii, %jj] : !g
      %q = arith.andi %v, %mask : i16
      %f = "tl.cast"(%q) {from = "uint16", to = "bfloat16"} : (i16) -> bf16
      memref.store %f, %Y[%ii, %jj] : !b
    }) {extents = array<i64: 32, 8>, layout = #rows} : () -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}

// With a shift by twelve the mask must not take what comes from the upper half: the shift stays one of 16 bits.
// CHECK-LABEL: llvm.func @over_the_edge_kernel
// CHECK: arith.shrui %{{.*}} : vector<8xi16>
// CHECK: arith.andi %{{.*}} : vector<4xi32>
func.func @over_the_edge(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {tl.params = [{dtype = "uint16", kind = "tensor", name = "X"}, {dtype = "float16", kind = "tensor", name = "Y"}]} {
  %one = arith.constant 1 : i32
  %X = "tl.tensor"(%x) {shape = array<i64: 32, 8>, strides = array<i64: 8, 1>} : (!llvm.ptr<1>) -> !g
  %Y = "tl.tensor"(%y) {shape = array<i64: 32, 8>, strides = array<i64: 8, 1>} : (!llvm.ptr<1>) -> !h
  "tl.launch"(%one) ({
  ^bb0(%bx: i32):
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      %twelve = arith.constant 12 : i16
      %mask = arith.constant 31 : i16
      %v = memref.load %X[%ii, %jj] : !g
      %s = arith.shrui %v, %twelve : i16
      %q = arith.andi %s, %mask : i16
      %f = "tl.cast"(%q) {from = "uint16", to = "float16"} : (i16) -> f16
      memref.store %f, %Y[%ii, %jj] : !h
    }) {extents = array<i64: 32, 8>, layout = #rows} : () -> ()
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}
