"""What the Hopper forms must get right at their borders: edges, user layouts, sources without tensor maps, fences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hopper_programs import HOPPER, TARGET, accumulate, check, compiled, f64, form, poisoned, random

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.dialect.layout import SharedLayout, row_major, swizzled


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def single(
    edit: Callable[..., None], rows: int = 0, threads: Any = 128, blocks: int = 1
) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray]:
    """A product, with `edit(A_shared, B_shared)` in front of it, in blocks of 64 rows of A and C from row `rows` on."""

    @T.prim_func
    def main(A: T.Tensor((64, 128), "float16"), B: T.Tensor((128, 64), "float16"), C: T.Tensor((64, 64), "float32")):
        with T.Kernel(blocks, threads=threads) as bx:
            A_shared, B_shared = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 64), "float16")
            acc = T.alloc_fragment((64, 64), "float32")
            edit(A_shared, B_shared)
            accumulate(A, B, A_shared, B_shared, acc, bx * 64 + rows, 0, 2)
            T.copy(acc, C[bx * 64 + rows, 0])

    kernel = compiled(main)
    a, b, c = random((64, 128)), random((128, 64)), np.zeros((64, 64), np.float32)
    kernel(a, b, c)
    return kernel, c, f64(a), f64(b)


@pytest.mark.parametrize("rows", [-3, 5])
def test_tiles_that_hang_over_an_edge(rows: int) -> None:
    kernel, c, a, b = single(lambda *_: None, rows, blocks=2)  # of one block, -3 would count from the end
    want = np.zeros((64, 64))
    want[max(rows, 0) :] = a[max(rows, 0) :] @ b
    check(c, want, "float32")
    assert form(kernel) == HOPPER


def test_threads_in_two_dimensions() -> None:
    kernel, c, a, b = single(lambda *_: None, threads=(64, 2))
    check(c, a @ b, "float32")
    assert form(kernel) == HOPPER


@pytest.mark.parametrize(
    ("layout", "wgmma"),
    [
        (swizzled((64, 64), 16, 128), True),
        (swizzled((64, 64), 16, 64), True),
        (row_major((64, 64)), False),
        (row_major((64, 64), pad=8), False),
    ],
    ids=["128-byte swizzle", "64-byte swizzle", "row-major", "padded"],
)
@pytest.mark.parametrize("operand", [0, 1])
def test_layouts_of_the_user(operand: int, layout: SharedLayout, wgmma: bool) -> None:
    kernel, c, a, b = single(lambda *tiles: T.annotate_layout({tiles[operand]: layout}))
    check(c, a @ b, "float32")
    assert ("wgmma" in form(kernel)) == wgmma


@pytest.mark.parametrize("explicit", [False, True])
@pytest.mark.parametrize(("trans_a", "trans_b"), [(False, False), (False, True), (True, False), (True, True)])
def test_parts_of_tiles(trans_a: bool, trans_b: bool, explicit: bool) -> None:
    """Halves of the tiles along K: descriptors that start inside a tile, at a swizzle pattern."""
    shape_a, shape_b = (128, 64) if trans_a else (64, 128), (64, 128) if trans_b else (128, 64)

    @T.prim_func
    def main(A: T.Tensor(shape_a, "float16"), B: T.Tensor(shape_b, "float16"), C: T.Tensor((64, 64), "float32")):
        with T.Kernel(1, threads=128):
            A_shared, B_shared = T.alloc_shared(shape_a, "float16"), T.alloc_shared(shape_b, "float16")
            acc = T.alloc_fragment((64, 64), "float32")
            T.copy(A, A_shared)
            T.copy(B, B_shared)
            T.clear(acc)
            left = A_shared[64:, :] if trans_a else A_shared[:, 64:]
            right = B_shared[:, 64:] if trans_b else B_shared[64:, :]
            if explicit:
                T.wgmma_gemm(left, right, acc, transpose_A=trans_a, transpose_B=trans_b)
                T.wait_wgmma(0)
            else:
                T.gemm(left, right, acc, transpose_A=trans_a, transpose_B=trans_b)
            T.copy(acc, C)

    kernel = compiled(main)
    a, b, c = random(shape_a), random(shape_b), poisoned((64, 64), "float32")
    kernel(a, b, c)
    x, y = f64(a), f64(b)
    check(c, (x[64:].T if trans_a else x[:, 64:]) @ (y[:, 64:].T if trans_b else y[64:]), "float32")
    assert "wgmma" in form(kernel)


def test_parts_that_start_inside_a_pattern_use_another_instruction() -> None:
    @T.prim_func
    def main(A: T.Tensor((64, 96), "float16"), B: T.Tensor((64, 64), "float16"), C: T.Tensor((64, 64), "float32")):
        with T.Kernel(1, threads=128):
            A_shared, B_shared = T.alloc_shared((64, 128), "float16"), T.alloc_shared((64, 64), "float16")
            acc = T.alloc_fragment((64, 64), "float32")
            T.copy(A, A_shared[:, :96])
            T.copy(B, B_shared)
            T.clear(acc)
            T.gemm(A_shared[:, 32:96], B_shared, acc)
            T.copy(acc, C)

    kernel = compiled(main)
    a, b, c = random((64, 96)), random((64, 64)), poisoned((64, 64), "float32")
    kernel(a, b, c)
    check(c, f64(a)[:, 32:] @ f64(b), "float32")
    assert "wgmma" not in form(kernel)


def source_form(kind: str) -> tuple[Any, list[np.ndarray], np.ndarray]:
    """A product whose left operand is no tensor argument read as it is declared."""
    declared = T.ptr if kind == "pointer" else T.Tensor((128, 64), "float16")

    @T.prim_func
    def main(A: declared, W: T.Tensor((64, 128), "float16"), B: T.Tensor((128, 64), "float16"),
             C: T.Tensor((64, 64), "float32")):  # fmt: skip
        with T.Kernel(1, threads=128):
            A_shared, B_shared = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 64), "float16")
            acc, w = T.alloc_fragment((64, 64), "float32"), T.alloc_fragment((64, 128), "float16")
            source = T.make_tensor(A, (64, 128), "float16") if kind == "pointer" else T.view(A, (64, 128))
            if kind == "written":
                T.copy(source, w)
                T.copy(w, W)
                T.sync_threads()
                source = W
            accumulate(source, B, A_shared, B_shared, acc, 0, 0, 2)
            T.copy(acc, C)

    a, w, b, c = random((128, 64)), np.full((64, 128), 7, np.float16), random((128, 64)), poisoned((64, 64), "float32")
    return compiled(main), [a, w, b, c], f64(a).reshape(64, 128) @ f64(b)


@pytest.mark.parametrize("kind", ["pointer", "view", "written"])
def test_sources_without_a_tensor_map(kind: str) -> None:
    """An address without a shape, another shape over an argument, and what the kernel itself has written."""
    kernel, arguments, want = source_form(kind)
    kernel(*arguments)
    check(arguments[-1], want, "float32")
    assert form(kernel) == {"wgmma", "cp.async"}


def test_thread_indices_keep_their_meaning() -> None:
    @T.prim_func
    def main(
        A: T.Tensor((64, 128), "float16"), B: T.Tensor((128, 64), "float16"), C: T.Tensor((64, 64), "float32"),
        who: T.Tensor((128,), "int32"),
    ):  # fmt: skip
        with T.Kernel(1, threads=128):
            A_shared, B_shared = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 64), "float16")
            acc = T.alloc_fragment((64, 64), "float32")
            thread = T.get_thread_binding()
            who[thread] = thread
            accumulate(A, B, A_shared, B_shared, acc, 0, 0, 2)
            T.copy(acc, C)

    kernel = compiled(main)
    a, b, c, who = random((64, 128)), random((128, 64)), poisoned((64, 64), "float32"), poisoned((128,), "int32")
    kernel(a, b, c, who)
    check(c, f64(a) @ f64(b), "float32")
    assert who.tolist() == list(range(128))
    assert "roles" not in form(kernel)


@pytest.mark.parametrize("also", ["reads", "writes"])
def test_bulk_stores_only_to_what_the_threads_leave_alone(also: str) -> None:
    """Nothing orders them with what a thread itself reads or writes there."""

    @T.prim_func
    def main(
        A: T.Tensor((64, 128), "float16"), B: T.Tensor((128, 64), "float16"), C: T.Tensor((64, 64), "float32"),
        E: T.Tensor((64, 64), "float32"),
    ):  # fmt: skip
        with T.Kernel(1, threads=128):
            A_shared, B_shared = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 64), "float16")
            acc, again = T.alloc_fragment((64, 64), "float32"), T.alloc_fragment((64, 64), "float32")
            accumulate(A, B, A_shared, B_shared, acc, 0, 0, 2)
            T.copy(acc, C)
            for i, j in T.Parallel(64, 64):
                again[i, j] = acc[i, j]
                if also == "reads":
                    again[i, j] += C[i, j]
                else:
                    C[i, j] = acc[i, j] + 1
            T.copy(again, E)

    kernel = compiled(main)
    a, b, c, e = random((64, 128)), random((128, 64)), poisoned((64, 64), "float32"), poisoned((64, 64), "float32")
    kernel(a, b, c, e)
    product = f64(a) @ f64(b)
    check(c, product if also == "reads" else product + 1, "float32")
    check(e, product * 2 if also == "reads" else product, "float32")
    assert form(kernel) == HOPPER
    assert kernel.ir("lowered").count("box = array<i64: 64, 32>") == 1, "E alone is stored in bulk"


@pytest.mark.parametrize("between", ["barrier", "reader", "other product"])
def test_stores_are_fenced_whatever_barrier_follows_them(between: str) -> None:
    @T.prim_func
    def main(
        A: T.Tensor((64, 64), "float16"), B: T.Tensor((64, 64), "float16"), C: T.Tensor((64, 64), "float32"),
        copy: T.Tensor((64, 64), "float16"),
    ):  # fmt: skip
        with T.Kernel(1, threads=128):
            A_shared, B_shared = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 64), "float16")
            f, acc = T.alloc_fragment((64, 64), "float16"), T.alloc_fragment((64, 64), "float32")
            other = T.alloc_fragment((64, 64), "float16")
            T.copy(A, A_shared)
            T.copy(B, B_shared)
            if between == "barrier":
                T.sync_threads()
            elif between == "reader":
                T.copy(A_shared, f)
                T.copy(f, copy)
            else:
                T.gemm(A_shared, B_shared, other, clear_accum=True)  # sums in float16: mma.sync
                T.copy(other, copy)
            T.gemm(A_shared, B_shared, acc, clear_accum=True)
            T.copy(acc, C)

    kernel = compiled(main)
    a, b, c = random((64, 64)), random((64, 64)), poisoned((64, 64), "float32")
    kernel(a, b, c, np.zeros((64, 64), np.float16))
    check(c, f64(a) @ f64(b), "float32")


@pytest.mark.parametrize("kind", ["nested", "fragment", "im2col"])
def test_bulk_loads_without_roles(kind: str) -> None:
    """All threads use what one of them loads: over several runs of a loop, read by threads too, of a convolution."""
    rows, K = (192, 320) if kind != "im2col" else (64, 9 * 64)

    @T.prim_func
    def main(
        A: T.Tensor((1, 8, 8, 64) if kind == "im2col" else (rows, K), "float16"), B: T.Tensor((64, K), "float16"),
        C: T.Tensor((rows, 64), "float32"),
    ):  # fmt: skip
        with T.Kernel(1, threads=128):
            a, b = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 64), "float16")
            acc, own = T.alloc_fragment((64, 64), "float32"), T.alloc_fragment((64, 64), "float16")
            for tile in T.serial(rows // 64):
                T.clear(acc)
                for k in T.Pipelined(K // 64, num_stages=3):
                    if kind == "im2col":
                        T.im2col(A, a, tile, k, 3, 1, 1, 1)
                    else:
                        T.copy(A[tile * 64, k * 64], a)
                    T.copy(B[0, k * 64], b)
                    if kind == "fragment":
                        T.copy(a, own)
                        T.gemm(own, b, acc, transpose_B=True)
                    else:
                        T.gemm(a, b, acc, transpose_B=True)
                T.copy(acc, C[tile * 64, 0])

    kernel = tilelang.compile(main, target=TARGET, pass_configs={"tl.disable_warp_specialized": True})
    a, b, c = random((1, 8, 8, 64) if kind == "im2col" else (rows, K)), random((64, K)), poisoned((rows, 64), "float32")
    left = f64(a)
    if kind == "im2col":
        padded = np.pad(left[0], ((1, 1), (1, 1), (0, 0)))
        taps = [padded[y : y + 8, x : x + 8].reshape(64, 64) for y in range(3) for x in range(3)]
        left = np.concatenate(taps, axis=1)
    for seed in range(3):
        with knobs.overrides({"TILELANG_SIM_SEED": seed}):
            kernel(a, b, c)
        check(c, left @ f64(b).T, "float32")
    assert form(kernel) == {"wgmma", "bulk load"}


def test_warpgroups_that_wait_for_their_own_products() -> None:
    """Each has its part of the program; a wait for all products is for those of its part."""

    @T.macro
    def squares(a: Any, C: Any, side: int) -> None:
        acc = T.alloc_fragment((64, 64), "float32")
        for k in T.serial(side + 1):
            T.wgmma_gemm(a, a, acc, transpose_B=True, clear_accum=k == 0)
            T.wait_wgmma(0)
        T.copy(acc, C[side, :, :])

    @T.prim_func
    def main(A: T.Tensor((64, 64), "float16"), C: T.Tensor((2, 64, 64), "float32")):
        with T.Kernel(1, threads=256):
            a = T.alloc_shared((64, 64), "float16")
            T.copy(A, a)
            with T.ws(0):
                squares(a, C, 0)
            with T.ws(1):
                squares(a, C, 1)

    a, c = random((64, 64)), poisoned((2, 64, 64), "float32")
    compiled(main)(a, c)
    check(c, f64(a) @ f64(a).T * np.array([1, 2])[:, None, None], "float32")


def test_a_wait_behind_products_that_have_ended() -> None:
    """`T.gemm` ends by itself, also with `wg_wait=-1`: the program's wait for it finds nothing under way."""

    @T.prim_func
    def main(A: T.Tensor((64, 64), "float16"), C: T.Tensor((64, 64), "float32")):
        with T.Kernel(1, threads=128):
            a = T.alloc_shared((64, 64), "float16")
            acc = T.alloc_fragment((64, 64), "float32")
            T.copy(A, a)
            T.clear(acc)
            for _ in T.serial(2):
                T.gemm(a, a, acc, wg_wait=-1)
                T.wait_wgmma(0)
            T.copy(acc, C)

    a, c = random((64, 64), "float16"), poisoned((64, 64), "float32")
    compiled(main)(a, c)
    check(c, 2 * f64(a) @ f64(a), "float32")
