"""Attention of the examples on sm_90a in the checked simulator: turns, lagging maxima, tiles across iterations."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hopper_programs import check, compiled, f64, poisoned, random

from tilelang_mlir import knobs
from tilelang_mlir.target import Target

FOLDER = Path(__file__).resolve().parents[2] / "examples"
D = 64


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location("flash_attention", FOLDER / "11_flash_attention.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield module


def run(
    example: ModuleType, batch: int, S: int, heads: int, causal: bool, *tiles: Any, rising: bool = False, **off: bool
) -> str:
    """The scheduled program, after a check of the output of every head."""
    kernel = compiled(example.attention.get_tir(batch, S, heads, heads, D, causal, "float16", *tiles), **off)
    shape = (batch, S, heads, D)
    q, k, v = (random(shape, "float16", seed) for seed in (1, 2, 3))
    if rising:  # the maximum of every row grows from block to block
        k = (k * np.linspace(0.1, 8, S)[:, None, None]).astype(np.float16)
    out = poisoned(shape, "float16")
    kernel(q, k, v, out)
    rows = list(range(S))
    want = [
        [example.reference(*(f64(x[b, :, h]) for x in (q, k, v)), causal, rows) for h in range(heads)]
        for b in range(batch)
    ]
    check(out.transpose(0, 2, 1, 3), np.asarray(want), "float16")
    return kernel.ir("scheduled")


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("tiles", [(128, 64, 2, 256), (192, 80, 2, 384), (192, 64, 3, 384)], ids=str)
def test_warpgroups_take_turns(example: ModuleType, tiles: tuple[int, ...], causal: bool) -> None:
    text = run(example, 1, 400, 1, causal, *tiles, rising=True)
    assert text.count('action = "take"') == 2  # the first product, and those of every round
    assert "tl.outgrows" in text


def test_what_can_be_switched_off(example: ModuleType) -> None:
    off = {"disable_lagging_maximum": True, "disable_ping_pong": True}
    text = run(example, 1, 256, 1, False, 128, 64, 2, 256, rising=True, **off)
    assert "tl.outgrows" not in text and "tl.turn" not in text


@pytest.mark.parametrize("seed", [1, 2])
def test_turns_in_any_order_of_warps(example: ModuleType, seed: int) -> None:
    with knobs.overrides({"TILELANG_SIM_SEED": seed}):
        run(example, 1, 384, 1, True, 192, 64, 2, 384)


@pytest.mark.parametrize("rows", [512, 448], ids=["even", "odd"])
def test_pairs_of_causal_blocks(example: ModuleType, rows: int) -> None:
    """The tile of queries is given back and loaded again inside of the CTA."""
    text = run(example, 1, rows, 2, True, 64, 64, 2, 128, 2, True)
    assert text.count("tl.tma_load") == 3


@pytest.mark.parametrize("paired", [False, True])
def test_a_ctas_many_tiles(example: ModuleType, paired: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """More tiles than multiprocessors: each CTA walks several, one after the other; queries have two versions."""
    monkeypatch.setattr(Target, "multiprocessors", property(lambda _: 2))
    text = run(example, 1, 300, 2, paired, 128, 64, 2, 256, 2 if paired else 1, paired)
    assert "tl.tiles" in text and text.count('action = "take"') == 2 and "2x128x64xf16" in text
