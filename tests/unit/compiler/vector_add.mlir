// A level-4 module: C[i] = A[i] + B[i] for i < n, four elements per thread.
module {
  gpu.module @kernels {
    llvm.func @vector_add_kernel(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %c: !llvm.ptr<1>, %n: i32) attributes {
        gpu.kernel, nvvm.kernel, nvvm.reqntid = array<i32: 128, 1, 1>, tl.shared_bytes = 0 : i64} {
      %bx = nvvm.read.ptx.sreg.ctaid.x : i32
      %tx = nvvm.read.ptx.sreg.tid.x : i32
      %per_block = arith.constant 512 : i32
      %per_thread = arith.constant 4 : i32
      %0 = arith.muli %bx, %per_block : i32
      %1 = arith.muli %tx, %per_thread : i32
      %i = arith.addi %0, %1 : i32
      %ok = arith.cmpi slt, %i, %n : i32
      scf.if %ok {
        %pa = llvm.getelementptr %a[%i] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
        %pb = llvm.getelementptr %b[%i] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
        %pc = llvm.getelementptr %c[%i] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
        %x = llvm.load %pa {alignment = 16 : i64} : !llvm.ptr<1> -> vector<4xf32>
        %y = llvm.load %pb {alignment = 16 : i64} : !llvm.ptr<1> -> vector<4xf32>
        %z = arith.addf %x, %y : vector<4xf32>
        llvm.store %z, %pc {alignment = 16 : i64} : vector<4xf32>, !llvm.ptr<1>
      }
      llvm.return
    }
  }
}
