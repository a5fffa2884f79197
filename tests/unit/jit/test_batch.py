"""Whole compilations in worker processes give what compiling here gives, for every kind of target."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import cache, knobs
from tilelang_mlir.errors import LayoutError, TileTypeError
from tilelang_mlir.jit.batch import Batch


@pytest.fixture(autouse=True)
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(cache, "KERNELS", cache.KernelCache())
    with knobs.overrides({"TILELANG_CACHE_DIR": str(tmp_path / "cache"), "TILELANG_DISABLE_CACHE": False}):
        yield


def filling(value: float, broken: bool = False) -> Any:
    @T.prim_func
    def fill(A: T.Tensor((256,), "float32")):
        with T.Kernel(1, threads=128) as _:
            tile = T.alloc_fragment((256,), "float32")
            T.fill(tile, value)
            if broken:
                for i in T.serial(256):
                    tile[i] = tile[i] + 1.0
            T.copy(tile, A)

    return fill


@pytest.mark.parametrize("target", ["sim:sm_90a", "cuda:sm_80", "cuda:sm_90a"])
def test_batches_give_the_same_code(target: str) -> None:
    many = tilelang.par_compile([filling(1.0), filling(2.0)], target=target, num_workers=2)
    cache.KERNELS = cache.KernelCache()
    with knobs.overrides({"TILELANG_DISABLE_CACHE": True}):
        for value, kernel in zip((1.0, 2.0), many, strict=True):
            alone = tilelang.compile(filling(value), target=target)
            assert kernel is not None and kernel.ir("lowered") == alone.ir("lowered")
            assert kernel.plan == alone.plan and kernel.resources == alone.resources
            if not kernel.target.simulated:
                assert kernel.get_kernel_source() == alone.get_kernel_source()


def test_errors_come_back_with_their_place() -> None:
    with Batch(1) as batch:
        future = batch.submit(filling(1.0, broken=True), target="sim:sm_80")
        with pytest.raises(LayoutError, match=r"test_batch.py:\d+:\d+: thread 1 accesses element \[0\]"):
            future.result()
        with pytest.raises(TileTypeError, match="expected a prim_func"):
            batch.submit(3).result()


def test_results_are_cached_and_executors_stay_open() -> None:
    with ThreadPoolExecutor(1) as threads:
        with Batch(executor=threads) as batch:
            first = batch.submit(filling(3.0), target="sim:sm_80").result()
        assert threads.submit(lambda: 3).result() == 3
    with Batch(1) as batch:
        assert batch.submit(filling(3.0), target="sim:sm_80").result() is first
    assert tilelang.compile(filling(3.0), target="sim:sm_80") is first
