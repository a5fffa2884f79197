"""Products of pairs of CTAs: values, what the simulator reports of wrong programs, and the machine code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hopper_programs import check, f64, poisoned, random
from tensor_programs import compiled, example, instructions

import tilelang_mlir.language as T
from tilelang_mlir import errors, knobs
from tilelang_mlir.layout import make_full_bank_swizzled_layout


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def pairs(*args: int, **options: Any) -> Any:
    return example("gemm_pairs").gemm_pairs(*args, **options)


@pytest.mark.parametrize("seed", [0, 1])
def test_roles(seed: int) -> None:
    """Several pairs, fewer stages than steps, and an odd number of columns."""
    M, N, K = 512, 75, 136
    a, b, c = random((M, K)), random((N, K), seed=1), poisoned((M, N), "float16")
    with knobs.overrides({"TILELANG_SIM_SEED": seed}):
        compiled(pairs(M, N, K, block_N=64, block_K=32, num_stages=2))(a, b, c)
    check(c, f64(a) @ f64(b).T, "float16")


def together(
    *, dtype: str = "float16", transpose_b: bool = True, wait: bool = True, leader: int = 0, told: bool = True,
    cluster: int = 2, alone: bool = False, rows: int = 128, columns: int = 128, spare: int = 0,
) -> Any:  # fmt: skip
    """One product, with every thread in step; the options break it."""
    M, N, K = rows, columns, 64
    shape_b, tile_b = ((N, K), (N // 2, K)) if transpose_b else ((K, N), (K, N // 2))

    @T.prim_func
    def main(A: T.Tensor((2 * M, K), dtype), B: T.Tensor(shape_b, dtype), C: T.Tensor((2 * M, N), "float32")):
        with T.ClusterKernel(2, threads=128, cluster_dims=cluster) as by:
            a, b = T.alloc_shared((M, K), dtype), T.alloc_shared(tile_b, dtype)
            c, local = T.alloc_tmem((M, N + spare), "float32"), T.alloc_fragment((M, N), "float32")
            loaded, done = T.alloc_cluster_barrier(256), T.alloc_cluster_barrier(1)
            rank = T.block_rank_in_cluster()
            T.tma_copy(A[by * M, 0], a, barrier=loaded)
            if transpose_b:
                T.tma_copy(B[rank * (N // 2), 0], b, barrier=loaded)
            else:
                T.tma_copy(B[0, rank * (N // 2)], b, barrier=loaded)
            T.mbarrier_arrive(loaded, leader)
            if rank == 0:
                T.mbarrier_wait_parity(loaded, 0)
                T.tcgen05_gemm(a, b, c[:, 0:N], transpose_B=transpose_b, clear_accum=True, use_2cta=True)
                T.tcgen05_mma_arrive(done, arrive_2cta=told)
            if alone:
                T.tcgen05_gemm(a, b, c[:, 0:64], transpose_B=transpose_b, clear_accum=True)
            if wait:
                T.mbarrier_wait_parity(done, 0)
            T.copy(c[:, 0:N], local)
            T.copy(local, C[by * M, 0])

    return main


@pytest.mark.parametrize(
    ("dtype", "transpose_b", "rows", "columns"),
    [("bfloat16", False, 128, 128), ("float8_e4m3", True, 128, 128), ("float16", True, 64, 96),
     ("bfloat16", False, 64, 256)],
    ids=["along N", "8 bits", "64 rows each", "64 rows, along N"],
)  # fmt: skip
def test_operands(dtype: str, transpose_b: bool, rows: int, columns: int) -> None:
    a, b = random((2 * rows, 64), dtype), random((columns, 64) if transpose_b else (64, columns), dtype, 1)
    c = poisoned((2 * rows, columns), "float32")
    compiled(together(dtype=dtype, transpose_b=transpose_b, rows=rows, columns=columns))(a, b, c)
    check(c, f64(a) @ (f64(b).T if transpose_b else f64(b)), "float32")


def walking(M: int, N: int, K: int, blocks: int) -> Any:
    """Pairs that walk over tiles in a chain of roles, of which the second is that of a warp of the first block."""
    rows, columns, depth, stages = 128, 128, 64, 2
    steps = -(-K // depth)

    @T.prim_func
    def main(A: T.Tensor((M, K), "float16"), B: T.Tensor((K, N), "float16"), C: T.Tensor((M, N), "float16")):
        with T.ClusterKernel(blocks, threads=256, cluster_dims=2) as block:
            a, b = T.alloc_shared((stages, rows, depth), "float16"), T.alloc_shared((stages, depth, 64), "float16")
            c, part = T.alloc_tmem((2, rows, columns), "float32"), T.alloc_fragment((rows, 64), "float32")
            staged = T.alloc_shared((rows, 64), "float16")
            full, empty = T.alloc_cluster_barrier([64] * stages), T.alloc_cluster_barrier([1] * stages)
            done, free = T.alloc_cluster_barrier([1] * 2), T.alloc_cluster_barrier([256] * 2)
            tx, rank = T.get_thread_binding(), T.block_rank_in_cluster()
            if tx < 32:
                sched = T.PersistentTileScheduler(T.ceildiv(M, rows), T.ceildiv(N, columns), cluster_size=2)
                sched.init(block // 2)
                while sched.valid():
                    bx, by = sched.m_idx * 2 + rank, sched.n_idx
                    for k in T.serial(steps):
                        step = sched.current_iter * steps + k
                        T.mbarrier_wait_parity(empty[step % stages], step // stages % 2 ^ 1)
                        T.tma_copy(
                            A[bx * rows : (bx + 1) * rows, k * depth : (k + 1) * depth], a[step % stages, :, :],
                            barrier=full[step % stages],
                        )  # fmt: skip
                        T.tma_copy(
                            B[k * depth : (k + 1) * depth,
                              (by * 2 + rank) * columns // 2 : (by * 2 + rank + 1) * columns // 2],
                            b[step % stages, :, :], barrier=full[step % stages],
                        )  # fmt: skip
                        T.mbarrier_arrive(full[step % stages], 0)
                    sched.next_tile()
            elif tx < 64 and rank == 0:
                sched = T.PersistentTileScheduler(T.ceildiv(M, rows), T.ceildiv(N, columns), cluster_size=2)
                sched.init(block // 2)
                while sched.valid():
                    T.mbarrier_wait_parity(free[sched.current_iter & 1], sched.current_iter // 2 % 2 ^ 1)
                    for k in T.serial(steps):
                        step = sched.current_iter * steps + k
                        T.mbarrier_wait_parity(full[step % stages], step // stages % 2)
                        T.tcgen05_gemm(
                            a[step % stages, :, :], b[step % stages, :, :], c[sched.current_iter & 1, :, :],
                            mbar=empty[step % stages], clear_accum=k == 0, use_2cta=True,
                        )  # fmt: skip
                    T.tcgen05_mma_arrive(done[sched.current_iter & 1], arrive_2cta=True)
                    sched.next_tile()
            elif 128 <= tx < 256:
                sched = T.PersistentTileScheduler(T.ceildiv(M, rows), T.ceildiv(N, columns), cluster_size=2)
                sched.init(block // 2)
                while sched.valid():
                    bx, by = sched.m_idx * 2 + rank, sched.n_idx
                    T.mbarrier_wait_parity(done[sched.current_iter & 1], sched.current_iter // 2 % 2)
                    for i in T.unroll(columns // 64):
                        T.copy(c[sched.current_iter & 1, :, i * 64 : (i + 1) * 64], part)
                        T.copy(part, staged)
                        T.copy(staged, C[bx * rows, by * columns + i * 64])
                    T.mbarrier_arrive(free[sched.current_iter & 1], 0)
                    sched.next_tile()

    return main


@pytest.mark.parametrize(("size", "blocks"), [((500, 272, 136), 4), ((256, 136, 64), 6), ((768, 104, 200), 2)])
def test_a_role_of_the_first_block(size: tuple[int, int, int], blocks: int) -> None:
    M, N, K = size
    a, b, c = random((M, K)), random((K, N), seed=1), poisoned((M, N), "float16")
    compiled(walking(M, N, K, blocks))(a, b, c)
    check(c, f64(a) @ f64(b), "float16")
    assert instructions(walking(M, N, K, blocks))["UTCHMMA"]


def boxes(cluster: int = 2) -> Any:
    """The same product; a thread of each CTA loads its boxes, which complete in the first CTA."""
    M, N, K = 128, 128, 64

    @T.prim_func
    def main(A: T.Tensor((2 * M, K), "float16"), B: T.Tensor((N, K), "float16"), C: T.Tensor((2 * M, N), "float32")):
        with T.ClusterKernel(2, threads=128, cluster_dims=cluster) as by:
            a, b = T.alloc_shared((M, K), "float16"), T.alloc_shared((N // 2, K), "float16")
            c, local = T.alloc_tmem((M, N), "float32"), T.alloc_fragment((M, N), "float32")
            loaded, done = T.alloc_cluster_barrier(1), T.alloc_cluster_barrier(1)
            rank = T.block_rank_in_cluster()
            T.annotate_layout({
                a: make_full_bank_swizzled_layout(a), b: make_full_bank_swizzled_layout(b),
                c: T.make_blockscaled_gemm_layout(c, a),
            })  # fmt: skip
            left = T.create_tma_descriptor(6, 2, A, K, 2 * M, 2, 2 * K, K, M, 1, 1, 0, 3, 2, 0)
            right = T.create_tma_descriptor(6, 2, B, K, N, 2, 2 * K, K, N // 2, 1, 1, 0, 3, 2, 0)
            if T.get_thread_binding() == 0:
                if rank == 0:
                    T.mbarrier_arrive_expect_tx(loaded, 2 * (M + N // 2) * K * 2)
                T.tma_load_2sm(left, loaded, T.access_ptr(a, "w"), 0, by * M)
                T.tma_load_2sm(right, loaded, T.access_ptr(b, "w"), 0, rank * (N // 2))
            if rank == 0:
                T.mbarrier_wait_parity(loaded, 0)
                T.tcgen05_gemm(a, b, c, transpose_B=True, clear_accum=True, use_2cta=True)
                T.tcgen05_mma_arrive(done, arrive_2cta=True)
            T.mbarrier_wait_parity(done, 0)
            T.copy(c, local)
            T.copy(local, C[by * M, 0])

    return main


def test_boxes() -> None:
    a, b, c = random((256, 64)), random((128, 64), seed=1), poisoned((256, 128), "float32")
    compiled(boxes())(a, b, c)
    check(c, f64(a) @ f64(b).T, "float32")
    text = compiled(boxes(), "cuda:sm_100a").get_kernel_source()
    assert text.count("cp.async.bulk.tensor.2d.cta_group::2.shared::cluster.global") == 2
    with pytest.raises(errors.UnsupportedError, match="T.tma_load_2sm in a kernel whose clusters have no pairs"):
        compiled(boxes(1))


def test_scaled() -> None:
    """mxfp8: the factors of each CTA's rows in its own tensor memory, those of all columns in both."""
    M, N, K = 128, 128, 128
    dtype = "float8_e4m3"

    @T.prim_func
    def main(
        A: T.Tensor((2 * M, K), dtype), B: T.Tensor((N, K), dtype), SFA: T.Tensor((2, M), "uint32"),
        SFB: T.Tensor((1, N), "uint32"), C: T.Tensor((2 * M, N), "float32"),
    ):  # fmt: skip
        with T.ClusterKernel(2, threads=128, cluster_dims=2) as by:
            a, b = T.alloc_shared((M, K), dtype), T.alloc_shared((N // 2, K), dtype)
            sa, sb = T.alloc_shared((1, M), "uint32"), T.alloc_shared((1, N), "uint32")
            ta, tb = T.alloc_tmem((128, 4), "uint32"), T.alloc_tmem((128, 4), "uint32")
            c, local = T.alloc_tmem((M, N), "float32"), T.alloc_fragment((M, N), "float32")
            done, rank = T.alloc_cluster_barrier(1), T.block_rank_in_cluster()
            T.copy(A[by * M, 0], a)
            T.copy(B[rank * (N // 2), 0], b)
            T.copy(SFA[by, 0], sa)
            T.copy(SFB, sb)
            if T.get_thread_binding() < 32:
                T.tcgen05_sf_warp_transpose(sa[0, 0:128])
                T.tcgen05_sf_warp_transpose(sb[0, 0:128])
            T.fence_proxy_async()
            T.cluster_sync()
            if rank == 0:
                T.tcgen05_cp_warpx4(sa[0, 0:128], ta, use_2cta=True)
                T.tcgen05_cp_warpx4(sb[0, 0:128], tb, use_2cta=True)
                T.tcgen05_gemm_blockscaled(
                    a, b, c, ta, tb, transpose_B=True, mbar=done, clear_accum=True, use_2cta=True
                )
            T.mbarrier_wait_parity(done, 0)
            T.copy(c, local)
            T.copy(local, C[by * M, 0])

    rng = np.random.default_rng(0)
    exponents = [rng.integers(120, 134, (rows, 4)).astype(np.uint8) for rows in (2 * M, N)]
    a, b, c = random((2 * M, K), dtype), random((N, K), dtype, 1), poisoned((2 * M, N), "float32")
    words = [np.ascontiguousarray(e).view(np.uint32).reshape(-1, 128) for e in exponents]
    compiled(main)(a, b, *words, c)
    scale = [np.repeat(np.exp2(e.astype(np.float64) - 127), 32, axis=1) for e in exponents]
    check(c, (f64(a) * scale[0]) @ (f64(b) * scale[1]).T, "float32")


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"wait": False}, errors.RaceError, "tensor memory column 0, .* comes while an asynchronous operation"),
        ({"leader": 1}, errors.SimulationError, "arrivals|go different ways where they wait"),
        ({"told": False}, errors.UnsupportedError, "tcgen05_commit of one block in a kernel with products of pairs"),
        ({"cluster": 1}, errors.UnsupportedError, "a kernel whose clusters have no pairs"),
        ({"rows": 64, "spare": 32}, errors.LayoutError, "64 rows of each block of a pair in a part of an accumulator"),
        ({"alone": True}, errors.UnsupportedError, "tcgen05_mma of one block in a kernel with products of pairs"),
    ],
    ids=["not awaited", "wrong barrier", "commit of one", "no cluster", "half of the columns", "a product of one"],
)
def test_wrong_programs(options: dict[str, Any], kind: type[errors.TileError], text: str) -> None:
    with pytest.raises(kind, match=text):
        rows = 2 * options.get("rows", 128)
        compiled(together(**options))(random((rows, 64)), random((128, 64)), poisoned((rows, 128), "float32"))


@pytest.mark.parametrize("arch", ["sm_100a", "sm_103a"])
def test_machine_code(arch: str) -> None:
    program = pairs(4096, 4096, 4096)
    kernel = compiled(program, f"cuda:{arch}")
    source = kernel.get_kernel_source()
    for text in ("tcgen05.alloc", "tcgen05.dealloc", "tcgen05.mma", "tcgen05.commit", "cp.async.bulk.tensor.2d"):
        assert f"{text}.cta_group::2" in source and f"{text}.cta_group::1" not in source
    assert "multicast::cluster" in source and kernel.artifact.binary[:4] == b"\x7fELF" and kernel.n_spills == 0
    if arch == "sm_100a":  # the disassembler at hand does not know sm_103a
        found = instructions(program)
        assert found["UTCHMMA"] == 4 and found["UTMALDG"] and found["LDTM"] and not found["HMMA"] + found["STL"]
        found = instructions(pairs(4096, 4096, 4096, block_M=64))
        assert found["UTCHMMA"] == 4 and found["LDTM"] and not found["STL"]
