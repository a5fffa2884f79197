"""Words, copies of bytes, regions of warpgroups and single instructions in the reference evaluator."""

from __future__ import annotations

import numpy as np
import pytest

import tilelang_mlir.language as T
from tilelang_mlir.errors import UninitializedReadError
from tilelang_mlir.reference import evaluate


def test_words_with_a_predicate() -> None:
    """Halves two by two through shared memory; where the predicate fails, zeros are loaded and nothing is stored."""

    @T.prim_func
    def main(X: T.Tensor((64,), "float16"), Y: T.Tensor((64,), "float16")):
        with T.Kernel(1, threads=32) as _:
            tx = T.get_thread_binding()
            tile = T.alloc_shared((64,), "float16")
            T.sts32(tile[2 * tx], T.ldg32(X[2 * tx], pred=tx < 20))
            T.sync_threads()
            T.stg32(Y[2 * tx], T.lds32(tile[62 - 2 * tx]), pred=tx > 3)

    x, y = np.arange(1, 65, dtype=np.float16), np.full(64, -1, np.float16)
    evaluate(main.module, "main", [x, y])
    tile = np.where(np.arange(64) < 40, x, 0)
    expected = tile.reshape(32, 2)[::-1].reshape(64).copy()
    expected[:8] = -1
    np.testing.assert_array_equal(y, expected)


def test_copies_of_bytes() -> None:
    """cp.async of eight bytes: zeros where the predicate fails; floats of eight bits, four to a word."""

    @T.prim_func
    def main(X: T.Tensor((32, 8), "float8_e4m3"), Y: T.Tensor((32, 8), "float8_e4m3")):
        with T.Kernel(1, threads=32) as _:
            tx = T.get_thread_binding()
            tile = T.alloc_shared((32, 8), "float8_e4m3")
            T.ptx_cp_async(T.access_ptr(tile[tx, 0], "w"), T.access_ptr(X[31 - tx, 0], "r"), 8, tx % 3 != 0)
            T.ptx_commit_group()
            T.ptx_wait_group(0)
            T.sync_threads()
            for i in T.serial(8):
                Y[tx, i] = tile[tx, i]

    x = np.arange(256, dtype=np.uint8).reshape(32, 8) % 100
    y = np.full((32, 8), 7, np.uint8)
    evaluate(main.module, "main", [x, y])
    expected = x[::-1] * (np.arange(32) % 3 != 0)[:, None]
    np.testing.assert_array_equal(y, expected.astype(np.uint8))


def test_regions_of_warpgroups_wait_for_each_other() -> None:
    """One warpgroup fills a tile and arrives, the other one waits; one thread of each warp is elected."""

    @T.prim_func
    def main(X: T.Tensor((256,), "float32"), E: T.Tensor((8,), "int32")):
        with T.Kernel(1, threads=256) as _:
            tx = T.get_thread_binding()
            tile = T.alloc_shared((128,), "float32")
            full = T.alloc_barrier(128)
            with T.ws(1):
                T.mbarrier_wait_parity(full, 0)
                X[tx] = tile[tx - 128] + 1
            with T.ws(0):
                tile[tx] = X[tx]
                T.mbarrier_arrive(full)
            if T.shuffle_elect(32):
                E[tx // 32] = tx

    x, e = np.arange(256, dtype=np.float32), np.full(8, -1, np.int32)
    evaluate(main.module, "main", [x, e])
    np.testing.assert_array_equal(x[128:], np.arange(128) + 1)
    np.testing.assert_array_equal(e, np.arange(8) * 32)


def test_words_that_nothing_has_written() -> None:
    @T.prim_func
    def main(Y: T.Tensor((32,), "float16")):
        with T.Kernel(1, threads=16) as _:
            tile = T.alloc_shared((32,), "float16")
            tx = T.get_thread_binding()
            T.stg32(Y[2 * tx], T.lds32(tile[2 * tx]))

    with pytest.raises(UninitializedReadError):
        evaluate(main.module, "main", [np.zeros(32, np.float16)])
