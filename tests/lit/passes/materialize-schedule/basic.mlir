// Roles written out: versions, barriers, a branch for a warp and a region for a warpgroup; a guarded copy keeps its waits.
// RUN: tl-opt %s --target=sm_90a --materialize-schedule --canonicalize --cse --show-pretty | filecheck %s

// CHECK: kernel kernel_kernel({{.*}}) grid (1) threads 256:
// CHECK-NEXT: [[S:v[0-9]+]] = alloc shared [2x64x64xf16]
// CHECK-NEXT: [[F:v[0-9]+]] = alloc fragment [64x64xf16]
// CHECK-NEXT: [[FULL:v[0-9]+]] = alloc barrier [32, 32]
// CHECK-NEXT: [[EMPTY:v[0-9]+]] = alloc barrier [128, 128]
// CHECK-NEXT: [[R:v[0-9]+]] = alloc var [1xi32] {init=0}
// CHECK-NEXT: warpgroups 0:
// CHECK-NEXT: set_registers() {count=40, increase=0
// CHECK-NEXT: warpgroups 1:
// CHECK-NEXT: set_registers() {count=224, increase=1
// CHECK-NEXT: warps 0:
// CHECK-NEXT: for {{.*}} in 0..4:
// CHECK-NEXT: wait [[EMPTY]]{{\[}}[[R]] % 2] parity [[R]] // 2 & 1 ^ 1
// CHECK-NEXT: if {{.*}} < 3:
// CHECK-NEXT: load v2{{.*}} -> [[S]]{{\[}}[[R]] % 2, 0, 0 : 1x64x64] arriving at [[FULL]]{{\[}}[[R]] % 2] {explicit}
// CHECK-NEXT: arrive [[FULL]]{{\[}}[[R]] % 2]
// CHECK-NEXT: [[R]] = [[R]] + 1
// CHECK-NEXT: warpgroups 1:
// CHECK-NEXT: for {{.*}} in 0..4:
// CHECK-NEXT: wait [[FULL]]{{\[}}[[R]] % 2] parity [[R]] // 2 & 1
// CHECK-NEXT: copy [[S]]{{\[}}[[R]] % 2, 0, 0 : 1x64x64] -> [[F]]
// CHECK-NEXT: arrive [[EMPTY]]{{\[}}[[R]] % 2]
// CHECK-NEXT: [[R]] = [[R]] + 1
// CHECK-NEXT: copy [[F]] -> v3
// CHECK-NOT: {{ws_|tl.ws}}
func.func @kernel(%arg0: !llvm.ptr<1>, %arg1: !llvm.ptr<1>) attributes {tl.params = [{dtype = "float16", kind = "tensor", name = "A"}, {dtype = "float16", kind = "tensor", name = "B"}]} {
  %0 = "tl.tensor"(%arg0) {shape = array<i64: 256, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<256x64xf16, #tl.scope<"global">>
  %1 = "tl.tensor"(%arg1) {shape = array<i64: 256, 64>, strides = array<i64: 64, 1>} : (!llvm.ptr<1>) -> memref<256x64xf16, #tl.scope<"global">>
  %c1_i32 = arith.constant 1 : i32
  "tl.launch"(%c1_i32) ({
  ^bb0(%arg2: i32):
    %2 = "tl.alloc"() {tl.ws_pipeline = "tile"} : () -> memref<64x64xf16, #tl.scope<"shared">>
    %3 = "tl.alloc"() : () -> memref<64x64xf16, #tl.scope<"fragment">>
    "tl.ws_schedule"() {pipelines = [{depth = 2 : i64, name = "tile"}], roles = [{first = 0 : i64, last = 1 : i64, name = "load", registers = 40 : i64}, {first = 4 : i64, last = 8 : i64, name = "use", registers = 224 : i64}], scopes = [{bodies = {load = [{kind = "acquire", pipeline = "tile", stage = 0 : i64}, "copy_in", {kind = "commit", pipeline = "tile", stage = 0 : i64}], use = [{kind = "wait", pipeline = "tile", stage = 1 : i64}, "take", {kind = "release", pipeline = "tile", stage = 1 : i64}, "copy_out"]}, name = "loop"}, {bodies = {load = ["loop"], use = ["loop"]}, name = "tl.ws_scope_root"}], warps = 8 : i64} : () -> ()
    %c0_i32 = arith.constant 0 : i32
    %c4_i32 = arith.constant 4 : i32
    %c1_i32_0 = arith.constant 1 : i32
    scf.for %arg3 = %c0_i32 to %c4_i32 step %c1_i32_0  : i32 {
      %c3_i32 = arith.constant 3 : i32
      %4 = arith.cmpi slt, %arg3, %c3_i32 : i32
      scf.if %4 {
        %c64_i32_1 = arith.constant 64 : i32
        %7 = arith.muli %arg3, %c64_i32_1 : i32
        %8 = "tl.slice"(%0, %7, %c0_i32) {sizes = array<i64: 64, 64>, tl.ws_op = "copy_in"} : (memref<256x64xf16, #tl.scope<"global">>, i32, i32) -> memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>
        "tl.copy"(%8, %2) {tl.ws_op = "copy_in"} : (memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>, memref<64x64xf16, #tl.scope<"shared">>) -> ()
      }
      "tl.copy"(%2, %3) {tl.ws_op = "take"} : (memref<64x64xf16, #tl.scope<"shared">>, memref<64x64xf16, #tl.scope<"fragment">>) -> ()
      %c64_i32 = arith.constant 64 : i32
      %5 = arith.muli %arg3, %c64_i32 : i32
      %6 = "tl.slice"(%1, %5, %c0_i32) {sizes = array<i64: 64, 64>, tl.ws_op = "copy_out"} : (memref<256x64xf16, #tl.scope<"global">>, i32, i32) -> memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>
      "tl.copy"(%3, %6) {tl.ws_op = "copy_out"} : (memref<64x64xf16, #tl.scope<"fragment">>, memref<64x64xf16, strided<[64, 1], offset: ?>, #tl.scope<"global">>) -> ()
    } {tl.ws_op = "loop"}
  }) {name = "kernel_kernel", threads = array<i32: 128, 1, 1>} : (i32) -> ()
  return
}
