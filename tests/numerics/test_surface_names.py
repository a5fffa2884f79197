"""Names that programs use by themselves, and what is special about them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hopper_programs import f64, poisoned, random

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import TileTypeError, TileValueError, UnsupportedError
from tilelang_mlir.layout import (
    SwizzleMode,
    make_full_bank_swizzled_layout,
    make_half_bank_swizzled_layout,
    make_quarter_bank_swizzled_layout,
)


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


@pytest.mark.parametrize(("target", "warp"), [("sim:sm_80", 32), ("sim:gfx942", 64), ("sim:gfx1100", 32)])
def test_warps_have_the_width_of_the_target(target: str, warp: int) -> None:
    @T.prim_func
    def places(C: T.Tensor((4, 320), "int32")):
        with T.Kernel(1, threads=320) as _:
            tx = T.get_thread_binding()
            C[0, tx] = T.get_lane_idx()
            C[1, tx] = T.get_warp_idx()
            C[2, tx] = T.get_warp_idx_sync()
            C[3, tx] = T.get_warp_group_idx()

    got, tx = np.full((4, 320), -1, np.int32), np.arange(320)
    for kernel in (tilelang.compile(places, target=target), *tilelang.par_compile([places], target=target)):
        assert kernel is not None
        kernel(got)
        assert np.array_equal(got, [tx % warp, tx // warp, tx // warp, tx // (4 * warp)])


def layout_of(tile: Any, mode: int, transposed: bool) -> Any:
    """The hardware's patterns; without a swizzle core matrices of 8 x 16 bytes."""
    if mode:
        return {128: make_full_bank_swizzled_layout, 64: make_half_bank_swizzled_layout,
                32: make_quarter_bank_swizzled_layout}[mode](tile)  # fmt: skip
    rows = tile.shape[0]
    if transposed:
        return T.Layout(tile.shape, lambda k, m: m // 8 * 8 * rows + k * 8 + m % 8)
    return T.Layout(tile.shape, lambda i, j: i // 8 * 8 * tile.shape[1] + j // 8 * 64 + i % 8 * 8 + j % 8)


def describe(desc: Any, tile: Any, layout: Any, step: Any, transposed: bool) -> None:
    part = ((step * 16, step * 16 + 16), (0, tile.shape[1])) if transposed else tile[:, step * 16 : step * 16 + 16]
    fields = T.compute_gmma_descriptor(layout, tile, transposed, region=part)
    T.initialize_wgmma_descriptor(desc, T.access_ptr(tile, "r"), fields.swizzle_mode.wgmma_layout_type(),
                                  fields.leading_byte_offset, fields.stride_byte_offset)  # fmt: skip
    T.increase_descriptor_offset(desc, fields.slice_byte_offset)


def by_descriptors(mode: int, transposed: bool, n: int) -> Any:
    shapes = [(48, 64), (48, n)] if transposed else [(64, 64), (n, 64)]

    @T.prim_func
    def main(A: T.Tensor(shapes[0], "float16"), B: T.Tensor(shapes[1], "float16"), C: T.Tensor((64, n), "float32")):
        with T.Kernel(1, threads=128) as _:
            a, b = T.alloc_shared(shapes[0], "float16"), T.alloc_shared(shapes[1], "float16")
            la, lb = layout_of(a, mode, transposed), layout_of(b, mode, transposed)
            T.annotate_layout({a: la, b: lb})
            c = T.alloc_local((n // 2,), "float32")
            tx = T.get_thread_binding()
            T.copy(A, a)
            T.copy(B, b)
            T.fence_proxy_async()
            T.sync_threads()
            T.clear(c)
            for step in T.unroll(3):
                da, db = T.alloc_wgmma_desc(), T.alloc_wgmma_desc()
                describe(da, a, la, step, transposed)
                describe(db, b, lb, step, transposed)
                T.warpgroup_arrive()
                T.ptx_wgmma_ss("float32", f"m64n{n}k16", not transposed, not transposed, "fp16", "fp16", "fp32",
                               da, 0, db, 0, c, 0, 1)  # fmt: skip
                T.warpgroup_commit_batch()
                T.warpgroup_wait(0)
            for i in T.unroll(n // 2):
                C[tx // 32 * 16 + tx % 32 // 4 + i // 2 % 2 * 8, i // 4 * 8 + tx % 4 * 2 + i % 2] = c[i]

    return main, shapes


@pytest.mark.parametrize(
    ("mode", "transposed", "n"), [(128, False, 40), (64, True, 96), (32, True, 16), (0, False, 24), (0, True, 24)]
)
def test_descriptors_of_any_pattern(mode: int, transposed: bool, n: int) -> None:
    main, shapes = by_descriptors(mode, transposed, n)
    a, b, c = random(shapes[0], "float16"), random(shapes[1], "float16"), poisoned((64, n), "float32")
    tilelang.compile(main, target="sim:sm_90a")(a, b, c)
    want = f64(a).T @ f64(b) if transposed else f64(a)[:, :48] @ f64(b)[:, :48].T
    assert np.linalg.norm(f64(c) - want) <= 1e-6 * np.linalg.norm(want)


class Tile:
    def __init__(self, shape: tuple[int, ...], dtype: str) -> None:
        self.shape, self.dtype = shape, dtype


def test_fields_of_descriptors() -> None:
    """PTX ISA 8.7, 9.7.15.5.1: the fields of tiles whose places were counted by hand."""
    tile = Tile((64, 128), "bfloat16")
    layout = make_full_bank_swizzled_layout(tile)
    fields = T.compute_umma_descriptor(layout, tile, True, region=((16, 32), (0, 128)))
    assert (fields.leading_byte_offset, fields.stride_byte_offset) == (64 * 8, 64)
    assert fields.slice_byte_offset == 16 * 128 and fields.elem_bits == 16 and not fields.is_k_major
    assert fields.swizzle_mode is SwizzleMode.SWIZZLE_128B and fields.swizzle_mode.tcgen05_layout_type() == 2
    assert (fields.swizzle_atom_elems, fields.k_atom_size) == (64, 4)
    packed = Tile((8, 64), "float4_e2m1fn")
    rows = T.compute_umma_descriptor(make_quarter_bank_swizzled_layout(packed), packed, False, 64)
    assert (rows.leading_byte_offset, rows.stride_byte_offset, rows.swizzle_atom_elems) == (1, 0, 64)
    with pytest.raises(TileValueError, match="elements of 4 bits are no operands of wgmma"):
        T.compute_gmma_descriptor(layout, packed, False)
    with pytest.raises(TileValueError, match="eight rows of .* do not lie as the hardware reads them"):
        T.compute_gmma_descriptor(T.Layout((64, 128), lambda i, j: i * 128 + j), tile, False)
    with pytest.raises(TileTypeError, match="needs a layout of shared memory, got"):
        T.compute_gmma_descriptor(3, tile, False)
    with pytest.raises(TileValueError, match="two dimensions of fixed size"):
        T.compute_gmma_descriptor(layout, tile, False, region=((0, 64),))


def test_swizzled_places() -> None:
    """Panels of 64 elements, in which chunks of eight change places by the row; and kernels that use the layout."""
    i, j = np.indices((16, 128))
    panel, row, column = T.get_swizzle_layout(i, j, 128, "float16")
    assert (panel == j // 64).all() and (row == i).all() and (column == (j // 8 % 8 ^ i % 8) * 8 + j % 8).all()
    assert T.get_swizzle_layout(6, 17, 32, "float16") == (0, 6, (2 ^ 3) * 8 + 1)
    with pytest.raises(TileValueError, match="rows of 48 bytes"):
        T.get_swizzle_layout(0, 0, 24, "float16")

    @T.prim_func
    def main(A: T.Tensor((32, 96), "float16"), B: T.Tensor((96, 32), "float16")):
        with T.Kernel(1, threads=64) as _:
            tile, plain = T.alloc_shared((32, 96), "float16"), T.alloc_shared((32, 96), "float16")
            T.annotate_layout({tile: T.Layout((32, 96), lambda i, j: T.get_swizzle_layout(i, j, 96, "float16", 64)),
                               plain: T.make_mma_swizzle_layout(plain, is_smooth=True)})  # fmt: skip
            T.copy(A, tile)
            T.copy(tile, plain)
            for i, j in T.Parallel(96, 32):
                B[i, j] = plain[j, i]

    a, b = random((32, 96), "float16"), poisoned((96, 32), "float16")
    tilelang.compile(main, target="sim:sm_80")(a, b)
    assert np.array_equal(b, a.T)


def test_barriers_are_made_visible() -> None:
    @T.prim_func
    def main(A: T.Tensor((64,), "float32"), B: T.Tensor((64,), "float32")):
        with T.Kernel(1, threads=64) as _:
            tile, full = T.alloc_shared((64,), "float32"), T.alloc_barrier(64)
            T.ptx_fence_barrier_init()
            T.tma_copy(A, tile, barrier=full)
            T.mbarrier_arrive(full)
            T.mbarrier_wait_parity(full, 0)
            T.copy(tile, B)

    ptx = tilelang.compile(main, target="sm_90a").get_kernel_source()
    assert ptx.count("fence.mbarrier_init.release.cluster") == 2  # the compiler's own, and this one
    a, b = random((64,), "float32"), poisoned((64,), "float32")
    tilelang.compile(main, target="sim:sm_90a")(a, b)
    assert np.array_equal(a, b)
    with pytest.raises(UnsupportedError, match="gfx942"):
        tilelang.compile(main, target="gfx942")


def test_names_for_annotations() -> None:
    @tilelang.jit(target="sim:sm_80")
    def filled(X: T.Tensor((5,), "float32"), dtype: T.AnyDType = "float16", value: int = 3) -> Any:
        Y = T.empty((5,), dtype)
        with T.Kernel(1, threads=32) as _:
            for i in T.Parallel(5):
                Y[i] = T.cast(X[i] + value, dtype)
        return Y

    got = filled(np.arange(5, dtype=np.float32), "int32")
    assert got.dtype == np.int32 and np.array_equal(got, np.arange(5) + 3)
    assert T.JITFunc.__module__ == "tilelang_mlir.jit.eager"


def test_sizes_from_equations_together() -> None:
    m, n, k = T.dynamic("m"), T.dynamic("n"), T.dynamic("k")

    @T.prim_func
    def main(A: T.Tensor((m + n,), "int32"), B: T.Tensor((m - n, 2 * m + 3 * n + k), "int32"),
             C: T.Tensor((k + n,), "int32")):  # fmt: skip
        with T.Kernel(m + n, threads=1) as bx:
            A[bx] = C[0] * (100 * m + 10 * n + k) + B[m - n - 1, 0]

    kernel = tilelang.compile(main, target="sim:sm_80")
    a, b, c = np.zeros(11, np.int32), np.full((3, 33), 2, np.int32), np.ones(11, np.int32)
    kernel(a, b, c)
    assert (a == 700 + 40 + 7 + 2).all()
    with pytest.raises(tilelang.errors.ArgumentError, match=r"A: shape\[0\] is 10, but no .* makes m \+ n that value"):
        kernel(a[:10], b, c)


def test_loops_and_frames_of_scripts() -> None:
    @T.prim_func
    def main(A: T.Tensor((2, 12), "int32")):
        with T.Kernel(2, threads=(3, 2, 2)) as _:
            frame = T.KernelLaunchFrame.Current()
            tx, ty, tz = frame.threads
            n = T.alloc_var("int32", tx + 3)
            with T.While(n < 100):
                n = n * 2
            A[frame.blocks[0], (tz * 2 + ty) * 3 + tx] = T.Div(-n, 7) * frame.num_threads + frame.get_thread_extent(1)

    got = np.zeros((2, 12), np.int32)
    tilelang.compile(main, target="sim:sm_80")(got)
    last = {0: 192, 1: 128, 2: 160}
    assert np.array_equal(got, [[-(last[t % 3] // 7) * 12 + 2 for t in range(12)]] * 2)
    with pytest.raises(tilelang.errors.TileSyntaxError, match="T.While outside of a with statement of its own"):
        T.While(True)


def test_who_prints(capfd: pytest.CaptureFixture[str]) -> None:
    @T.prim_func
    def main(A: T.Tensor((256,), "int32")):
        with T.Kernel(1, threads=256) as _:
            tile = T.alloc_shared((3,), "int32")
            T.fill(tile, 4)
            tx = T.get_thread_binding()
            if tx >= 128:
                T.print(tile, "second", warp_group_id=1, warp_id=1)
            T.print(tile, "first")
            A[tx] = tx

    tilelang.compile(main, target="sim:sm_80")(np.zeros(256, np.int32))
    text = capfd.readouterr().out
    assert text.count("second[2] = 4") == 1 and text.count("first[2] = 4") == 1
    with pytest.raises(TileValueError, match="warp 3 of warpgroup 2 starts at thread 352 of 256"):

        @T.prim_func
        def wrong(A: T.Tensor((256,), "int32")):
            with T.Kernel(1, threads=256) as _:
                T.print(A, warp_group_id=2, warp_id=3)


@pytest.mark.parametrize(("n", "part", "threads"), [(96, (0, 96), 256), (128, (32, 96), 128)])
def test_products_of_parts_of_a_panel(n: int, part: tuple[int, int], threads: int) -> None:
    """Warpgroups with 48 columns each, and columns 32 to 96: both cut panels of the widest swizzle."""
    width = part[1] - part[0]

    @T.prim_func
    def main(A: T.Tensor((64, 32), "float16"), B: T.Tensor((32, n), "float16"), C: T.Tensor((64, width), "float32")):
        with T.Kernel(1, threads=threads) as _:
            a, b = T.alloc_shared((64, 32), "float16"), T.alloc_shared((32, n), "float16")
            c = T.alloc_fragment((64, width), "float32")
            T.copy(A, a)
            T.copy(B, b)
            T.wgmma_gemm(a, b[:, part[0] : part[1]], c, clear_accum=True)
            T.wait_wgmma(0)
            T.copy(c, C)

    a, b, c = random((64, 32), "float16"), random((32, n), "float16"), poisoned((64, width), "float32")
    kernel = tilelang.compile(main, target="sim:sm_90a")
    kernel(a, b, c)
    want = f64(a) @ f64(b)[:, part[0] : part[1]]
    assert np.linalg.norm(f64(c) - want) <= 1e-6 * np.linalg.norm(want)


def test_parts_of_a_panel_that_no_swizzle_has() -> None:
    @T.prim_func
    def main(C: T.Tensor((64, 40), "float32")):
        with T.Kernel(1, threads=128) as _:
            a, b = T.alloc_shared((64, 32), "float16"), T.alloc_shared((32, 64), "float16")
            T.clear(a)
            T.clear(b)
            c = T.alloc_fragment((64, 40), "float32")
            T.wgmma_gemm(a, b[:, 8:48], c, clear_accum=True)
            T.wait_wgmma(0)
            T.copy(c, C)

    with pytest.raises(UnsupportedError, match="parts of B along N, by warpgroup or as sliced, are no multiples of 16"):
        tilelang.compile(main, target="sim:sm_90a")


@pytest.mark.parametrize(("dtype", "count", "each"), [("float16", 8, 1), ("int8", 4, 1), ("int8", 8, 2)])
def test_narrow_copies_of_a_vectorised_loop(dtype: str, count: int, each: int) -> None:
    size = np.dtype(dtype).itemsize

    @T.prim_func
    def main(A: T.Tensor((32, count), dtype), B: T.Tensor((32, count), dtype)):
        with T.Kernel(1, threads=32) as _:
            tile, tx = T.alloc_shared((32, count), dtype), T.get_thread_binding()
            for v in T.vectorized(count // each):
                T.ptx_cp_async(T.access_ptr(tile[tx, v * each], "w"), T.access_ptr(A[tx, v * each], "r"), each)
            T.ptx_commit_group()
            T.ptx_wait_group(0)
            T.sync_threads()
            T.copy(tile, B)

    a = np.random.default_rng(0).integers(0, 99, (32, count)).astype(dtype)
    b = np.zeros_like(a)
    tilelang.compile(main, target="sim:sm_80")(a, b)
    assert np.array_equal(a, b)
    ptx = tilelang.compile(main, target="sm_80").get_kernel_source()
    assert ptx.count("cp.async.ca.") + ptx.count("cp.async.cg.") == 1 and f", {count * size}" in ptx


def test_narrow_copies_elsewhere() -> None:
    with pytest.raises(TileValueError, match="copies 4, 8 or 16 bytes of one dtype, got 2 bytes"):

        @T.prim_func
        def main(A: T.Tensor((32, 16), "float16")):
            with T.Kernel(1, threads=32) as _:
                tile = T.alloc_shared((32, 16), "float16")
                for v in T.vectorized(8):
                    T.ptx_cp_async(T.access_ptr(tile[0, v * 2], "w"), T.access_ptr(A[0, v], "r"), 1)


def test_a_copy_that_the_program_lays_out() -> None:
    """The fragment lies where the copy's loop has its elements: a row in the registers of two threads."""
    rows = T.Fragment((32, 32), forward_fn=lambda i, j: (i * 2 + j // 16, j % 16))

    @T.prim_func
    def main(A: T.Tensor((32, 32), "float32"), B: T.Tensor((64, 16), "float32")):
        with T.Kernel(1, threads=64) as _:
            tile, x = T.alloc_shared((32, 32), "float32"), T.alloc_fragment((32, 32), "float32")
            T.copy(A, tile)
            T.copy(tile, x, loop_layout=rows)
            for i, j in T.Parallel(32, 32):
                B[i * 2 + j // 16, j % 16] = x[i, j]

    a, b = random((32, 32), "float32"), poisoned((64, 16), "float32")
    kernel = tilelang.compile(main, target="sim:sm_80")
    kernel(a, b)
    layout = "#tl.fragment<array<i64: 32, 32>, array<i64: 2, 1, 16, 32, 0, 1>, array<i64: 16, 1, 1>>"
    assert np.array_equal(b, a.reshape(64, 16)) and layout in kernel.ir("laid_out")


@pytest.mark.parametrize(("source", "view", "shape"), [("float16", "uint32", (1, 32)), ("uint32", "uint8", (13, 24)),
                                                       ("int16", "uint64", (8, 8))])
def test_views_of_fragments_with_other_elements(source: str, view: str, shape: tuple[int, int]) -> None:
    """The same registers: what is written through the view is in the fragment."""
    columns = shape[1] * np.dtype(source).itemsize // np.dtype(view).itemsize

    @T.prim_func
    def main(A: T.Tensor(shape, source), B: T.Tensor((shape[0], columns), view), C: T.Tensor(shape, source)):
        with T.Kernel(1, threads=32) as _:
            x = T.alloc_fragment(shape, source)
            T.copy(A, x)
            y = T.view(x, (shape[0], columns), view)
            for i, j in T.Parallel(shape[0], columns):
                y[i, j] = y[i, j] + T.cast(i + 1, view)
            T.copy(y, B)
            T.copy(x, C)

    a = np.random.default_rng(0).integers(1, 100, shape).astype(source)
    b, c = np.zeros((shape[0], columns), view), np.zeros(shape, source)
    tilelang.compile(main, target="sim:sm_80")(a, b, c)
    want = a.view(view) + np.arange(1, shape[0] + 1).astype(view)[:, None]
    assert np.array_equal(b, want) and np.array_equal(c.view(view), want)
    assert ".local" not in tilelang.compile(main, target="sm_80").get_kernel_source()


def test_a_view_of_a_fragment_that_is_no_one() -> None:
    """Columns of a product's sums are in two threads, so that pairs of rows are no wider elements."""

    @T.prim_func
    def main(C: T.Tensor((64, 16), "float64")):
        with T.Kernel(1, threads=128) as _:
            a, c = T.alloc_shared((64, 64), "float16"), T.alloc_fragment((64, 64), "float16")
            T.clear(a)
            T.clear(c)
            T.gemm(a, a, c)
            T.copy(T.view(c, (64, 16), "float64"), C)

    with pytest.raises(tilelang.errors.LayoutError, match="a view of a fragment lies in other threads or registers"):
        tilelang.compile(main, target="sim:sm_80")


def test_what_a_copy_prefers() -> None:
    def ptx(instruction: Any) -> str:
        @T.prim_func
        def main(A: T.Tensor((64, 64), "float16"), B: T.Tensor((64, 64), "float16")):
            with T.Kernel(1, threads=128) as _:
                tile = T.alloc_shared((64, 64), "float16")
                T.copy(A, tile, prefer_instruction=instruction)
                for i, j in T.Parallel(64, 64):
                    B[i, j] = tile[j, i]

        a, b = random((64, 64), "float16"), poisoned((64, 64), "float16")
        tilelang.compile(main, target="sim:sm_80")(a, b)
        assert np.array_equal(b, a.T)
        return tilelang.compile(main, target="sm_80").get_kernel_source()

    assert "cp.async.wait_group" in ptx("cp_async") and "cp.async" not in ptx("sync")


def test_a_loop_unrolled_by_a_factor() -> None:
    @T.prim_func
    def main(A: T.Tensor((640,), "float32")):
        with T.Kernel(1, threads=32) as _:
            for i in T.unroll(20, unroll_factor=2):
                A[i * 32 + T.get_thread_binding()] += 1

    ptx = tilelang.compile(main, target="sm_80").get_kernel_source()
    assert ptx.count("st.global") == 2
    a = np.zeros(640, np.float32)
    tilelang.compile(main, target="sim:sm_80")(a)
    assert (a == 1).all()


def test_cluster_barriers_in_branches() -> None:
    """Threads of a warp that part before the barrier do not execute it together."""

    @T.prim_func
    def main(A: T.Tensor((4,), "int32")):
        with T.ClusterKernel(4, cluster_dims=2, threads=32) as bx:
            T.cluster_sync()
            if T.get_thread_binding() == 0:
                T.cluster_sync()
                A[bx] = T.block_rank_in_cluster()
            else:
                T.cluster_sync()

    ptx = tilelang.compile(main, target="sm_90a").get_kernel_source()
    assert ptx.count("barrier.cluster.arrive.aligned;") == 1 and ptx.count("barrier.cluster.arrive;") == 2
    got = np.full(4, -1, np.int32)
    tilelang.compile(main, target="sim:sm_90a")(got)
    assert np.array_equal(got, [0, 1, 0, 1])


def test_views_of_tensors_with_strides_of_their_own():
    """Rows of 16 out of wider ones: split into four by four, as halves of their elements, with strides given."""
    n, s = T.dynamic("n"), T.dynamic("s")

    @T.prim_func
    def main(A: T.StridedTensor((n, 16), (s, 1), "float32"), B: T.Tensor((4, n, 16), "float32")):
        with T.Kernel(n, threads=16) as b:
            t = T.get_thread_binding()
            B[0, b, t] = T.reshape(A, (n, 4, 4))[b, t // 4, t % 4]
            B[1, b, t] = T.cast(T.view(A, (n, 32), "float16")[b, t], "float32")
            B[2, b, t] = T.view(A, (n, 8, 2), strides=(s, 2, 1))[b, t // 2, t % 2]
            B[3, b, t] = getattr(T, "__ldg")(A, (b, t))

    a = np.random.default_rng(2).standard_normal((5, 32)).astype(np.float32)[:, 4:20]
    b = np.zeros((4, 5, 16), np.float32)
    tilelang.compile(main, target="sim:sm_80")(a, b)
    halves = a.copy().view(np.float16)[:, :16].astype(np.float32)
    assert np.array_equal(b, np.stack([a, halves, a, a]), equal_nan=True)
    with pytest.raises(TileValueError, match="dimensions that are split or joined have to lie one after the other"):

        @T.prim_func
        def joined(A: T.StridedTensor((8, 16), (32, 1), "float32")):
            with T.Kernel(1, threads=128):
                T.reshape(A, (128,))[T.get_thread_binding()] = 0.0
