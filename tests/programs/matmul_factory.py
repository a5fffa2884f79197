"""A program written for TileLang: a factory with out_idx, pass configurations, a profiler, unused imports."""

import tilelang
import tilelang.language as T
import torch
from tilelang import tvm as tvm
from tilelang.carver.arch import driver
from tilelang.layout import make_swizzled_layout
from tilelang.transform import PassConfigKey, simplify_prim_func
from tvm import DataType


@tilelang.jit(out_idx=[-1], pass_configs={PassConfigKey.TL_DISABLE_WARP_SPECIALIZED: True})
@simplify_prim_func
def matmul(M, N, K, block_M=32, block_N=32, block_K=16, dtype=T.float16, accum_dtype=T.float32):
    @T.prim_func
    def main(A: T.Tensor((M, K), dtype), B: T.Tensor((K, N), dtype), C: T.Tensor((M, N), dtype)):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=128) as (bx, by):
            A_shared = T.alloc_shared((block_M, block_K), dtype)
            B_shared = T.alloc_shared((block_K, block_N), dtype)
            C_local = T.alloc_fragment((block_M, block_N), accum_dtype)
            T.annotate_layout({A_shared: make_swizzled_layout(A_shared)})
            T.use_swizzle(panel_size=10)
            T.clear(C_local)
            for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=2):
                T.copy(A[by * block_M, k * block_K], A_shared)
                T.copy(B[k * block_K, bx * block_N], B_shared)
                T.gemm(A_shared, B_shared, C_local)
            T.copy(C_local, C[by * block_M, bx * block_N])

    return main


def test_matmul():
    kernel = matmul(48, 40, 32)
    profiler = kernel.get_profiler(tensor_supply_type=tilelang.TensorSupplyType.Normal)
    profiler.assert_allclose(lambda a, b: (a.float() @ b.float()).half(), rtol=1e-2, atol=1e-2)
    assert driver.get_num_sms() > 0 and DataType("float16").bits == 16
    assert tvm.tir.const(3, "int32").const == 3
    a = torch.randn(48, 32, dtype=torch.float16).cuda()
    b = torch.randn(32, 40, dtype=torch.float16, device=torch.device("cuda"))
    torch.testing.assert_close(kernel(a, b).cpu(), (a.float() @ b.float()).half().cpu(), rtol=2e-2, atol=2e-2)


if __name__ == "__main__":
    test_matmul()
    print("passed")
