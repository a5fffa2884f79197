"""Products of shared tiles under another shape: the view says how the bytes of its tile lie."""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T

TARGETS = ("sm_80", "sm_90a", "sm_100a", "sm_120a", "gfx90a", "gfx942", "gfx950", "gfx1100", "gfx1201")


def _operands(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    generator = np.random.default_rng(sum(map(sum, shapes)))
    return [generator.standard_normal(shape).astype(np.float16) for shape in shapes]


def _check(got: np.ndarray, want: np.ndarray) -> None:
    assert np.linalg.norm(got - want) <= 1e-5 * np.linalg.norm(want)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("images", "rows", "k", "n"), [(4, 32, 128, 64), (16, 4, 96, 48)]
)
def test_leading_dimensions_become_rows(target: str, images: int, rows: int, k: int, n: int) -> None:
    @T.prim_func
    def kernel(
        A: T.Tensor((images, rows, k), "float16"), B: T.Tensor((k, n), "float16"),
        C: T.Tensor((images * rows, n), "float32"),
    ):  # fmt: skip
        with T.Kernel(1, threads=128):
            a, b = T.alloc_shared((images, rows, k), "float16"), T.alloc_shared((k, n), "float16")
            c = T.alloc_fragment((images * rows, n), "float32")
            T.copy(A, a)
            T.copy(B, b)
            T.gemm(T.reshape(a, (images * rows, k)), b, c, clear_accum=True)
            T.copy(c, C)

    a, b = _operands((images, rows, k), (k, n))
    c = np.full((images * rows, n), np.nan, np.float32)
    tilelang.compile(kernel, target=f"sim:{target}")(a, b, c)
    _check(c, a.reshape(-1, k).astype(np.float64) @ b.astype(np.float64))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("transposed", [False, True])
def test_a_flat_tile_under_two_pipelined_views(target: str, transposed: bool) -> None:
    m, n, k, block = 64, 64, 200, 64
    b_shape = (n, block) if transposed else (block, n)

    @T.prim_func
    def kernel(
        A: T.Tensor((m, k), "float16"), B: T.Tensor((n, k) if transposed else (k, n), "float16"),
        C: T.Tensor((m, n), "float32"),
    ):  # fmt: skip
        with T.Kernel(1, threads=128):
            flat_a, flat_b = T.alloc_shared((m * block,), "float16"), T.alloc_shared((n * block,), "float16")
            a, b = T.reshape(flat_a, (m, block)), T.view(flat_b, b_shape)
            c = T.alloc_fragment((m, n), "float32")
            T.clear(c)
            for step in T.Pipelined(T.ceildiv(k, block), num_stages=2):
                T.copy(A[0, step * block], a)
                if transposed:
                    T.copy(B[0, step * block], b)
                else:
                    T.copy(B[step * block, 0], b)
                T.gemm(a, b, c, transpose_B=transposed)
            T.copy(c, C)

    a, b = _operands((m, k), (n, k) if transposed else (k, n))
    c = np.full((m, n), np.nan, np.float32)
    tilelang.compile(kernel, target=f"sim:{target}")(a, b, c)
    _check(c, a.astype(np.float64) @ (b.T if transposed else b).astype(np.float64))


@pytest.mark.parametrize("target", ["sm_90a", "sm_100a", "gfx942"])
@pytest.mark.parametrize("width", [32, 64])
def test_products_of_a_tile_and_of_its_view(target: str, width: int) -> None:
    """No layout suits both warpgroup products, whose descriptors would name panels of one shape."""

    @T.prim_func
    def kernel(
        A: T.Tensor((128, width), "float16"), B: T.Tensor((width, 64), "float16"), C: T.Tensor((128, 64), "float32"),
        D: T.Tensor((64, 64), "float32"), E: T.Tensor((2 * width, 64), "float16"),
    ):  # fmt: skip
        with T.Kernel(1, threads=128):
            a, b = T.alloc_shared((128, width), "float16"), T.alloc_shared((width, 64), "float16")
            e = T.alloc_shared((2 * width, 64), "float16")
            c, d = T.alloc_fragment((128, 64), "float32"), T.alloc_fragment((64, 64), "float32")
            T.copy(A, a)
            T.copy(B, b)
            T.copy(E, e)
            T.gemm(a, b, c, clear_accum=True)
            T.gemm(T.reshape(a, (64, 2 * width)), e, d, clear_accum=True)
            T.copy(c, C)
            T.copy(d, D)

    a, b, e = _operands((128, width), (width, 64), (2 * width, 64))
    c, d = np.full((128, 64), np.nan, np.float32), np.full((64, 64), np.nan, np.float32)
    tilelang.compile(kernel, target=f"sim:{target}")(a, b, c, d, e)
    _check(c, a.astype(np.float64) @ b.astype(np.float64))
    _check(d, a.reshape(64, -1).astype(np.float64) @ e.astype(np.float64))


@pytest.mark.parametrize("swizzled", [False, True])
def test_bulk_copies_to_a_view_fill_its_panels(swizzled: bool) -> None:
    """A box of the view's shape; the tile that it is a view of is read as the three dimensions it has."""

    @T.prim_func
    def kernel(A: T.Tensor((200, 128), "float16"), B: T.Tensor((128, 64), "float16"), C: T.Tensor((64, 64), "float32"),
               D: T.Tensor((4, 16, 128), "float16")):  # fmt: skip
        with T.Kernel(1, threads=128):
            a, b = T.alloc_shared((4, 16, 128), "float16"), T.alloc_shared((128, 64), "float16")
            c = T.alloc_fragment((64, 64), "float32")
            rows = T.reshape(a, (64, 128))
            bar = T.alloc_barrier(128)
            T.tma_copy(A[130, 0], rows, barrier=bar)
            T.barrier_arrive(bar)
            T.copy(B, b)
            T.barrier_wait(bar, 0)
            if swizzled:
                T.gemm(rows, b, c, clear_accum=True)
            else:
                for i, j in T.Parallel(64, 64):
                    c[i, j] = rows[i, j]
            T.copy(c, C)
            T.copy(a, D)

    a, b = _operands((200, 128), (128, 64))
    tile = a[130:194]
    c, d = np.full((64, 64), np.nan, np.float32), np.full((4, 16, 128), np.nan, np.float16)
    built = tilelang.compile(kernel, target="sim:sm_90a")
    assert "cp.async.bulk.tensor" in built.get_kernel_source() and ("wgmma" in built.get_kernel_source()) == swizzled
    built(a, b, c, d)
    _check(c, tile.astype(np.float64) @ b.astype(np.float64) if swizzled else tile[:, :64])
    assert np.array_equal(d, tile.reshape(4, 16, 128))
