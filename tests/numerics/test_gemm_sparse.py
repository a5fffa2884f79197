"""Products with a 2:4 sparse A: simulator and reference evaluator against the dense product, and the helpers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hopper_programs import NUMPY, f64, poisoned

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import ArgumentError, TileTypeError, TileValueError, UnsupportedError
from tilelang_mlir.reference import evaluate
from tilelang_mlir.utils.sparse import compress, compress_sm90, get_e_factor

M, N, K = 64, 40, 256


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def program(dtype: str, sums: str, meta: str, ta: bool, tb: bool, *, own: str = "", block_K: int = 128) -> Any:
    f = get_e_factor(dtype, meta)
    pick: Callable[[int, int, bool], tuple[int, int]] = lambda a, b, turned: (b, a) if turned else (a, b)

    @T.prim_func
    def main(
        A: T.Tensor(pick(M, K // 2, ta), dtype),
        E: T.Tensor(pick(M, K // f, ta), meta),
        B: T.Tensor(pick(K, N, tb), dtype),
        C: T.Tensor((M, N), sums),
    ):
        with T.Kernel(1, threads=64) as _:
            a = T.alloc_shared(pick(M, block_K // 2, ta), dtype)
            e = T.alloc_shared(pick(M, block_K // f, ta), meta)
            b = T.alloc_shared(pick(block_K, N, tb), dtype)
            c = T.alloc_fragment((M, N), sums)
            own_a = T.alloc_fragment(pick(M, block_K // 2, ta), dtype)
            own_b = T.alloc_fragment(pick(block_K, N, tb), dtype)
            T.clear(c)
            for k in T.Pipelined(K // block_K, num_stages=2):
                if ta:
                    T.copy(A[k * block_K // 2, 0], a)
                    T.copy(E[k * block_K // f, 0], e)
                else:
                    T.copy(A[0, k * block_K // 2], a)
                    T.copy(E[0, k * block_K // f], e)
                if tb:
                    T.copy(B[0, k * block_K], b)
                else:
                    T.copy(B[k * block_K, 0], b)
                if "a" in own:
                    T.copy(a, own_a)
                if "b" in own:
                    T.copy(b, own_b)
                if own:
                    T.gemm_sp(own_a if "a" in own else a, e, own_b if "b" in own else b, c, ta, ta, tb)
                else:
                    T.gemm_sp(a, e, b, c, ta, ta, tb, policy=T.GemmWarpPolicy.FullRow)
            T.copy(c, C)

    return main


def sparse(dtype: str, seed: int = 3, shape: tuple[int, int] = (M, K)) -> np.ndarray:
    """A matrix [M, K] with half of its elements zero, here and there more."""
    rng = np.random.default_rng(seed)
    group = 2 if dtype == "float32" else 4
    keep = np.argsort(rng.random((shape[0], shape[1] // group, group)), -1) < group // 2
    dense = rng.standard_normal(shape) * (20 if dtype == "int8" else 1)
    dense = dense * keep.reshape(shape) * (rng.random(shape) < 0.9)
    return dense.astype(NUMPY[dtype])


@pytest.mark.parametrize(
    ("dtype", "sums", "meta", "ta", "tb", "target", "tolerance"),
    [
        ("float16", "float32", "int16", False, False, "sm_80", 1e-6),
        ("bfloat16", "float32", "int32", False, True, "sm_90a", 1e-6),
        ("int8", "int32", "int32", False, True, "sm_80", 0),
        ("int8", "int32", "int8", True, False, "sm_80", 0),
        ("float8_e4m3", "float32", "int16", False, True, "sm_89", 1e-6),
        ("float16", "float16", "int8", True, True, "sm_80", 2e-3),
        ("float32", "float32", "int16", False, True, "sm_80", 2e-3),
    ],
)
def test_products(dtype: str, sums: str, meta: str, ta: bool, tb: bool, target: str, tolerance: float) -> None:
    main, dense = program(dtype, sums, meta, ta, tb), sparse(dtype)
    b = (np.random.default_rng(4).standard_normal((N, K) if tb else (K, N)) * (20 if dtype == "int8" else 1)).astype(
        NUMPY[dtype]
    )
    a, e = compress(dense.T.copy() if ta else dense, transposed=ta, meta_dtype=meta)
    expected = f64(dense) @ (f64(b).T if tb else f64(b))
    for run in (tilelang.compile(main, target=f"sim:{target}"), lambda *t: evaluate(main.module, "main", t)):
        c = poisoned((M, N), sums) if sums != "int32" else np.zeros((M, N), np.int32)
        run(a, e, b, c)
        assert np.linalg.norm(f64(c) - expected) <= tolerance * np.linalg.norm(expected)


def warpgroup_program(
    M: int, N: int, K: int, tile: tuple[int, int, int], threads: int, dtype: str, sums: str, meta: str, tb: bool,
    hand: bool = False,
) -> Any:  # fmt: skip
    """C = A B of tiles for warpgroups; by hand with the wait in the program and A in registers."""
    f, (block_M, block_N, block_K) = get_e_factor(dtype, meta), tile

    @T.prim_func
    def main(
        A: T.Tensor((M, K // 2), dtype),
        E: T.Tensor((M, K // f), meta),
        B: T.Tensor((N, K) if tb else (K, N), dtype),
        C: T.Tensor((M, N), sums),
    ):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=threads) as (bx, by):
            a, e = T.alloc_shared((block_M, block_K // 2), dtype), T.alloc_shared((block_M, block_K // f), meta)
            b = T.alloc_shared((block_N, block_K) if tb else (block_K, block_N), dtype)
            c, own = T.alloc_fragment((block_M, block_N), sums), T.alloc_fragment((block_M, block_K // 2), dtype)
            T.clear(c)
            for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=2):
                T.copy(A[by * block_M, k * block_K // 2], a)
                T.copy(E[by * block_M, k * block_K // f], e)
                if tb:
                    T.copy(B[bx * block_N, k * block_K], b)
                else:
                    T.copy(B[k * block_K, bx * block_N], b)
                if hand:
                    T.copy(a, own)
                    T.wgmma_gemm_sp(own, e, b, c, False, False, tb)
                    T.wait_wgmma(0)
                else:
                    T.gemm_sp(a, e, b, c, False, False, tb)
            T.copy(c, C[by * block_M, bx * block_N])

    return main


@pytest.mark.parametrize(
    ("sizes", "tile", "threads", "kinds", "tb", "form"),
    [
        ((200, 136, 384), (128, 64, 256), 256, ("float16", "float32", "int16"), True, "roles"),
        ((128, 72, 256), (64, 64, 128), 128, ("bfloat16", "float32", "int32"), False, "roles"),
        ((128, 32, 512), (128, 32, 256), 256, ("int8", "int32", "int32"), True, "roles"),
        ((64, 64, 256), (64, 64, 64), 128, ("float8_e4m3", "float32", "int8"), True, ""),
        ((64, 40, 64), (64, 40, 32), 128, ("float32", "float32", "int16"), True, ""),
        ((64, 64, 128), (64, 64, 64), 128, ("float16", "float32", "int16"), True, "hand"),
    ],
    ids=lambda x: "-".join(map(str, x)) if isinstance(x, tuple) else str(x),
)
def test_warpgroups(sizes: Any, tile: Any, threads: int, kinds: tuple[str, str, str], tb: bool, form: str) -> None:
    """wgmma.sp, by roles where the rows of metadata can be bulk copies; what lies outside multiplies zeros."""
    (rows, columns, depth), (dtype, sums, meta) = sizes, kinds
    main = warpgroup_program(rows, columns, depth, tile, threads, dtype, sums, meta, tb, hand=form == "hand")
    dense, scale = sparse(dtype, shape=(rows, depth)), 20 if dtype == "int8" else 1
    b = np.random.default_rng(4).standard_normal((columns, depth) if tb else (depth, columns)) * scale
    a, e = compress(dense, meta_dtype=meta)
    kernel = tilelang.compile(main, target="sim:sm_90a")
    c = poisoned((rows, columns), sums) if sums != "int32" else np.zeros((rows, columns), np.int32)
    kernel(a, e, b.astype(NUMPY[dtype]), c)
    right = f64(b.astype(NUMPY[dtype]))
    expected = f64(dense) @ (right.T if tb else right)
    limit = {"float32": 2e-3, "int8": 0}.get(dtype, 1e-6)
    assert np.linalg.norm(f64(c) - expected) <= limit * np.linalg.norm(expected)
    assert "wgmma.mma_async.sp" in kernel.ir("lowered")
    assert ("tl.specialize" in kernel.ir("scheduled")) == (form == "roles")


@pytest.mark.parametrize(
    ("own", "meta", "turned", "target"),
    [("a", "int16", False, "sm_80"), ("ab", "int16", True, "sm_80"), ("b", "int32", False, "sm_90a")],
)
def test_operands_in_registers(own: str, meta: str, turned: bool, target: str) -> None:
    main, dense = program("float16", "float32", meta, turned, not turned, own=own), sparse("float16")
    b, c = np.random.default_rng(5).standard_normal((K, N)).astype(np.float16), poisoned((M, N), "float32")
    a, e = compress(dense.T.copy() if turned else dense, transposed=turned, meta_dtype=meta)
    bytes_of_e = compress_sm90(dense, block_k=64)[1]
    assert bytes_of_e.dtype == np.uint8 and bytes_of_e.tobytes() == (e.T.copy() if turned else e).tobytes()
    tilelang.compile(main, target=f"sim:{target}")(a, e, b if turned else b.T.copy(), c)
    expected = f64(dense) @ f64(b)
    assert np.linalg.norm(f64(c) - expected) <= 1e-6 * np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("target", "dtype", "instruction"),
    [
        ("sm_80", "float16", "mma.sp.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32"),
        ("sm_90a", "float16", "mma.sp::ordered_metadata.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32"),
        ("sm_89", "float8_e4m3", "mma.sp.sync.aligned.m16n8k64.row.col.f32.e4m3.e4m3.f32"),
    ],
)
def test_becomes_ptx(target: str, dtype: str, instruction: str) -> None:
    ptx = tilelang.compile(program(dtype, "float32", "int16", False, True), target=target).get_kernel_source()
    assert instruction in ptx


def test_compress() -> None:
    """Bits by hand: the place of the first element low; what is missing takes the first free places."""
    dense = np.zeros((1, 16), np.float16)
    dense[0, [1, 3]], dense[0, 6], dense[0, 8] = (1, 2), 3, 4
    kept, meta = compress(dense)
    assert kept.tolist() == [[1, 2, 0, 3, 4, 0, 0, 0]]
    assert meta.dtype == np.int16 and meta.view(np.uint16)[0, 0] == 0b0100_0100_1000_1101
    pairs = np.array([[0, 5, 7, 0, 0, 0, 0, 2]], np.float32)
    kept, meta = compress(pairs)
    assert kept.tolist() == [[5, 7, 0, 2]] and meta.view(np.uint16)[0, 0] == 0b1110_0100_0100_1110
    with pytest.raises(ArgumentError, match="more than 2 elements in a group of 4"):
        compress(np.ones((1, 16), np.float16))
    with pytest.raises(ArgumentError, match="no multiple of 16"):
        compress(np.zeros((1, 8), np.float16))
    with pytest.raises(ArgumentError, match="two dimensions"):
        compress(np.zeros(16, np.float16))


def test_compress_torch() -> None:
    torch = pytest.importorskip("torch")
    from tilelang_mlir.utils.sparse import randint_semi_sparse, randn_semi_sparse

    for dtype, kind in ((torch.float16, np.float16), (torch.float8_e5m2, NUMPY["float8_e5m2"]), (torch.float32, None)):
        for meta_dtype in ("int8", "int16", "int32"):
            dense = randn_semi_sparse(16, 64, dtype=dtype, device="cpu")  # with zeros of either sign
            kept, meta = compress(dense, meta_dtype=meta_dtype)
            assert kept.dtype == dtype and meta.dtype == getattr(torch, meta_dtype)
            want, places = compress(dense.to(torch.float32).numpy().astype(kind or np.float32), meta_dtype=meta_dtype)
            assert (kept.to(torch.float32).numpy() == want.astype(np.float32)).all() and (meta.numpy() == places).all()
    with pytest.raises(ArgumentError, match="more than 2 elements in a group of 4"):
        compress(torch.ones(1, 16, dtype=torch.float16))
    kept, meta = compress(randint_semi_sparse(32, 64, -3, 4, device="cpu", transposed=True), transposed=True)
    assert kept.shape == (32, 32) and meta.shape == (2, 32) and meta.dtype == torch.int32


WRONG: list[tuple[str, type[Exception], str]] = [
    ("T.gemm_sp(a, e, b[0:32, :], c)", TileValueError, "the shapes of T.gemm_sp do not agree"),
    ("T.gemm_sp(a, b, b, c)", TileTypeError, "no products of float16 with metadata in float16"),
    ("T.gemm_sp(a, e, b, a)", TileTypeError, "operand C of T.gemm_sp is in shared memory, expected fragment"),
    ("T.gemm_sp(a, x, b, c)", TileValueError, r"the metadata of T.gemm_sp are \(64, 8\), expected \(64, 4\)"),
    ("T.gemm_sp(a, c, b, c)", TileTypeError, "operand E of T.gemm_sp is in fragment memory"),
    ("T.gemm_sp(a[0, 0], e, b, c)", TileValueError, "must be a two-dimensional tile, got an address"),
]


@pytest.mark.parametrize(("line", "kind", "message"), WRONG)
def test_wrong_use(line: str, kind: type[Exception], message: str) -> None:
    def body(a: Any, e: Any, x: Any, b: Any, c: Any) -> None:
        eval(line, {"T": T, "a": a, "e": e, "x": x, "b": b, "c": c})

    with pytest.raises(kind, match=message):

        @T.prim_func
        def main(A: T.Tensor((64,), "float16")):
            with T.Kernel(1, threads=64) as _:
                a = T.alloc_shared((64, 32), "float16")
                e = T.alloc_shared((64, 4), "int16")
                x = T.alloc_shared((64, 8), "int16")
                b = T.alloc_shared((64, 32), "float16")
                c = T.alloc_fragment((64, 32), "float32")
                body(a, e, x, b, c)


def test_targets_and_sizes() -> None:
    with pytest.raises(UnsupportedError, match="T.gemm_sp needs sparse matrix instructions, which sim:sm_75 lacks"):
        tilelang.compile(program("float16", "float32", "int16", False, True), target="sim:sm_75")
    with pytest.raises(UnsupportedError, match="T.wgmma_gemm_sp cannot run on .* here: sim:sm_80 has no wgmma"):
        hand = warpgroup_program(64, 64, 64, (64, 64, 64), 128, "float16", "float32", "int16", tb=True, hand=True)
        tilelang.compile(hand, target="sim:sm_80")
    with pytest.raises(UnsupportedError, match="K = 32 is no multiple of 64"):
        tilelang.compile(program("int8", "int32", "int8", False, True, block_K=32), target="sim:sm_80")
