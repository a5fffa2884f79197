// Views of tensors and the maps made of them parse, verify and print.
// RUN: tl-opt %s | tl-opt | filecheck %s
!g = memref<100x64xf16, #tl.scope<"global">>
!v = memref<?x64xf16, strided<[64, 1]>, #tl.scope<"global">>
!w = memref<32xf16, strided<[1]>, #tl.scope<"global">>
!s = memref<8x128xi8, #tl.scope<"shared">>

// CHECK-LABEL: func.func @views
func.func @views(%g: !g, %i: i32, %rows: i32, %s: !s) {
  // CHECK: %[[VIEW:.*]] = "tl.view"(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) {id = 0 : i64, shape = array<i64: -1, 64>, strides = array<i64: 64, 1>}
  %v = "tl.view"(%g, %i, %i, %rows) {id = 0, shape = array<i64: -1, 64>, strides = array<i64: 64, 1>} : (!g, i32, i32, i32) -> !v
  // CHECK: "tl.make_descriptor"(%[[VIEW]], %{{.*}})
  "tl.make_descriptor"(%v, %s) : (!v, !s) -> ()
  // CHECK: "tl.view"(%{{.*}}) {id = 1 : i64, shape = array<i64: 32>, strides = array<i64: 1>, unsigned}
  %w = "tl.view"(%g, %i, %i) {id = 1, unsigned, shape = array<i64: 32>, strides = array<i64: 1>} : (!g, i32, i32) -> !w
  return
}
