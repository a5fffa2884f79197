"""Products that are started an iteration ahead, on sm_100a in the simulator, against float64."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hopper_programs import check, f64, poisoned, random
from target_matrix import example
from tensor_programs import compiled

import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.compiler.toolchain.disasm import disassemble


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def started(kernel: Any) -> int:
    """Versions of the sum that is started ahead, or 0."""
    found = re.findall(r"memref<(\d+)x\d+x\d+xf32, #tl.scope<\"tmem\">>", kernel.ir("scheduled"))
    return int(found[0]) if found else 0


def weighted_sums(lengths: tuple[int, ...], rows: int, block: int, width: int, stages: int, threads: int) -> Any:
    """Per segment of keys: O = O / 2 + W V over its blocks, W = S / (1 + row's largest |S|)."""
    keys, depth, segments = max(1, sum(lengths)), 64, len(lengths)

    @T.prim_func
    def main(
        Q: T.Tensor((rows, depth), "float16"), K: T.Tensor((keys, depth), "float16"),
        V: T.Tensor((keys, width), "float16"), At: T.Tensor((segments + 1,), "int32"),
        O: T.Tensor((segments, rows, width), "float32"),
    ):  # fmt: skip
        with T.Kernel(1, threads=threads) as _:
            q, k = T.alloc_shared((rows, depth), "float16"), T.alloc_shared((block, depth), "float16")
            v = T.alloc_shared((block, width), "float16")
            s, o = T.alloc_fragment((rows, block), "float32"), T.alloc_fragment((rows, width), "float32")
            w, top = T.alloc_fragment((rows, block), "float16"), T.alloc_fragment((rows,), "float32")
            T.copy(Q, q)
            for g in T.serial(segments):
                first, last = At[g], At[g + 1]
                T.clear(o)
                for i in T.Pipelined(T.ceildiv(last - first, block), num_stages=stages):
                    T.copy(K[first + i * block : first + (i + 1) * block, :], k)
                    T.clear(s)
                    T.gemm(q, k, s, transpose_B=True, policy=T.GemmWarpPolicy.FullRow)
                    for a, b in T.Parallel(rows, block):
                        s[a, b] = T.if_then_else(first + i * block + b < last, s[a, b], 0)
                    T.reduce_absmax(s, top, dim=1)
                    for a, b in T.Parallel(rows, block):
                        s[a, b] = s[a, b] / (1 + top[a])
                    T.copy(s, w)
                    for a, b in T.Parallel(rows, width):
                        o[a, b] = o[a, b] * 0.5
                    T.copy(V[first + i * block : first + (i + 1) * block, :], v)
                    T.gemm(w, v, o, policy=T.GemmWarpPolicy.FullRow)
                T.copy(o, O[g, :, :])

    return main


def expected_sums(q: np.ndarray, k: np.ndarray, v: np.ndarray, at: np.ndarray, block: int) -> np.ndarray:
    out = np.zeros((len(at) - 1, len(q), v.shape[1]))
    for g, (begin, end) in enumerate(zip(at[:-1], at[1:], strict=True)):
        for first in range(begin, end, block):
            here = slice(first, min(first + block, end))
            s = q @ k[here].T
            s = (s / (1 + np.abs(s).max(axis=1, keepdims=True))).astype(np.float16).astype(np.float64)
            out[g] = out[g] * 0.5 + s @ v[here]
    return out


@pytest.mark.parametrize(
    ("lengths", "rows", "block", "width", "stages", "threads", "versions"),
    [
        ((77,), 128, 64, 64, 2, 128, 2),
        ((77, 0, 1, 300), 128, 64, 64, 2, 128, 2),
        ((0, 130, 64), 128, 64, 64, 3, 256, 2),
        ((300,), 128, 64, 128, 2, 256, 1),
        ((130, 0, 0, 77, 1), 128, 64, 128, 2, 256, 1),
        ((1, 193, 65), 128, 64, 128, 4, 128, 1),
        ((200, 63), 64, 64, 64, 2, 128, 1),
        ((200, 0, 63), 64, 64, 192, 3, 256, 1),
        ((161, 80), 128, 80, 128, 2, 256, 1),
    ],
)  # fmt: skip
def test_segments(
    lengths: tuple[int, ...], rows: int, block: int, width: int, stages: int, threads: int, versions: int
) -> None:
    """Loops of any number of iterations, none among them, one after another: rings and phases go on."""
    kernel = compiled(weighted_sums(lengths, rows, block, width, stages, threads))
    at = np.cumsum([0, *lengths]).astype(np.int32)
    q, k, v = (random((n, d), seed=i) for i, (n, d) in enumerate(((rows, 64), (at[-1], 64), (at[-1], width))))
    o = poisoned((len(lengths), rows, width), "float32")
    kernel(q, k, v, at, o)
    check(o, expected_sums(f64(q), f64(k), f64(v), at, block), "float32", 1e-4)
    assert started(kernel) == versions


def scaled_product(size: tuple[int, int, int], block: int, stages: int, threads: int) -> Any:
    """C = sum over blocks of K of scale[row, block] * (A B^T)."""
    M, N, K = size
    blocks = -(-K // block)

    @T.prim_func
    def main(
        A: T.Tensor((M, K), "float8_e4m3"), B: T.Tensor((N, K), "float8_e4m3"), Scale: T.Tensor((M, blocks), "float32"),
        C: T.Tensor((M, N), "float32"),
    ):  # fmt: skip
        with T.Kernel(T.ceildiv(N, 128), T.ceildiv(M, 128), threads=threads) as (bx, by):
            a, b = T.alloc_shared((128, block), "float8_e4m3"), T.alloc_shared((128, block), "float8_e4m3")
            s, c = T.alloc_fragment((128, 128), "float32"), T.alloc_fragment((128, 128), "float32")
            T.clear(c)
            for k in T.Pipelined(blocks, num_stages=stages):
                T.copy(A[by * 128, k * block], a)
                T.copy(B[bx * 128, k * block], b)
                T.gemm(a, b, s, transpose_B=True, clear_accum=True)
                for i, j in T.Parallel(128, 128):
                    c[i, j] += s[i, j] * (Scale[by * 128 + i, k] if by * 128 + i < M else 0.0)
            T.copy(c, C[by * 128, bx * 128])

    return main


@pytest.mark.parametrize("stages", [2, 3, 4])
@pytest.mark.parametrize("threads", [128, 256])
def test_scales_of_blocks(stages: int, threads: int) -> None:
    """A single product, whose next one runs while the threads add the last one up."""
    M, N, K = 150, 136, 720
    kernel = compiled(scaled_product((M, N, K), 128, stages, threads))
    a, b = random((M, K), "float8_e4m3", 1), random((N, K), "float8_e4m3", 2)
    scale, c = random((M, 6), "float32", 3), poisoned((M, N), "float32")
    kernel(a, b, scale, c)
    left, right = f64(a), f64(b)
    parts = [left[:, i : i + 128] @ right[:, i : i + 128].T * f64(scale)[:, i // 128, None] for i in range(0, K, 128)]
    check(c, np.sum(parts, axis=0), "float32", 1e-5)
    assert started(kernel) == 2


@pytest.mark.parametrize("block", [64, 128])
def test_machine_code(block: int) -> None:
    """The loop of attention: two versions of the scores have the next ones started before these are read, one has them
    started with the weighted sums. Either way no product stands between scores and their exponentials."""
    program = example("flash_attention").attention.get_tir(1, 4096, 8, 2, 128, False, "float16", 128, block, 2, 256)
    kernel = compiled(program, "cuda:sm_100a")
    (resources,) = kernel.artifact.resources.values()
    assert not resources.spill_loads + resources.spill_stores + resources.stack
    code = re.findall(r"\b(UTCHMMA|UTCBAR|LDTM|MUFU\.EX2|BAR\.SYNC)\b", disassemble(kernel.artifact.binary))
    code = code[code.index("UTCHMMA") :]
    steps = [name for i, name in enumerate(code) if i == 0 or code[i - 1] != name]
    product, softmax = ["UTCHMMA", "UTCBAR"], ["LDTM", "MUFU.EX2"] * 2  # the first half of it rescales the sums
    loop = [*product, *softmax, "BAR.SYNC", *product] if block == 128 else [*softmax, "BAR.SYNC", *product, *product]
    assert steps == [*product, *loop, "LDTM", "BAR.SYNC"]
