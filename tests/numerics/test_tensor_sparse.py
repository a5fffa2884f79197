"""Products of a 2:4 sparse A into tensor memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hopper_programs import NUMPY, check, f64, poisoned
from tensor_programs import compiled, instructions

import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import RaceError, TileTypeError, TileValueError, UnsupportedError
from tilelang_mlir.reference import evaluate
from tilelang_mlir.utils.sparse import compress, get_e_factor

M, BLOCK = 128, 128


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def product(
    dtype: str, N: int, K: int, *, sums: str = "float32", meta: str = "int16", along_k: bool = True, threads: int = 128,
    rows: int = M, turned: bool = False, wait: bool = True, scope: Any = T.alloc_tmem,
) -> Any:  # fmt: skip
    f = get_e_factor(dtype, meta)
    shape, tile = ((N, K), (N, BLOCK)) if along_k else ((K, N), (BLOCK, N))

    @T.prim_func
    def main(
        A: T.Tensor((rows, K // 2), dtype), E: T.Tensor((rows, K // f), meta), B: T.Tensor(shape, dtype),
        C: T.Tensor((rows, N), sums),
    ):  # fmt: skip
        with T.Kernel(1, threads=threads):
            a, e = T.alloc_shared((rows, BLOCK // 2), dtype), T.alloc_shared((rows, BLOCK // f), meta)
            b, c = T.alloc_shared(tile, dtype), scope((rows, N), sums)
            out, done = T.alloc_fragment((rows, N), sums), T.alloc_barrier(1)
            for k in T.serial(K // BLOCK):
                T.copy(A[0, k * BLOCK // 2], a)
                T.copy(E[0, k * BLOCK // f], e)
                if along_k:
                    T.copy(B[0, k * BLOCK], b)
                else:
                    T.copy(B[k * BLOCK, 0], b)
                T.tcgen05_gemm_sp(
                    a, e, b, c, transpose_E=turned, transpose_B=along_k, mbar=done, clear_accum=k == 0
                )
                if wait:
                    T.mbarrier_wait_parity(done, k % 2)
            T.copy(c, out)
            T.copy(out, C)

    return main


def sparse(shape: tuple[int, int], dtype: str, seed: int) -> Any:
    """A matrix with half of the elements of every group."""
    rng = np.random.default_rng(seed)
    group = 2 if dtype == "float32" else 4
    value = rng.integers(-8, 9, shape) if dtype == "int8" else rng.standard_normal(shape)
    parts = value.reshape(shape[0], -1, group)
    np.put_along_axis(parts, np.argsort(rng.random(parts.shape), -1)[..., : group // 2], 0, -1)
    return _stored(parts.reshape(shape), dtype)


def _stored(value: Any, dtype: str) -> Any:
    out = value.astype(NUMPY[dtype])
    return (out.view(np.uint32) & 0xFFFFE000).view(np.float32) if dtype == "float32" else out  # exact as tf32


CASES = [
    ("float16", 48, {}), ("bfloat16", 64, {"along_k": False}), ("float32", 32, {}),
    ("float8_e4m3", 80, {"meta": "int32", "threads": 256}), ("int8", 32, {"meta": "int32", "sums": "int32"}),
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "N", "options"), CASES, ids=[c[0] for c in CASES])
def test_products(dtype: str, N: int, options: dict[str, Any]) -> None:
    K = 2 * BLOCK
    a = sparse((M, K), dtype, 0)
    b = _stored(np.random.default_rng(1).standard_normal((N, K)) * 4, dtype)
    kept, metadata = compress(a, meta_dtype=options.get("meta", "int16"))
    given = b if options.get("along_k", True) else np.ascontiguousarray(b.T)
    program = product(dtype, N, K, **options)
    found, other = (poisoned((M, N), options.get("sums", "float32")) for _ in range(2))
    compiled(program)(kept, metadata, given, found)
    evaluate(program.module, "main", (kept, metadata, given, other))
    want = f64(a) @ f64(b).T
    if dtype == "int8":
        assert (found == want).all() and (other == want).all()
        return
    check(found, want, "float32")
    check(other, want, "float32")


@pytest.mark.parametrize("arch", ["sm_100a", "sm_103a"])
def test_machine_code(arch: str) -> None:
    program = product("float16", 128, 512)
    kernel = compiled(program, f"cuda:{arch}")
    assert kernel.get_kernel_source().count("tcgen05.mma.sp.cta_group::1.kind::f16") == 4
    assert kernel.artifact.binary[:4] == b"\x7fELF" and kernel.n_spills == 0
    if arch == "sm_100a":
        found = instructions(program)
        assert found["UTCHMMA"] == 4 and found["STTM"] and not found["HMMA"] + found["STL"]


@pytest.mark.parametrize(
    ("options", "target", "kind", "text"),
    [
        ({"rows": 64}, "sim:sm_100a", UnsupportedError, "no sparse product with an accumulator of 64 rows"),
        ({"meta": "int32"}, "sim:sm_100a", UnsupportedError, "metadata of i32; those of f16 are of i16"),
        ({}, "sim:sm_90a", UnsupportedError, "which sim:sm_90a lacks"),
        ({"turned": True}, "sim:sm_100a", TileValueError, "T.tcgen05_gemm_sp takes E as"),
        ({"scope": T.alloc_fragment}, "sim:sm_100a", TileTypeError, "is in fragment memory, expected tmem"),
    ],
    ids=["rows", "metadata", "target", "transposed metadata", "fragment"],
)
def test_wrong_use(options: dict[str, Any], target: str, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        compiled(product("float16", 64, 256, **options), target)


def test_a_product_that_nobody_waits_for() -> None:
    a = sparse((M, 256), "float16", 0)
    kept, metadata = compress(a)
    with pytest.raises(RaceError, match="not ordered after the read by an asynchronous operation"):
        compiled(product("float16", 64, 256, wait=False))(kept, metadata, a[:64], poisoned((M, 64), "float32"))
