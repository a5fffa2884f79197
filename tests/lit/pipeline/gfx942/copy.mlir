// A copy through shared memory whose last block is cut off. One wave needs no barrier, only the wait.
// RUN: tl-opt %s --stage=lowered --emit=amdgcn --target=gfx942 | filecheck %s
// CHECK-LABEL: copy_kernel:
// CHECK-NOT: scratch_
// CHECK-NOT: s_cbranch
// CHECK: buffer_load_dwordx4 {{.*}} 0 offen
// CHECK: ds_write_b128
// CHECK: s_waitcnt lgkmcnt(0)
// CHECK: ds_read_b128
// CHECK: buffer_store_dwordx4 {{.*}} 0 offen
// CHECK: .group_segment_fixed_size: 1024
// CHECK: .kernarg_segment_size: 16
// CHECK: .private_segment_fixed_size: 0
// CHECK: .wavefront_size: 64
module {
  func.func @copy(%arg0: !llvm.ptr<1>, %arg1: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "float16", kind = "tensor", name = "B"}]} {
    %0 = "tl.tensor"(%arg0) {shape = array<i64: 1000>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> memref<1000xf16, #tl.scope<"global">>
    %1 = "tl.tensor"(%arg1) {shape = array<i64: 1000>, strides = array<i64: 1>} : (!llvm.ptr<1>) -> memref<1000xf16, #tl.scope<"global">>
    %c2_i32 = arith.constant 2 : i32
    "tl.launch"(%c2_i32) ({
    ^bb0(%arg2: i32):
      %2 = "tl.alloc"() : () -> memref<512xf16, #tl.scope<"shared">>
      %c512_i32 = arith.constant 512 : i32
      %3 = arith.muli %arg2, %c512_i32 : i32
      %4 = "tl.slice"(%0, %3) {sizes = array<i64: 512>} : (memref<1000xf16, #tl.scope<"global">>, i32) -> memref<512xf16, strided<[1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%4, %2) : (memref<512xf16, strided<[1], offset: ?>, #tl.scope<"global">>, memref<512xf16, #tl.scope<"shared">>) -> ()
      %5 = "tl.slice"(%1, %3) {sizes = array<i64: 512>} : (memref<1000xf16, #tl.scope<"global">>, i32) -> memref<512xf16, strided<[1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%2, %5) : (memref<512xf16, #tl.scope<"shared">>, memref<512xf16, strided<[1], offset: ?>, #tl.scope<"global">>) -> ()
    }) {name = "copy_kernel", threads = array<i32: 64, 1, 1>} : (i32) -> ()
    return
  }
}
