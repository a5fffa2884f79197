"""The kernel language: `import tilelang_mlir.language as T`. Names shadow builtins on purpose (`T.print`, `T.max`)."""

from tilelang_mlir.frontend.arith import ceildiv as ceildiv
from tilelang_mlir.language.alloc import (
    alloc_barrier as alloc_barrier,
    alloc_cluster_barrier as alloc_cluster_barrier,
    alloc_fragment as alloc_fragment,
    alloc_global as alloc_global,
    alloc_local as alloc_local,
    alloc_shared as alloc_shared,
    alloc_var as alloc_var,
    empty as empty,
)
from tilelang_mlir.language.copy import clear as clear, copy as copy, fill as fill
from tilelang_mlir.language.function import (
    StridedTensor as StridedTensor,
    Tensor as Tensor,
    const as const,
    dynamic as dynamic,
    macro as macro,
    prim_func as prim_func,
    ptr as ptr,
)
from tilelang_mlir.language.gemm import GemmWarpPolicy as GemmWarpPolicy, gemm as gemm
from tilelang_mlir.language.kernel import Kernel as Kernel
from tilelang_mlir.language.loops import Parallel as Parallel, Pipelined as Pipelined, serial as serial
