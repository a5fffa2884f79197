"""Autotuning on the simulator: the candidates that fail, the one that is found, caches, executors."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import cache, knobs
from tilelang_mlir.autotuner import AutoTuner, AutotuneResult, autotune, get_autotune_inputs, set_autotune_inputs
from tilelang_mlir.autotuner import jit as old_jit
from tilelang_mlir.autotuner import search as searching
from tilelang_mlir.errors import CacheError, TileError, TileTypeError, TileValueError

torch = pytest.importorskip("torch")
TARGET = "sim:sm_80"


@pytest.fixture(autouse=True)
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(cache, "KERNELS", cache.KernelCache())
    with knobs.overrides({"TILELANG_CACHE_DIR": str(tmp_path / "cache"), "TILELANG_DISABLE_CACHE": False}):
        yield tmp_path / "cache"


def scaling(block: int = 64, threads: int = 32, factor: float = 2.0) -> Any:
    @T.prim_func
    def scale(X: T.Tensor((100,), "float32"), Y: T.Tensor((100,), "float32")):
        with T.Kernel(T.ceildiv(100, block), threads=threads) as b:
            for i in T.Parallel(block):
                Y[b * block + i] = X[b * block + i] * factor

    return scale


def tuner(configs: Any, **settings: Any) -> AutoTuner:
    made = AutoTuner.from_kernel(scaling, configs).set_compile_args(out_idx=[-1], target=TARGET)
    return made.set_profile_args(ref_prog=lambda x: 2 * x, **settings)


def test_the_fastest_right_candidate_is_found(private_cache: Path) -> None:
    configs = [
        {"block": 64}, {"block": 128, "threads": 64}, {"threads": 4096},  # the last one is refused
        {"block": 64, "factor": 3.0},  # and this one gives wrong results
    ]  # fmt: skip
    found = tuner(configs).run(warmup=0, rep=1)
    outcomes = dict(zip(range(4), (outcome for _, outcome in found.tried), strict=True))
    assert isinstance(outcomes[0], float) and isinstance(outcomes[1], float)
    assert "at most 1024" in str(outcomes[2]) and "of 100 elements differ" in str(outcomes[3])
    assert found.config in configs[:2] and found.latency == min(outcomes[0], outcomes[1])
    assert found.kernel is not None and found.kernel.config == found.config and found.ref_latency is not None
    torch.testing.assert_close(found.kernel(torch.ones(100)), torch.full((100,), 2.0))
    assert found.kernel.get_tuner_result()["latency"] == found.latency


def test_no_candidate_is_left() -> None:
    with pytest.raises(TileError, match=r"no candidate of 1 compiles(.|\n)*at most 1024"):
        tuner([{"threads": 4096}]).run(warmup=0, rep=1)
    with pytest.raises(TileValueError, match="at least one configuration"):
        tuner([]).run()
    with pytest.raises(TileTypeError, match="settings are warmup, rep"):
        tuner([{}]).set_profile_args(wrong=3)


def test_results_are_found_again(private_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = tuner([{"block": 64}]).run(warmup=0, rep=1)
    monkeypatch.setattr("tilelang_mlir.autotuner.tuner.search", None)  # not called again
    again = tuner([{"block": 64}]).run(warmup=0, rep=1)
    assert (again.latency, again.config) == (first.latency, first.config)
    assert again.kernel is not None
    torch.testing.assert_close(again.kernel(torch.ones(100)), torch.full((100,), 2.0))
    with pytest.raises(TypeError), knobs.overrides({"TILELANG_AUTO_TUNING_DISABLE_CACHE": True}):
        tuner([{"block": 64}]).run(warmup=0, rep=1)


def test_saving_is_atomic_and_damage_is_noticed(tmp_path: Path) -> None:
    found = tuner([{"block": 64}]).run(warmup=0, rep=1)
    folder = tmp_path / "results" / "one"
    for _ in range(2):  # an existing folder is replaced
        found.save_to_disk(folder)
    assert [path.name for path in folder.parent.iterdir()] == ["one"]
    loaded = AutotuneResult.load_from_disk(folder)
    assert loaded is not None and loaded.config == {"block": 64}
    (folder / "kernel.bin").write_bytes(b"damaged")
    assert AutotuneResult.load_from_disk(folder) is None and AutotuneResult.load_from_disk(tmp_path / "none") is None
    with pytest.raises(CacheError, match="empty"):
        AutotuneResult().save_to_disk(folder)
    found.config = {"layout": object()}
    with pytest.raises(CacheError, match="cannot be saved"):
        found.save_to_disk(tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("kind", ["threads", "processes", "dask"])
def test_any_executor_compiles(kind: str) -> None:
    if kind == "dask":
        distributed = pytest.importorskip("distributed")
        with distributed.LocalCluster(1, threads_per_worker=1, dashboard_address=None) as cluster:
            with distributed.Client(cluster) as client:
                found = tuner({"block": [32, 64]}).run(warmup=0, rep=1, executor=client.get_executor())
        assert len(found.tried) == 2 and all(isinstance(outcome, float) for _, outcome in found.tried)
        return
    made = ThreadPoolExecutor(2) if kind == "threads" else ProcessPoolExecutor(1, mp_context=get_context("spawn"))
    with made as executor:
        found = tuner({"block": [32, 64]}).run(warmup=0, rep=1, executor=executor)
    assert len(found.tried) == 2 and all(isinstance(outcome, float) for _, outcome in found.tried)


def test_lazy_decorator() -> None:
    calls: list[int] = []

    @tilelang.autotune(configs={"block": [32, 64], "threads": [32]}, warmup=0, rep=1)
    @tilelang.jit(out_idx=[-1], target=TARGET)
    def factory(n, block=None, threads=None):
        calls.append(block)
        return scaling(block, threads)

    kernel = factory(100)
    assert calls == [32, 64] and kernel.config in ({"block": 32, "threads": 32}, {"block": 64, "threads": 32})
    assert factory(100) is kernel and factory.compile(n=100) is kernel and len(calls) == 2
    plain = factory(100, block=16, threads=32)
    assert plain.config is None and len(calls) == 3
    torch.testing.assert_close(plain(torch.ones(100)), torch.full((100,), 2.0))
    assert factory.out_idx == [-1]  # other names are the jit function's
    assert list(factory.signature.parameters) == ["n", "block", "threads"]
    called = tilelang.autotune(configs=lambda n: [{"block": 32}, {"block": 64, "pass_configs": {}}], warmup=0, rep=1)
    told = called(factory.jit_impl)
    assert told(100, block=16, threads=32) is plain and told(100, 16, 32) is plain and not told.results

    def whole_call(args, kwargs):
        return [{"block": args[0] // 2, "threads": kwargs.get("threads", 32)}]

    whole = tilelang.autotune(configs=whole_call, warmup=0, rep=1)(factory.jit_impl)
    assert whole(128).config == {"block": 64, "threads": 32}
    again = tilelang.autotune(configs={"block": [32, 64], "threads": [32]}, warmup=0, rep=1,
                              do_not_specialize=["block", "threads"])(factory.jit_impl)  # fmt: skip
    assert again(100, block=16, threads=8).config["threads"] == 32  # where such names are searched, calls do not decide


def test_eager_decorator_and_pass_configs() -> None:
    @autotune(configs=lambda X, **_: [{"block": 32}, {"block": 64, "pass_configs": {"tl.enable_fast_math": True}}],
              warmup=0, rep=1, do_not_specialize=["factor"])  # fmt: skip
    @tilelang.jit(target=TARGET)
    def scale(X, factor: T.float32 = 2.0, block: int = 16):
        N = T.const("N")
        X: T.Tensor((N,), "float32")
        Y = T.empty((N,), "float32")
        with T.Kernel(T.ceildiv(N, block), threads=32) as b:
            for i in T.Parallel(block):
                Y[b * block + i] = X[b * block + i] * factor
        return Y

    for size in (50, 70):
        x = torch.randn(size)
        torch.testing.assert_close(scale(x), 2 * x)
        torch.testing.assert_close(scale(x, 3.0), 3 * x)
    assert len(scale.results) == 2


def test_inputs_are_supplied() -> None:
    seen: list[Any] = []

    def reference(x: Any) -> Any:
        seen.append(float(x[0]))
        return 2 * x

    settings = {"warmup": 0, "rep": 1}
    with set_autotune_inputs(torch.full((100,), 7.0)):
        assert get_autotune_inputs() is not None
        AutoTuner.from_kernel(scaling, [{"block": 32}]).set_compile_args(out_idx=[-1], target=TARGET).set_profile_args(
            ref_prog=reference
        ).run(**settings)
    assert set(seen) == {7.0} and get_autotune_inputs() is None
    seen.clear()
    supply = lambda params: [torch.full((100,), float(len(params)))]
    tuner([{"block": 48}], supply_prog=supply).set_profile_args(ref_prog=reference).run(**settings)
    assert set(seen) == {1.0}


def test_configs_and_workers() -> None:
    assert searching.expand({"a": [1, 2], "b": [3]}) == [{"a": 1, "b": 3}, {"a": 2, "b": 3}]
    assert searching.expand(lambda n: [{"a": n}], (5,)) == [{"a": 5}]
    with pytest.raises(TileValueError, match="must be a list of dictionaries, got int"):
        searching.expand(3)
    with pytest.raises(TileValueError, match="must be a dictionary, got 4"):
        searching.expand([4])
    with knobs.overrides({"TILELANG_AUTO_TUNING_CPU_COUNTS": 3}):
        assert searching.workers(8) == 3 and searching.workers(2) == 2
    with knobs.overrides({"TILELANG_AUTO_TUNING_CPU_COUNTS": 8, "TILELANG_AUTO_TUNING_MAX_CPU_COUNT": 2}):
        assert searching.workers(64) == 2
    with pytest.raises(TileTypeError, match="decorates jit functions, got function"):
        autotune(configs=[{}])(lambda: 0)
    with pytest.raises(TileValueError, match="needs configs"):
        autotune()


def test_time_limits() -> None:
    with pytest.raises(TimeoutError, match="not done after 0.05 s"):
        searching.in_time(lambda: time.sleep(2), 0.05)
    with pytest.raises(KeyError):
        searching.in_time(lambda: {}["x"], 5)
    assert searching.in_time(lambda: 3, 5) == 3


def test_result_files_are_plain(tmp_path: Path) -> None:
    tuner([{"block": 64}]).run(warmup=0, rep=1).save_to_disk(tmp_path / "one")
    assert json.loads((tmp_path / "one" / "result.json").read_text())["config"] == {"block": 64}


def test_hopeless_and_equal_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fragments far beyond a thread's registers are compiled only without others; what is the same is measured once."""
    timed: list[int] = []
    estimate = searching._Runner.estimate
    monkeypatch.setattr(searching._Runner, "estimate", lambda self, k: timed.append(1) or estimate(self, k))

    def doubling(rows: int = 1, note: int = 0, stages: int = 0) -> Any:
        @T.prim_func
        def double(X: T.Tensor((64, 260), "float32"), Y: T.Tensor((64, 260), "float32")):
            with T.Kernel(64 // rows, threads=32) as b:
                tile = T.alloc_fragment((rows, 260), "float32")
                for _ in T.Pipelined(1, num_stages=stages):
                    T.copy(X[b * rows, 0], tile)
                for i, j in T.Parallel(rows, 260):
                    tile[i, j] = tile[i, j] * 2
                T.copy(tile, Y[b * rows, 0])

        return double

    def outcomes(configs: Any) -> list[Any]:
        made = AutoTuner.from_kernel(doubling, configs).set_compile_args(out_idx=[-1], target=TARGET)
        made.set_profile_args(ref_prog=lambda x: 2 * x)
        return [outcome for _, outcome in made.run(warmup=0, rep=1).tried]

    found = outcomes([{"rows": 64}, {}, {"note": 1}, {"stages": 1}])
    assert "need at least 520 registers per thread, there are 255" in found[0]
    assert found[1] == found[2] == found[3] and len(timed) == 1
    assert isinstance(outcomes([{"rows": 64}])[0], float) and len(timed) == 2


def test_the_decorators_of_earlier_releases(private_cache: Path) -> None:
    """`autotuner.jit` says how candidates are checked, and a call gives what was found."""

    @autotune(configs=[{"block": 64}, {"block": 32, "factor": 3.0}], keys=["block"], warmup=0, rep=1)
    @old_jit(out_idx=[-1], target=TARGET, ref_prog=lambda x: 2 * x, profiler="auto")
    def scale(block: int = 0, factor: float = 2.0) -> Any:
        return scaling(block, 32, factor)

    found = scale()
    latency, config, reference = found
    assert config == {"block": 64} and latency == found.latency and reference is not None
    torch.testing.assert_close(found.kernel(torch.ones(100)), torch.full((100,), 2.0))
    with pytest.raises(TileTypeError, match="tilelang.jit decorates functions, got int"):
        old_jit(out_idx=-1)(3)
    with pytest.raises(TileTypeError, match="autotuner.jit has no argument 'tolerance'"):
        old_jit(tolerance=1)
