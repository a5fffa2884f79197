"""Fragments read in other ways than the loop's own variables: serial and run-time indices, other threads, views."""

from __future__ import annotations

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.errors import LayoutError

RNG = np.random.default_rng(7)


def _close(got, want, tolerance=1e-5):
    assert np.linalg.norm(np.asarray(got, np.float64) - want) <= tolerance * np.linalg.norm(want)


def test_serial_and_run_time_rows():
    @tilelang.jit(out_idx=[-1], target="sim")
    def make():
        @T.prim_func
        def kernel(A: T.Tensor((8, 17), "float32"), n: T.int32, B: T.Tensor((8, 17), "float32")):
            with T.Kernel(1, threads=32):
                x = T.alloc_fragment((8, 17), "float32")
                y = T.alloc_fragment((8, 17), "float32")
                first = T.alloc_fragment((8,), "float32")
                T.copy(A, x)
                T.copy(A[0, 0:8], first)
                T.clear(y)
                for i, j in T.Parallel(8, 17):
                    for k in T.serial(8):
                        y[i, j] += x[k, j]
                for k in T.serial(n):
                    for i, j in T.Parallel(8, 17):
                        y[i, j] += x[k, j] + first[k]
                T.copy(y, B)

        return kernel

    a = RNG.standard_normal((8, 17)).astype(np.float32)
    wide = a.astype(np.float64)
    _close(make()(a, 5), wide.sum(0) + wide[:5].sum(0) + wide[0, :5].sum() + np.zeros((8, 1)))


def test_parts_of_fragments_are_copied():
    @tilelang.jit(out_idx=[-2, -1], target="sim")
    def make():
        @T.prim_func
        def kernel(A: T.Tensor((64, 64), "float16"), C: T.Tensor((5, 64), "float32"), D: T.Tensor((64,), "float32")):
            with T.Kernel(1, threads=128):
                a = T.alloc_shared((64, 64), "float16")
                top = T.alloc_shared((5, 64), "float32")
                acc = T.alloc_fragment((64, 64), "float32")
                lines = T.alloc_fragment((4, 64), "float32")
                row = T.alloc_fragment((64,), "float32")
                T.copy(A, a)
                T.clear(acc)
                T.gemm(a, a, acc)
                T.copy(acc[:5, :], top)
                T.copy(top, C)
                T.copy(A[0:4, :], lines)
                T.copy(lines[2, :], row)
                T.copy(row, D)

        return kernel

    a = RNG.standard_normal((64, 64)).astype(np.float16)
    c, d = make()(a)
    _close(c, (a.astype(np.float64) @ a)[:5])
    _close(d, a[2].astype(np.float64))


def test_elements_of_other_threads():
    @tilelang.jit(out_idx=[-1], target="sim")
    def make():
        @T.prim_func
        def kernel(A: T.Tensor((64, 64), "float16"), V: T.Tensor((96,), "float32"), n: T.int32,
                   C: T.Tensor((64, 64), "float32")):  # fmt: skip
            with T.Kernel(1, threads=128):
                a = T.alloc_shared((64, 64), "float16")
                acc = T.alloc_fragment((64, 64), "float32")
                out = T.alloc_fragment((64, 64), "float32")
                long = T.alloc_fragment((96,), "float32")
                T.copy(A, a)
                T.copy(V, long)
                T.clear(acc)
                T.gemm(a, a, acc)
                for i, j in T.Parallel(64, 64):
                    out[i, j] = acc[j, i]
                for k in T.serial(n):
                    for i, j in T.Parallel(64, 64):
                        out[i, j] += long[k] + acc[k, j]
                if acc[3, 5] > -1e30:
                    for i, j in T.Parallel(64, 64):
                        out[i, j] += acc[3, 5]
                T.copy(out, C)

        return kernel

    a = RNG.standard_normal((64, 64)).astype(np.float16)
    v = RNG.standard_normal(96).astype(np.float32)
    product = a.astype(np.float64) @ a
    _close(make()(a, v, 3), product.T + v[:3].astype(np.float64).sum() + product[:3].sum(0) + product[3, 5])


def test_a_view_of_an_accumulator_is_the_accumulator():
    @tilelang.jit(out_idx=[-1], target="sim")
    def make():
        @T.prim_func
        def kernel(A: T.Tensor((64, 64), "float16"), C: T.Tensor((64, 4), "float32")):
            with T.Kernel(1, threads=128):
                a = T.alloc_shared((64, 64), "float16")
                acc = T.alloc_fragment((64, 64), "float32")
                view = T.reshape(acc, (64, 4, 16))
                out = T.alloc_fragment((64, 4), "float32")
                T.copy(A, a)
                for _ in T.serial(2):
                    T.clear(acc)
                    T.gemm(a, a, acc)
                    for i, j, k in T.Parallel(64, 4, 16):
                        view[i, j, k] = T.max(view[i, j, k], 0) * (j * 16 + k)
                    T.reduce_sum(view, out, dim=-1)
                T.copy(out, C)

        return kernel

    a = RNG.standard_normal((64, 64)).astype(np.float16)
    product = np.maximum(a.astype(np.float64) @ a, 0) * np.arange(64)
    _close(make()(a), product.reshape(64, 4, 16).sum(-1))


def test_views_of_fragments_whose_rows_do_not_fill_the_threads():
    """192 elements in vectors of two take 96 of 128 threads: padding would leave no view in groups of 16."""

    @tilelang.jit(out_idx=[-1], target="sim")
    def make():
        @T.prim_func
        def kernel(A: T.Tensor((3, 192), "float32"), C: T.Tensor((3, 12), "float32")):
            with T.Kernel(1, threads=128):
                rows = T.alloc_fragment((3, 192), "float32")
                out = T.alloc_fragment((3, 12), "float32")
                for i, j in T.Parallel(3, 192):
                    rows[i, j] = A[i, j]
                T.reduce_sum(T.reshape(rows, (3, 12, 16)), out, dim=2)
                for i, j in T.Parallel(3, 12):
                    C[i, j] = out[i, j]

        return kernel

    a = RNG.standard_normal((3, 192)).astype(np.float32)
    _close(make()(a), a.astype(np.float64).reshape(3, 12, 16).sum(-1))


def test_a_vectorised_loop_that_carries_a_value_runs_in_order():
    @tilelang.jit(out_idx=[-1], target="sim")
    def make():
        @T.prim_func
        def kernel(A: T.Tensor((32, 4), "float32"), B: T.Tensor((32,), "float32")):
            with T.Kernel(1, threads=32):
                row = T.get_thread_binding(0)
                B[row] = 0.0
                for k in T.vectorized(4):
                    B[row] = B[row] + A[row, k]

        return kernel

    a = RNG.standard_normal((32, 4)).astype(np.float32)
    _close(make()(a), a.astype(np.float64).sum(1))


def test_a_reduction_into_a_wider_type():
    @tilelang.jit(out_idx=[-1], target="sim")
    def make():
        @T.prim_func
        def kernel(A: T.Tensor((8, 64), "float16"), B: T.Tensor((8,), "float32")):
            with T.Kernel(1, threads=32):
                a = T.alloc_fragment((8, 64), "float16")
                top = T.alloc_fragment((8,), "float32")
                T.copy(A, a)
                T.reduce_absmax(a, top, dim=1)
                T.copy(top, B)

        return kernel

    a = RNG.standard_normal((8, 64)).astype(np.float16)
    assert np.array_equal(make()(a), np.abs(a).max(1).astype(np.float32))


def test_digits_of_a_loop_variable():
    """`p[i, j // 2]` and `table[j % 4]`: an operand's layout decides in one loop, that of the packed tile elsewhere."""

    @tilelang.jit(out_idx=[-2, -1], target="sim")
    def make():
        @T.prim_func
        def kernel(P: T.Tensor((64, 32), "uint8"), B: T.Tensor((64, 64), "float16"), S: T.Tensor((64, 4), "float32"),
                   L: T.Tensor((12,), "float32"), C: T.Tensor((64, 64), "float32"),
                   D: T.Tensor((64, 64), "float32")):  # fmt: skip
            with T.Kernel(1, threads=128):
                b = T.alloc_shared((64, 64), "float16")
                packed = T.alloc_fragment((64, 32), "uint8")
                scale = T.alloc_fragment((64, 4), "float32")
                table = T.alloc_fragment((12,), "float32")
                weights = T.alloc_fragment((64, 64), "float16")
                acc = T.alloc_fragment((64, 64), "float32")
                T.copy(B, b)
                T.copy(P, packed)
                T.copy(S, scale)
                T.copy(L, table)
                for i, j in T.Parallel(64, 64):
                    weights[i, j] = T.cast((packed[i, j // 2] >> (j % 2 * 4)) & 15, "float16") * scale[i, j >> 4]
                T.clear(acc)
                T.gemm(weights, b, acc)
                T.copy(acc, C)
                for i, j in T.Parallel(64, 64):
                    D[i, j] = T.cast(packed[i, j // 2], "float32") * table[j % 4 + i // 32 * 4]

        return kernel

    p = RNG.integers(0, 256, (64, 32), dtype=np.uint8)
    b = RNG.standard_normal((64, 64)).astype(np.float16)
    s = RNG.integers(1, 5, (64, 4)).astype(np.float32)
    t = RNG.standard_normal(12).astype(np.float32)
    c, d = make()(p, b, s, t)
    weights = np.stack([p & 15, p >> 4], axis=-1).reshape(64, 64) * np.repeat(s, 16, axis=1)
    _close(c, weights.astype(np.float64) @ b)
    i, j = np.indices((64, 64))
    _close(d, p.repeat(2, axis=1) * t[j % 4 + i // 32 * 4].astype(np.float64))


def test_layouts_that_are_no_digits_change_no_value() -> None:
    """Rotated rows of a shared tile, threads with a bit turned, a fragment in some of the threads."""

    @T.prim_func
    def main(A: T.Tensor((32, 64), "float32"), B: T.Tensor((32, 64), "float32")):
        with T.Kernel(1, threads=128) as _:
            tile, part = T.alloc_shared((32, 64), "float32"), T.alloc_fragment((32, 64), "float32")
            row = T.alloc_fragment((16,), "float32")
            T.annotate_layout({
                tile: T.Layout((32, 64), lambda i, j: (i, (j + 3 * i) % 64)),
                part: T.Fragment((32, 64), lambda i, j: ((i ^ 1) * 4 + j // 16, j % 16)),
                row: T.Fragment((16,), lambda i: (i * 8 + 1, 0)),
            })  # fmt: skip
            T.copy(A, tile)
            for i, j in T.Parallel(32, 64):
                part[i, j] = tile[i, 63 - j] * 2.0
            T.copy(part, B)
            T.copy(A[3, 0:16], row)
            for i in T.Parallel(16):
                row[i] = row[i] + 1.0
            T.sync_threads()  # other threads have stored there
            T.copy(row, B[5, 0:16])

    a, b = np.random.default_rng(4).standard_normal((32, 64)).astype(np.float32), np.zeros((32, 64), np.float32)
    tilelang.compile(main, target="sim:sm_80")(a, b)
    want = a[:, ::-1] * np.float32(2)
    want[5, :16] = a[3, :16] + 1
    assert np.array_equal(b, want)


@pytest.mark.parametrize(("m", "n", "threads"), [(32, 16, 128), (3, 64, 128), (128, 8, 64)])
def test_sums_in_a_parallel_loop_stay_in_their_thread(m: int, n: int, threads: int) -> None:
    """`acc[i] += x[i, j]`: what the index leaves out is run through by the thread that holds the element."""

    @tilelang.jit(out_idx=[-1], target="sim:sm_90a")
    def make():
        @T.prim_func
        def main(A: T.Tensor((m, n), "float16"), B: T.Tensor((2, m), "float32")):
            with T.Kernel(1, threads=threads):
                tile, top = T.alloc_shared((m, n), "float16"), T.alloc_fragment((m,), "float32")
                rows, acc = T.alloc_fragment((m, n), "float16"), T.alloc_fragment((m,), "float32")
                T.copy(A, tile)
                T.copy(A, rows)
                T.clear(acc)
                T.fill(top, -T.infinity("float32"))
                for i, j in T.Parallel(m, n):
                    acc[i] += T.cast(tile[i, j], "float32")
                for i, j in T.Parallel(m, n):
                    top[i] = T.max(top[i], T.cast(rows[i, j], "float32"))
                T.copy(acc, B[0, :])
                T.copy(top, B[1, :])

        return main

    a = np.random.default_rng(5).standard_normal((m, n)).astype(np.float16)
    got = make()(a)
    _close(got[0], a.astype(np.float64).sum(1))
    assert np.array_equal(got[1], a.astype(np.float32).max(1))


@pytest.mark.parametrize(("shape", "threads"), [((64, 1), 4), ((64, 16), 2), ((128, 2), 1)])
def test_threads_that_share_a_sum_are_an_error(shape: tuple[int, int], threads: int) -> None:
    """Whatever the index leaves out: a variable, a digit of it; not where it names just what threads hold."""
    where = {
        1: lambda i, j: (i % 64 // 16 * 32 + i % 8 * 4 + j % 8 // 2, j % 2),  # thread, neighbour
        2: lambda i, j: (i, j // 4),
        4: lambda i, j: (i, 0),
    }[threads]

    @tilelang.jit(out_idx=[-1], target="sim:sm_90a")
    def make():
        @T.prim_func
        def main(A: T.Tensor((64, 64), "float16"), B: T.Tensor(shape, "float32")):
            with T.Kernel(1, threads=128):
                tile, product = T.alloc_shared((64, 64), "float16"), T.alloc_fragment((64, 64), "float32")
                acc = T.alloc_fragment(shape, "float32")
                T.copy(A, tile)
                T.gemm(tile, tile, product, transpose_B=True, clear_accum=True)
                T.clear(acc)
                for i, j in T.Parallel(64, 64):
                    acc[where(i, j)] += product[i, j]
                T.copy(acc, B)

        return main

    if threads > 1:
        with pytest.raises(LayoutError, match=f"{threads} threads share the iterations that add up to one element of"):
            make()
        return
    a = np.random.default_rng(7).standard_normal((64, 64)).astype(np.float16)
    want = np.zeros(shape)
    np.add.at(want, where(*np.indices((64, 64))), a.astype(np.float64) @ a.T.astype(np.float64))
    _close(make()(a), want)


def test_iterations_that_meet_run_in_order() -> None:
    """Several iterations of a thread update one element of a fragment that the program laid out."""

    @tilelang.jit(out_idx=[-1], target="sim:sm_90a")
    def make():
        @T.prim_func
        def main(A: T.Tensor((32, 64), "float32"), B: T.Tensor((2, 32), "float32")):
            with T.Kernel(1, threads=64):
                x, top = T.alloc_fragment((32, 64), "float32"), T.alloc_fragment((2, 32), "float32")
                T.annotate_layout({
                    x: T.Fragment((32, 64), forward_fn=lambda i, j: (i % 4 * 16 + j // 4, i // 4 * 4 + j % 4)),
                    top: T.Fragment((2, 32), forward_fn=lambda a, k: (a * 8 + k // 8 * 16 + k % 8, 0)),
                })
                T.copy(A, x)
                T.clear(top)
                for i, j in T.Parallel(32, 64):
                    part = (i % 4 * 32 + j % 32) // 4
                    top[j // 32, part] = T.max(top[j // 32, part], T.abs(x[i, j]))
                T.copy(top, B)

        return main

    a = np.random.default_rng(6).standard_normal((32, 64)).astype(np.float32)
    parts = np.abs(a).reshape(8, 4, 2, 8, 4).max((0, 4))  # i // 4, i % 4, j // 32, j % 32 // 4, j % 4
    assert np.array_equal(make()(a), parts.transpose(1, 0, 2).reshape(2, 32))


def test_parts_of_a_fragment_that_lie_in_registers() -> None:
    """`c[i, j + 8]`: where a thread holds whole rows, any column may be written."""

    @tilelang.jit(out_idx=[2], target="sim:sm_90a")
    def make():
        @T.prim_func
        def main(A: T.Tensor((32, 8), "float32"), B: T.Tensor((32, 16), "float32"), C: T.Tensor((32, 24), "float32")):
            with T.Kernel(1, threads=32):
                a, b = T.alloc_fragment((32, 8), "float32"), T.alloc_fragment((32, 16), "float32")
                c = T.alloc_fragment((32, 24), "float32")
                T.annotate_layout({c: T.Fragment((32, 24), lambda i, j: (i % 32, i // 32 * 24 + j))})
                T.copy(A, a)
                T.copy(B, b)
                for i, j in T.Parallel(32, 8):
                    c[i, j] = a[i, j] + 1
                for i, j in T.Parallel(32, 16):
                    c[i, j + 8] = b[i, j] * 2
                T.copy(c, C)

        return main

    a, b = (np.random.default_rng(8).standard_normal((32, n)).astype(np.float32) for n in (8, 16))
    assert np.array_equal(make()(a, b), np.concatenate([a + 1, b * 2], 1))


@pytest.mark.parametrize("target", ["sm_80", "gfx942"])
def test_loops_shorter_than_what_they_write_leave_the_rest(target: str) -> None:
    """Threads run iterations past a loop's end in step with the others: those change no register and no variable."""

    @T.prim_func
    def main(
        A: T.Tensor((64, 64), "float16"), n: T.int32, B: T.Tensor((64, 48), "float32"), V: T.Tensor((4, 128), "float32")
    ):
        with T.Kernel(1, threads=128):
            f, g = T.alloc_fragment((64, 48), "float32"), T.alloc_fragment((48,), "float32")
            s, b = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 48), "float16")
            p, top = T.alloc_local((1,), "float32"), T.alloc_var("float32", init=-1000)
            T.copy(A, s)
            T.copy(A[:, 0:48], b)
            T.gemm(s, b, f, clear_accum=True)
            T.copy(A[0:32, 0:48], f[0:32, :])
            T.fill(g, 3)
            T.fill(g[0:37], 5)
            T.copy(f, B)
            T.copy(g, V[3, 0:48])
            count = T.alloc_var("float32", init=0)
            p[0] = 7
            for i in T.Parallel(137):
                once = T.alloc_local((1,), "float32")
                once[0] = -1 - i
                p[0] = once[0]
                top = T.max(top, p[0])
            for _ in T.Parallel(n):
                count += 1
            t = T.get_thread_binding()
            V[0, t], V[1, t], V[2, t] = p[0], top, count

    a = np.random.default_rng(9).standard_normal((64, 64)).astype(np.float16)
    b, v = np.full((64, 48), np.nan, np.float32), np.full((4, 128), np.nan, np.float32)
    tilelang.compile(main, target=f"sim:{target}")(a, 130, b, v)
    want = a.astype(np.float64) @ a[:, :48].astype(np.float64)
    want[:32] = a[:32, :48]
    assert np.linalg.norm(b - want) < 1e-5 * np.linalg.norm(want)
    t = np.arange(128)
    assert np.array_equal(v[3, :48], np.where(t[:48] < 37, 5, 3))
    assert np.array_equal(v[:2], np.stack([np.where(t < 9, -129 - t, -1 - t), -1 - t])) and v[2].sum() == 130


@pytest.mark.parametrize("target", ["sm_90a", "gfx942"])
def test_parts_of_fragments_as_operands(target: str) -> None:
    """Stores to rows of other threads go through shared memory; products and sums of parts have tiles of their own."""

    @T.prim_func
    def main(A: T.Tensor((64, 64), "float16"), B: T.Tensor((3, 64, 64), "float32")):
        with T.Kernel(1, threads=128):
            f, g = T.alloc_fragment((64, 64), "float32"), T.alloc_fragment((64, 64), "float32")
            sums, s = T.alloc_fragment((128,), "float32"), T.alloc_shared((64, 64), "float16")
            T.copy(A, s)
            T.gemm(s, s, f, clear_accum=True)
            T.copy(A[0:55, 0:32], f[5:60, 8:40])
            T.copy(f, B[0, :, :])
            T.gemm(s[0:32, :], s, f[32:64, :])
            for i, j in T.Parallel(16, 64):
                f[i + 16, j] = f[i + 16, j] + A[i, j]
            T.copy(f, B[1, :, :])
            T.fill(sums, 1)
            T.reduce_sum(f[:, 0:16], sums[64:128], dim=1, clear=False)
            for i, j in T.Parallel(64, 64):
                g[i, j] = sums[i + 64]
            T.copy(g, B[2, :, :])

    a = np.random.default_rng(10).standard_normal((64, 64)).astype(np.float16)
    b, exact = np.full((3, 64, 64), np.nan, np.float32), a.astype(np.float64)
    tilelang.compile(main, target=f"sim:{target}")(a, b)
    want = exact @ exact
    want[5:60, 8:40] = exact[:55, :32]
    _close(b[0], want)
    want[32:] += exact[:32] @ exact
    want[16:32] += exact[:16]
    _close(b[1], want)
    _close(b[2], np.repeat(1 + want[:, :16].sum(1)[:, None], 64, axis=1))


def test_a_variable_of_one_value_adds_no_digit() -> None:
    """`f[i * 1 + r, j]` with a single r is `f[i, j]`: the loop runs where the accumulator lies, without exchange."""

    @tilelang.jit(out_idx=[-1], target="sim:sm_80")
    def make(R: int):
        @T.prim_func
        def kernel(A: T.Tensor((32, 32), "float16"), S: T.Tensor((32 // R, R, 32), "float32")):
            with T.Kernel(1, threads=64):
                a = T.alloc_shared((32, 32), "float16")
                acc = T.alloc_fragment((32, 32), "float32")
                s = T.alloc_fragment((32 // R, R, 32), "float32")
                T.copy(A, a)
                T.gemm(a, a, acc, clear_accum=True)
                for i, r, j in T.Parallel(32 // R, R, 32):
                    s[i, r, j] = acc[i * R + r, j] * 2
                T.copy(s, S)

        return kernel

    a = RNG.standard_normal((32, 32)).astype(np.float16)
    for R in (1, 2, 32):
        kernel = make(R)
        _close(kernel(a), 2 * (a.astype(np.float64) @ a).reshape(32 // R, R, 32), 2e-3)
        assert kernel.ir("laid_out").count('#tl.scope<"shared">>\n') == 1


def test_quotients_of_sums_with_a_part_that_is_negative() -> None:
    """(n + 8) % 7 is n + 8 less a multiple of 7: no negative number, but without the eight it is one."""

    @T.prim_func
    def main(B: T.Tensor((4,), "int32"), n: T.int32):
        with T.Kernel(1, threads=32):
            tx = T.get_thread_binding()
            if tx == 0:
                B[0] = (6 + (n + 8) % 7) % 7
                B[1] = (6 + (n + 8) % 7) // 7
                B[2] = (8 + (n + 9) % 8) % 8
                B[3] = (n % 7 + 14) // 7

    kernel = tilelang.compile(main, target="sim:sm_80")
    for n in (0, 3, -4, 10):
        got = np.full(4, -1, np.int32)
        kernel(got, n)
        assert got.tolist() == [(6 + (n + 8) % 7) % 7, (6 + (n + 8) % 7) // 7, (8 + (n + 9) % 8) % 8, (n % 7 + 14) // 7]
