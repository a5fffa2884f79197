"""Kernels of the examples in the simulator at many sizes, into outputs that held NaN, against numpy in float64."""

from __future__ import annotations

import importlib.util
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import tilelang_mlir as tilelang
from tilelang_mlir import knobs
from tilelang_mlir.ops import Tiling, gemm_fp8_blocks, gemm_fp8_blocks_persistent
from tilelang_mlir.target import Target

FOLDER = Path(__file__).resolve().parents[2] / "examples"
TARGETS = ("sim:sm_80", "sim:sm_90a")
NUMPY = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float32": np.float32}
TOLERANCE = {"float16": 2e-3, "bfloat16": 1e-2, "float32": 1e-5}


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> str:
    return request.param


def load(number: str) -> ModuleType:
    (path,) = FOLDER.glob(f"{number}_*.py")
    if str(FOLDER) not in sys.path:
        sys.path.insert(0, str(FOLDER))
    spec = importlib.util.spec_from_file_location(f"kernels_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compiled(function: Any, target: str, *args: Any, **kwargs: Any) -> Any:
    """The kernel with its output as the last parameter, so that a test can poison it."""
    return tilelang.jit(function.func, target=target).compile(*args, **kwargs)


def random(shape: tuple[int, ...], dtype: str = "float16", scale: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(repr((shape, dtype)).encode()))
    return (rng.standard_normal(shape) * scale).astype(NUMPY[dtype])


def check(kernel: Any, inputs: list[np.ndarray], want: np.ndarray, dtype: str) -> None:
    got = np.full(want.shape, np.nan, NUMPY[dtype])
    kernel(*inputs, got)
    assert not np.isnan(got.astype(np.float64)).any(), "a part of the output was not written"
    error = np.linalg.norm(got.astype(np.float64) - want) / np.linalg.norm(want)
    assert error < TOLERANCE[dtype]


def f64(*arrays: np.ndarray) -> list[np.ndarray]:
    return [array.astype(np.float64) for array in arrays]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(("M", "N", "K"), [(1, 1, 1), (64, 64, 32), (65, 70, 33), (128, 16, 200), (3, 200, 64)])
def test_gemm(M: int, N: int, K: int, dtype: str, target: str) -> None:
    module = load("03")
    kernel = compiled(module.gemm_bias_relu, target, M, N, K, dtype, 64, 64, 32)
    a, b, bias = random((M, K), dtype), random((K, N), dtype), random((N,), dtype) + NUMPY[dtype](2)
    check(kernel, [a, b, bias], module.reference(*f64(a, b, bias)), dtype)


@pytest.mark.parametrize("stages", [1, 2, 4])
@pytest.mark.parametrize("tiles", [(16, 32, 16), (32, 80, 32), (128, 64, 64), (64, 176, 16)])
def test_gemm_tiles(tiles: tuple[int, int, int], stages: int, target: str) -> None:
    module = load("03")
    kernel = compiled(module.gemm_bias_relu, target, 136, 184, 72, "float16", *tiles, stages)
    a, b, bias = random((136, 72)), random((72, 184)), random((184,))
    check(kernel, [a, b, bias], module.reference(*f64(a, b, bias)), "float16")


@pytest.mark.parametrize("N", [1, 7, 64, 333, 1000, 2049])
def test_softmax(N: int, target: str) -> None:
    module = load("04")
    x = random((3, N), "float32", 3.0)
    check(compiled(module.softmax, target, 3, N, "float32", 128), [x], module.reference(*f64(x)), "float32")


@pytest.mark.parametrize("N", [255, 256, 257, 1000])
def test_softmax_online(N: int, target: str) -> None:
    module = load("04")
    x = random((2, N), "float32", 3.0)
    check(compiled(module.softmax_online, target, 2, N, "float32", 256, 128), [x], module.reference(*f64(x)), "float32")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("N", [5, 96, 1001])
def test_layer_norm(N: int, dtype: str, target: str) -> None:
    module = load("06")
    x, weight, bias = random((4, N), dtype), random((N,), dtype), random((N,), dtype)
    kernel = compiled(module.layer_norm, target, 4, N, dtype, 128)
    check(kernel, [x, weight, bias], module.reference(*f64(x, weight, bias)), dtype)


@pytest.mark.parametrize(("M", "N"), [(1, 1), (8, 512), (9, 513), (5, 100)])
def test_fused_elementwise(M: int, N: int, target: str) -> None:
    module = load("02")
    x, bias, scale = random((M, N)), random((N,)), random((M,), "float32")
    check(compiled(module.fused_elementwise, target, M, N), [x, bias, scale], module.reference(*f64(x, bias, scale)),
          "float16")  # fmt: skip


def test_one_kernel_for_every_m(target: str) -> None:
    module = load("08")
    kernel = compiled(module.linear, target, 40, 72, "float16", 64, 32, 32)
    b = random((40, 72))
    for m in (1, 63, 64, 65, 200):
        a = random((m, 72))
        check(kernel, [a, b], module.reference(*f64(a, b)), "float16")


@pytest.mark.parametrize("parts", [1, 3, 8])
def test_split_k_adds_to_what_is_there(parts: int, target: str) -> None:
    module = load("09")
    a, b, c = random((33, 200)), random((40, 200)), random((33, 40), "float32")
    want = c.astype(np.float64) + module.reference(*f64(a, b))
    compiled(module.gemm_split_k, target, 33, 40, 200, "float16", 32, 32, 32, parts)(a, b, c)
    assert np.linalg.norm(c - want) / np.linalg.norm(want) < TOLERANCE["float32"]


def attention_case(target: str, S: int, D: int, causal: bool, block_M: int = 64, block_N: int = 64) -> None:
    module = load("11")
    batch, heads, heads_kv = 1, 2, 1
    q, k, v = random((batch, S, heads, D)), random((batch, S, heads_kv, D), scale=2.0), random((batch, S, heads_kv, D))
    want = np.stack(
        [module.reference(*f64(q[0, :, h], k[0, :, 0], v[0, :, 0]), causal, list(range(S))) for h in range(heads)], 1
    )
    sizes = (batch, S, heads, heads_kv, D, causal, "float16", block_M, block_N, 2, 128)
    kernel = compiled(module.attention, target, *sizes)
    check(kernel, [q, k, v], want[None], "float16")


@pytest.mark.parametrize(("S", "D"), [(64, 64), (128, 128), (65, 64), (200, 64), (1, 64)])
def test_full_attention(S: int, D: int, target: str) -> None:
    attention_case(target, S, D, causal=False)


@pytest.mark.parametrize(("S", "D"), [(64, 64), (63, 128)])
def test_causal_attention(S: int, D: int, target: str) -> None:
    attention_case(target, S, D, causal=True)


@pytest.mark.parametrize(("S", "D"), [(200, 64), (256, 64)])
def test_causal_attention_over_many_blocks(S: int, D: int, target: str) -> None:
    attention_case(target, S, D, causal=True)


@pytest.mark.parametrize(("M", "N", "K"), [(16, 64, 128), (70, 33, 256)])
def test_int4_weights(M: int, N: int, K: int, target: str) -> None:
    module = load("13")
    rng = np.random.default_rng(0)
    q, scales = rng.integers(0, 16, (N, K), np.uint8), (rng.random((K // 128, N)) + 0.5).astype(np.float16)
    a = random((M, K))
    kernel = compiled(module.gemm_int4, target, M, N, K, 128, 64, 64, 64, 2, 128)
    want = a.astype(np.float64) @ module.dequantise(q, scales, 128).astype(np.float64).T
    check(kernel, [a, module.pack(q), scales], want, "float16")


@pytest.mark.parametrize(("M", "N", "K"), [(70, 136, 256), (130, 64, 128)])
@pytest.mark.parametrize("multiprocessors", [2, 132])  # several tiles one after the other, or one
def test_int4_weights_by_two_warpgroups(
    M: int, N: int, K: int, multiprocessors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Target, "multiprocessors", property(lambda _: multiprocessors))
    module = load("13")
    rng = np.random.default_rng(5)
    q, scales = rng.integers(0, 16, (N, K), np.uint8), (rng.random((K // 128, N)) + 0.5).astype(np.float16)
    a = random((M, K))
    kernel = compiled(module.gemm_int4, "sim:sm_90a", M, N, K, 128, 64, 128, 64, 2, 256)
    want = a.astype(np.float64) @ module.dequantise(q, scales, 128).astype(np.float64).T
    check(kernel, [a, module.pack(q), scales], want, "float16")


@pytest.mark.parametrize(
    ("tiling", "M", "products", "arch"),
    [(Tiling(128, 96, 128, 2, 256), 130, 0, "sm_90a"), (Tiling(192, 64, 128, 3, 384), 200, 1, "sm_90a"),
     (Tiling(128, 96, 128, 2, 256), 132, 2, "sm_90a"), (Tiling(128, 96, 128, 2, 256), 130, 0, "sm_100a")],
)
def test_fp8_scaled_by_blocks(tiling: Tiling, M: int, products: int, arch: str) -> None:
    """Tiles of 96 columns: the second one has columns of two blocks, the third one ends within the tensor's last.

    With `products` per step, two CTAs walk over the tiles and store each under the first products of the next one.
    """
    module, N, K = load("21"), 216, 400
    rng = np.random.default_rng(6)
    a, b = (rng.standard_normal((rows, K)).astype(ml_dtypes.float8_e4m3fn) for rows in (M, N))
    scales_a, scales_b = rng.random((4, M), np.float32) + 0.5, rng.random((2, 4), np.float32) + 0.5
    factory, *more = (gemm_fp8_blocks_persistent, products, 2) if products else (gemm_fp8_blocks,)
    kernel = compiled(factory, f"sim:{arch}", M, N, K, "float8_e4m3", "float16", tiling, *more)
    if arch == "sm_100a":
        assert "nvvm.tcgen05.mma" in kernel.ir("lowered") and "nvvm.mma.sync" not in kernel.ir("lowered")
    if products:
        text = kernel.ir("scheduled")
        first, last = text.index('"tl.staged_store"'), text.index("pending = 0 : i32")
        assert text.index('"tl.gemm"') < first < last and f"pending = {products - 1} : i32" in text
    left = a.astype(np.float64) * module.spread(scales_a.T, M, K, 1)
    want = left @ (b.astype(np.float64) * module.spread(scales_b, N, K, 128)).T
    check(kernel, [a, scales_a, b, scales_b], want, "float16")
