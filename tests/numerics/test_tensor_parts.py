"""Parts of tiles around tensor memory: operands of products, fragments, tiles in front of a tile, layouts given by
functions; products of a pair that no program branches around."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hopper_programs import check, f64, poisoned, random
from tensor_programs import compiled

import tilelang_mlir.language as T
from tilelang_mlir import errors, knobs


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def slices(K: int, step: int, turned: bool, tensor: bool = False, N: int = 96, first: int = 0) -> Any:
    """C = A B in steps along K, which are parts of shared tiles; B is the second of two tiles."""
    pick = lambda rows, columns: (rows, columns) if turned else (columns, rows)

    @T.prim_func
    def main(A: T.Tensor((128, K), "float16"), B: T.Tensor(pick(K, N), "float16"), C: T.Tensor((128, N), "float32")):
        with T.Kernel(1, threads=128) as _:
            a, b = T.alloc_shared((128, K), "float16"), T.alloc_shared((2, *pick(K, N)), "float16")
            own, high = T.alloc_fragment((128, K), "float16"), T.alloc_tmem((128, K), "float16")
            c, done = T.alloc_tmem((128, N), "float32"), T.alloc_barrier(1)
            T.copy(A, a)
            T.copy(B, b[1, :, :])
            if tensor:
                T.copy(a, own)
                T.copy(own, high)
            for k in T.serial(first, K, step):
                left = high[:, k : k + step] if tensor else a[:, k : k + step]
                right = b[1, k : k + step, :] if turned else b[1, :, k : k + step]
                T.tcgen05_gemm(left, right, c, transpose_B=not turned, mbar=done, clear_accum=k == first)
                T.mbarrier_wait_parity(done, (k - first) // step % 2)
            T.copy(c, C)

    return main


@pytest.mark.parametrize(
    ("K", "step", "turned", "tensor", "N"),
    [(128, 32, False, False, 96), (128, 64, True, False, 96), (64, 16, True, True, 32), (96, 32, False, True, 48)],
)
def test_operands(K: int, step: int, turned: bool, tensor: bool, N: int) -> None:
    """Steps inside of a swizzled row and across rows; B along N in rows of 64 bytes, too."""
    a, b, c = random((128, K)), random((K, N), seed=1), poisoned((128, N), "float32")
    compiled(slices(K, step, turned, tensor, N))(a, b if turned else np.ascontiguousarray(b.T), c)
    check(c, f64(a) @ f64(b), "float32")


def test_what_no_descriptor_reaches() -> None:
    with pytest.raises(errors.UnsupportedError, match="B, a part of a shared tile that starts or ends inside of a swi"):
        compiled(slices(128, 48, False, first=32))


@pytest.mark.parametrize("threads", [128, 256])
def test_parts_of_fragments(threads: int) -> None:
    """Tiles in front of a tile, and columns of a fragment, are registers of the same threads."""
    shape, half = (3, 128, 32), 16

    @T.prim_func
    def main(A: T.Tensor(shape, "float32"), C: T.Tensor(shape, "float32")):
        with T.Kernel(1, threads=threads) as _:
            x, y = T.alloc_fragment(shape, "float32"), T.alloc_fragment(shape, "float32")
            t = T.alloc_tmem(shape, "float32")
            T.annotate_layout({t: lambda v, i, j: (i, v * 32 + j)})
            T.copy(A, x)
            T.copy(x, t)
            T.fill(y, -1.0)
            if threads == 128:
                for v in T.serial(3):
                    for h in T.unroll(2):
                        T.copy(t[v, :, h * half : (h + 1) * half], y[v, :, h * half : (h + 1) * half])
            else:
                T.copy(t, y)
            T.copy(y, C)

    a, c = random(shape, "float32"), poisoned(shape, "float32")
    compiled(main)(a, c)
    assert (a == c).all()


def test_layouts_given() -> None:
    """A map like an accumulator's is one; others have no effect, but must be maps into the lanes."""

    def program(shape: tuple[int, int], layout: Any) -> Any:
        @T.prim_func
        def main(A: T.Tensor(shape, "float32")):
            with T.Kernel(1, threads=128) as _:
                t, x = T.alloc_tmem(shape, "float32"), T.alloc_fragment(shape, "float32")
                T.annotate_layout({t: layout})
                T.copy(A, x)
                T.copy(x, t)
                T.copy(t, A)

        return main

    kernel = compiled(program((64, 64), lambda i, j: (i % 16 + 32 * (i // 16), j)))
    assert "#tl.tmem<array<i64: 64, 64>, array<i64: 16, 1, 1, 4, 16, 32>" in kernel.ir("laid_out")
    with pytest.warns(errors.TileWarning, match="the layout of t has no effect: tensor memory has none like it"):
        program((128, 128), lambda i, j: (j, i))
    for wrong, told in (
        (lambda i, j: (i // 2, j), "two elements into one place"), (lambda i, j: (2 * i, j), "leaves the 128 lanes"),
    ):  # fmt: skip
        with pytest.raises(errors.TileValueError, match=told):
            program((128, 64), wrong)
    with pytest.raises(errors.TileTypeError, match="gives 3 numbers, expected a lane and a column"):
        program((128, 64), lambda i, j: (i, j, 0))
    with pytest.raises(errors.TileValueError, match="256 rows do not fit the 128 lanes"):
        program((256, 64), lambda i, j: (i, j))


def test_the_first_of_a_pair_issues() -> None:
    """Neither the product nor its completion is under a branch on the rank."""

    @T.prim_func
    def main(A: T.Tensor((256, 64), "float16"), B: T.Tensor((64, 64), "float16"), C: T.Tensor((256, 64), "float32")):
        with T.ClusterKernel(2, threads=128, cluster_dims=2) as by:
            a, b, c = T.alloc_shared((128, 64), "float16"), T.alloc_shared((32, 64), "float16"), T.alloc_tmem(
                (128, 64), "float32")  # fmt: skip
            done, rank = T.alloc_cluster_barrier(1), T.block_rank_in_cluster()
            T.copy(A[by * 128, 0], a)
            T.copy(B[rank * 32, 0], b)
            T.fence_proxy_async()
            T.cluster_sync()
            for k in T.serial(2):
                left, right = a[:, k * 32 : k * 32 + 32], b[:, k * 32 : k * 32 + 32]
                T.tcgen05_gemm(left, right, c, transpose_B=True, mbar=None, clear_accum=k == 0, use_2cta=True)
            T.tcgen05_mma_arrive(done, arrive_2cta=True)
            T.mbarrier_wait_parity(done, 0)
            T.copy(c, C[by * 128, 0])

    a, b, c = random((256, 64)), random((64, 64), seed=1), poisoned((256, 64), "float32")
    compiled(main)(a, b, c)
    check(c, f64(a) @ f64(b).T, "float32")


@pytest.mark.parametrize("upper", [True, False])
def test_views(upper: bool) -> None:
    """P takes the place of half of S, of which it is made, and is the left operand of the next product."""
    part = slice(64, 128) if upper else slice(0, 64)

    @T.prim_func
    def main(A: T.Tensor((128, 32), "float16"), B: T.Tensor((64, 32), "float16"), V: T.Tensor((64, 48), "float16"),
             S: T.Tensor((128, 64), "float32"), O: T.Tensor((128, 48), "float32")):  # fmt: skip
        with T.Kernel(1, threads=128) as _:
            a, b = T.alloc_shared((128, 32), "float16"), T.alloc_shared((64, 32), "float16")
            v, held = T.alloc_shared((64, 48), "float16"), T.alloc_fragment((128, 64), "float32")
            s, o = T.alloc_tmem((128, 64), "float32"), T.alloc_tmem((128, 48), "float32")
            p, half = T.view(s, (128, 128), "float16"), T.alloc_fragment((128, 64), "float16")
            T.copy(A, a)
            T.copy(B, b)
            T.copy(V, v)
            T.gemm(a, b, s, transpose_B=True, clear_accum=True)
            T.copy(s, held)
            T.copy(held, S)
            for i, j in T.Parallel(128, 64):
                half[i, j] = held[i, j]
            T.copy(half, p[:, part])
            T.gemm(p[:, part], v, o, clear_accum=True)
            T.copy(o, O)

    a, b, v = random((128, 32)), random((64, 32), seed=1), random((64, 48), seed=2)
    s, o = poisoned((128, 64), "float32"), poisoned((128, 48), "float32")
    compiled(main)(a, b, v, s, o)
    check(s, f64(a) @ f64(b).T, "float32")
    check(o, f64(s.astype(np.float16)) @ f64(v), "float32")


@pytest.mark.parametrize(
    ("shape", "told"),
    [((128, 64), "a product whose sums are a view of tensor memory"), ((64, 128), r"a view \[64, 128\] of f32 of ten")],
)
def test_views_that_are_none(shape: tuple[int, int], told: str) -> None:
    @T.prim_func
    def main(A: T.Tensor((128, 32), "float16"), B: T.Tensor((64, 32), "float16"), C: T.Tensor(shape, "float32")):
        with T.Kernel(1, threads=128) as _:
            a, b = T.alloc_shared((128, 32), "float16"), T.alloc_shared((64, 32), "float16")
            s = T.view(T.alloc_tmem((128, 128), "float16"), shape, "float32")
            T.copy(A, a)
            T.copy(B, b)
            if shape[0] == 128:
                T.gemm(a, b, s, transpose_B=True, clear_accum=True)
            T.copy(s, C)

    with pytest.raises(errors.TileError, match=told):
        compiled(main)
