"""`ops.attention` and `ops.decode` in the simulator against float64."""

from __future__ import annotations

import re
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tilelang_mlir import errors, ops
from tilelang_mlir.ops.attention_backward import gradient_tiles, gradients
from tilelang_mlir.ops.attention_gradients import gradient_tiling, gradients_by_registers
from tilelang_mlir.ops.decode import decoding_rows
from tilelang_mlir.ops.mla import mla_page
from tilelang_mlir.ops.ready import ready

TARGET = "sim:sm_90a"


def exact(q: np.ndarray, k: np.ndarray, v: np.ndarray, causal: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Attention of one head, and the logarithms, base 2, of the sums; q is (queries, D), k and v are (keys, D)."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    scores = q @ k.T * q.shape[1] ** -0.5
    if causal:
        behind = len(k) - len(q)
        scores = np.where(np.arange(len(k))[None, :] <= np.arange(len(q))[:, None] + behind, scores, -np.inf)
    largest = scores.max(axis=1, keepdims=True)
    weights = np.exp(scores - largest)
    total = weights.sum(axis=1, keepdims=True)
    return weights / total @ v, (np.log2(total) + largest / np.log(2))[:, 0]


def exact_gradients(q: np.ndarray, k: np.ndarray, v: np.ndarray, grad: np.ndarray, causal: bool) -> list[np.ndarray]:
    """Those of q, k and v of one head; all inputs are (S, D)."""
    q, k, v, grad = (x.astype(np.float64) for x in (q, k, v, grad))
    scale = q.shape[1] ** -0.5
    scores = q @ k.T * scale
    if causal:
        scores = np.where(np.tril(np.ones_like(scores)) > 0, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    slopes = weights * (grad @ v.T - (grad * (weights @ v)).sum(axis=1, keepdims=True))
    return [slopes @ k * scale, slopes.T @ q * scale, weights.T @ grad]


@pytest.mark.parametrize("target", ["sim:sm_80", "sim:sm_90a"])
@pytest.mark.parametrize(
    ("S", "S_kv", "D", "D_v", "causal"),
    [(70, 70, 64, 64, True), (65, 130, 64, 32, True), (1, 77, 64, 64, False), (130, 64, 128, 128, False)],
)
def test_attention(random: Any, error_of: Any, S: int, S_kv: int, D: int, D_v: int, causal: bool, target: str) -> None:
    q, k, v = random(1, S, 2, D), random(1, S_kv, 1, D), random(1, S_kv, 1, D_v)
    out, logarithms = ops.attention(q, k, v, causal=causal, return_logarithms=True, target=target)
    assert out.shape == (1, S, 2, D_v) and logarithms.shape == (1, 2, S) and logarithms.dtype == np.float32
    for head in range(2):
        want, sums = exact(q[0, :, head], k[0, :, 0], v[0, :, 0], causal)
        assert error_of(out[0, :, head], want) < 2e-3 and error_of(logarithms[0, head], sums) < 1e-5


def test_bfloat16_and_a_scale_of_ones_own(random: Any, error_of: Any) -> None:
    q, k, v = (random(2, 66, 2, 64, kind=ml_dtypes.bfloat16) for _ in range(3))
    out = ops.attention(q, k, v, scale=0.25, target=TARGET)
    assert out.dtype == ml_dtypes.bfloat16
    want, _ = exact(q[1, :, 1].astype(np.float64) * 0.25 * 8, k[1, :, 1], v[1, :, 1])
    assert error_of(out[1, :, 1], want) < 1e-2


@pytest.mark.parametrize(
    ("S", "kv", "D", "D_v", "causal", "target"),
    [
        (129, 1, 64, 64, True, TARGET),
        (200, 2, 64, 64, False, TARGET),
        (129, 2, 128, 128, True, TARGET),
        (81, 1, 128, 128, False, TARGET),
        (130, 2, 192, 128, True, TARGET),
        (65, 2, 256, 256, False, TARGET),
        (70, 1, 64, 32, True, "sim:sm_80"),
        (37, 1, 256, 256, True, "sim:gfx942"),
        (70, 2, 192, 128, False, "sim:gfx1100"),
        (70, 1, 256, 128, True, "sim:sm_120a"),
    ],
)
def test_gradients(
    random: Any, error_of: Any, S: int, kv: int, D: int, D_v: int, causal: bool, target: str
) -> None:  # fmt: skip
    q, k, v, grad = random(1, S, 2, D), random(1, S, kv, D), random(1, S, kv, D_v), random(1, S, 2, D_v)
    heads = [(q[0, :, head], k[0, :, head * kv // 2], v[0, :, head * kv // 2]) for head in range(2)]
    exactly = [exact(*head, causal) for head in heads]
    out = np.stack([o for o, _ in exactly], 1)[None].astype(np.float16)
    logarithms = np.stack([sums for _, sums in exactly])[None].astype(np.float32)
    dq, dk, dv = ops.attention_backward(q, k, v, out, logarithms, grad, causal=causal, target=target)
    assert [x.shape for x in (dq, dk, dv)] == [x.shape for x in (q, k, v)]
    wanted = [exact_gradients(*head, grad[0, :, i], causal) for i, head in enumerate(heads)]
    for head in range(2):
        assert error_of(dq[0, :, head], wanted[head][0]) < 2e-3
    for head in range(kv):
        for got, of_queries in ((dk, [w[1] for w in wanted]), (dv, [w[2] for w in wanted])):
            want = of_queries[head] if kv == 2 else of_queries[0] + of_queries[1]
            assert error_of(got[0, :, head], want) < 2e-3


@pytest.mark.parametrize(("D", "D_v"), [(64, 64), (192, 128), (256, 256)])
def test_gradients_leave_no_register_behind(D: int, D_v: int) -> None:
    tiling = gradient_tiling(D, D_v)
    arguments = 1, 512, 1, 1, D, D_v, True, 0.1, "bfloat16", tiling
    kernel = ready(gradients_by_registers, "cuda:sm_90a", *arguments)
    assert kernel.n_spills == 0 and "tl.specialize" in kernel.ir("scheduled")
    assert "mma.sync" not in kernel.get_kernel_source() and "red.global.add.v4.f32" in kernel.get_kernel_source()
    assert not any("C75" in line for found in kernel.resources.values() for line in found.advice)


@pytest.mark.parametrize("target", ["cuda:sm_80", "cuda:sm_120a", "hip:gfx942", "hip:gfx950", "hip:gfx1201"])
@pytest.mark.parametrize(("D", "D_v"), [(192, 192), (256, 256)])
def test_gradients_of_wide_heads_fit_the_machine(D: int, D_v: int, target: str) -> None:
    kernel = ready(gradients, target, 1, 512, 1, D, True, 0.1, "float16", *gradient_tiles(D, target), D_v, 1)
    if (D, target) == (256, "cuda:sm_120a"):  # one register of 128 waits in memory while the loop runs
        code = kernel.ir("sass")
        products = [found.start() for found in re.finditer(r"\bHMMA\b", code)]
        spills = [found.start() for found in re.finditer(r"\b(?:STL|LDL)\b", code)]
        assert len(spills) <= 2 and not any(products[0] < place < products[-1] for place in spills)
    else:
        assert kernel.n_spills == 0 and all(used.stack == 0 for used in kernel.resources.values())


def test_gradients_of_heads_that_cannot_share_keys(random: Any) -> None:
    q, k = random(1, 64, 4, 64), random(1, 64, 3, 64)
    with pytest.raises(errors.TileValueError, match="4 query heads cannot share 3 key heads evenly"):
        ops.attention_backward(q, k, k, q, np.zeros((1, 4, 64), np.float32), q, target=TARGET)


@pytest.mark.parametrize(("heads", "heads_kv"), [(4, 2), (1, 1)])
def test_decoding_over_some_of_the_keys(random: Any, error_of: Any, heads: int, heads_kv: int) -> None:
    lengths = np.array([130, 1, 300], np.int32)
    q, k, v = random(3, heads, 64), random(3, 300, heads_kv, 64), random(3, 300, heads_kv, 64)
    assert ops.decoding_parts(3, 300, heads_kv) > 1
    out = ops.decode(q, k, v, lengths, target=TARGET)
    shared_by = heads // heads_kv
    for b, length in enumerate(lengths):
        want, _ = exact(q[b, -shared_by:], k[b, :length, -1], v[b, :length, -1])
        assert error_of(out[b, -shared_by:], want) < 2e-3


@pytest.mark.parametrize("page", [16, 128])
def test_decoding_over_pages(random: Any, error_of: Any, page: int) -> None:
    lengths, most = np.array([130, 1], np.int32), -(-150 // page)
    q, k, v = random(2, 4, 64), random(2 * most, page, 2, 64), random(2 * most, page, 2, 64)
    pages = np.random.default_rng(1).permutation(2 * most).astype(np.int32).reshape(2, most)
    out = ops.decode(q, k, v, lengths, pages=pages, target=TARGET)
    for b, length in enumerate(lengths):
        keys, values = (x[pages[b]].reshape(-1, 2, 64)[:length, 1] for x in (k, v))
        assert error_of(out[b, 2:], exact(q[b, 2:], keys, values)[0]) < 2e-3
    with pytest.raises(errors.TileValueError, match="pages of 24 keys, expected a multiple of 64, or 16, 32 or 48"):
        ops.decode(q, random(8, 24, 2, 64), random(8, 24, 2, 64), lengths, pages=pages, target=TARGET)


def test_latent_attention_over_pages(random: Any, error_of: Any) -> None:
    lengths, heads, page = np.array([70, 33], np.int32), 5, 32
    q, q_rope, kv, k_rope = random(2, heads, 64), random(2, heads, 64), random(6, page, 64), random(6, page, 64)
    pages = np.array([[4, 0, 2], [5, 1, 3]], np.int32)
    out = ops.mla_decode(q, q_rope, kv, k_rope, pages, lengths, target=TARGET)
    for b, length in enumerate(lengths):
        latent, place = (x[pages[b]].reshape(-1, 64)[:length] for x in (kv, k_rope))
        queries, keys = np.concatenate([q[b], q_rope[b]], 1), np.concatenate([latent, place], 1)
        assert error_of(out[b], exact(queries, keys, latent)[0]) < 2e-3
    with pytest.raises(errors.TileValueError, match=r"k_rope has the shape \[5, 32, 64\], expected"):
        ops.mla_decode(q, q_rope, kv, k_rope[1:], pages, lengths, target=TARGET)


@pytest.mark.parametrize(("causal", "D_v"), [(True, 64), (False, 32)])
def test_sequences_of_different_lengths(random: Any, error_of: Any, causal: bool, D_v: int) -> None:
    lengths = (70, 1, 130)
    offsets = np.cumsum([0, *lengths]).astype(np.int32)
    q, k, v = random(201, 2, 64), random(201, 1, 64), random(201, 1, D_v)
    out = ops.attention_varlen(q, k, v, offsets, 130, causal=causal, target=TARGET)
    for first, end in zip(offsets[:-1], offsets[1:], strict=True):
        want, _ = exact(q[first:end, 1], k[first:end, 0], v[first:end, 0], causal)
        assert error_of(out[first:end, 1], want) < 2e-3
    with pytest.raises(errors.TileValueError, match="expected at least 2 and 1"):
        ops.attention_varlen(q, k, v, offsets, 0, target=TARGET)


@pytest.mark.parametrize("batch", [1, 16, 1000])
@pytest.mark.parametrize("S", [1, 64, 8192, 131072])
def test_parts_hold_keys(batch: int, S: int) -> None:
    parts = ops.decoding_parts(batch, S, 8)
    assert 1 <= parts <= 32 and (parts == 1 or S // parts >= 64)


def test_tilings_fit_their_heads() -> None:
    for heads in (1, 6, 12, 16, 40):
        for causal in (False, True):
            tiling = ops.attention_tiling(4096, heads, 128, causal, TARGET)
            assert heads % tiling.group == 0 and (causal or not tiling.paired)
            assert tiling.block_M % (tiling.threads // 2) == 0, "64 rows for every warpgroup"
    # Threads of gfx1100 hold operands twice: with wide heads, two or four warps share the columns of a row's sums.
    for target, wide, rows in (("hip:gfx1100", (32, 64, 2, 128), 16), ("hip:gfx942", (64, 32, 2, 128), 64)):
        assert ops.varlen_tiles(256, 512, target) == wide and ops.varlen_tiles(128, 512, target) == (64, 64, 2, 128)
        assert decoding_rows(4, 256, target) == rows and decoding_rows(4, 128, target) == 64
    assert decoding_rows(17, 256, "hip:gfx1100") == 32
    assert [mla_page(t) for t in (TARGET, "hip:gfx942", "hip:gfx1100")] == [64, 32, 16]


SHAPE = (1, 64, 2, 64)


@pytest.mark.parametrize(
    ("q", "k", "v", "options", "message"),
    [
        (SHAPE, (1, 64, 2, 32), SHAPE, {}, r"k has the shape \[1, 64, 2, 32\], expected \(batch, S_kv, heads_kv, D\)"),
        ((64, 2, 64), SHAPE, SHAPE, {}, r"q has the shape \[64, 2, 64\], expected \(batch, S, heads, D\)"),
        ((1, 64, 3, 64), SHAPE, SHAPE, {}, "3 query heads cannot share 2 key heads evenly"),
        ((1, 65, 2, 64), SHAPE, SHAPE, {"causal": True}, "65 queries and 64 keys leaves queries without a key"),
        ((0, 64, 2, 64), SHAPE, SHAPE, {}, r"q has the shape \[0, 64, 2, 64\]: sizes must be positive"),
    ],
)
def test_wrong_shapes(
    q: tuple[int, ...], k: tuple[int, ...], v: tuple[int, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(errors.TileValueError, match=message):
        ops.attention(*(np.ones(shape, np.float16) for shape in (q, k, v)), **options, target=TARGET)


def test_wrong_dtypes(random: Any) -> None:
    half, single = random(1, 64, 2, 64), random(1, 64, 2, 64, kind=np.float32)
    with pytest.raises(errors.TileTypeError, match="attention of float16 and float32 and float16, expected one dtype"):
        ops.attention(half, single, half, target=TARGET)
    with pytest.raises(errors.TileTypeError, match="no ready attention of float32"):
        ops.attention(single, single, single, target=TARGET)
    with pytest.raises(errors.TileTypeError, match="lengths is int64, expected int32"):
        ops.decode(half[:, 0], half, half, np.array([3]), target=TARGET)


def test_too_many_query_heads(random: Any) -> None:
    with pytest.raises(errors.TileValueError, match="65 query heads over 1 key heads"):
        ops.decode(random(1, 65, 64), random(1, 64, 1, 64), random(1, 64, 1, 64), np.ones(1, np.int32), target=TARGET)
