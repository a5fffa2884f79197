"""Compile relu(A @ B + bias), run it on the GPU (in the simulator where there is none), check it, look inside."""

from __future__ import annotations

import numpy as np

import tilelang_mlir as tilelang
import tilelang_mlir.language as T


@tilelang.jit(out_idx=[-1])
def gemm_bias_relu(M, N, K, block_M=128, block_N=128, block_K=32, dtype="float16"):
    @T.prim_func
    def gemm(
        A: T.Tensor((M, K), dtype), B: T.Tensor((K, N), dtype), bias: T.Tensor((N,), dtype), C: T.Tensor((M, N), dtype)
    ):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=128) as (bx, by):
            A_shared = T.alloc_shared((block_M, block_K), dtype)
            B_shared = T.alloc_shared((block_K, block_N), dtype)
            acc = T.alloc_fragment((block_M, block_N), "float32")
            T.clear(acc)
            for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=3):
                T.copy(A[by * block_M, k * block_K], A_shared)
                T.copy(B[k * block_K, bx * block_N], B_shared)
                T.gemm(A_shared, B_shared, acc)
            for i, j in T.Parallel(block_M, block_N):
                acc[i, j] = T.max(acc[i, j] + bias[bx * block_N + j], 0)
            T.copy(acc, C[by * block_M, bx * block_N])

    return gemm


def main() -> None:
    rng = np.random.default_rng(0)
    M, N, K = 500, 384, 200
    kernel = gemm_bias_relu(M, N, K)
    a, b, bias = (rng.standard_normal(shape).astype(np.float16) for shape in ((M, K), (K, N), (N,)))
    if kernel.target.simulated:
        c = kernel(a, b, bias)
    else:
        import torch

        c = kernel(*(torch.from_numpy(x).cuda() for x in (a, b, bias))).cpu().numpy()
    want = np.maximum(a.astype(np.float64) @ b.astype(np.float64) + bias, 0)
    assert (error := np.linalg.norm(c - want) / np.linalg.norm(want)) < 2e-3
    print(f"relu(A @ B + bias), {M} x {N} x {K}, on {kernel.target}: relative error {error:.1e}\n")
    print("\n".join(kernel.get_kernel_source().strip().splitlines()[:12]), "\n...")
    for name, used in kernel.resources.items():
        print(f"{name}: {used.registers} registers, {used.spills} bytes spilled, {kernel.shared_bytes} bytes shared")
    print("compiled in ms:", ", ".join(f"{stage} {ms:.0f}" for stage, ms in kernel.timings.items()))

    # The simulator, in checked mode, raises an error for a race, an uninitialised read or an access out of bounds.
    checked = tilelang.compile(gemm_bias_relu.get_tir(M, N, K), out_idx=[-1], target="sim")
    checked(a, b, bias)
    for report in checked.adapter.reports:
        print(f"{report.kernel}: {report.ctas} blocks simulated, no races, {report.bank_conflicts} bank conflicts")


if __name__ == "__main__":
    main()
