"""Triton kernels that the benchmarks compare with; import only where Triton is installed."""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource


@triton.jit
def add(a, b, c, n, block: tl.constexpr):
    at = tl.program_id(0) * block + tl.arange(0, block)
    tl.store(c + at, tl.load(a + at, at < n) + tl.load(b + at, at < n), at < n)


def _set_blocks(arguments: dict[str, Any]) -> None:
    """The boxes of the descriptors for a configuration."""
    m, n, k = (arguments[f"block_{x}"] for x in "mnk")
    for name, block in (("a", [m, k]), ("b", [n, k]), ("c", [m, n])):
        arguments[name].block_shape = block


@triton.autotune(
    configs=[
        triton.Config(
            {"block_m": m, "block_n": n, "block_k": k}, num_stages=stages, num_warps=warps, pre_hook=_set_blocks
        )
        for m, n, k, stages, warps in (
            (128, 256, 64, 3, 8), (128, 256, 64, 4, 8), (128, 128, 64, 4, 4), (256, 128, 64, 3, 8),
            (128, 128, 128, 3, 8), (64, 128, 128, 4, 4),
        )
    ],
    key=["m", "n", "k", "kind"],
)  # fmt: skip
@triton.jit
def gemm_tiles(
    a, b, c, m, n, k,
    block_m: tl.constexpr, block_n: tl.constexpr, block_k: tl.constexpr, group: tl.constexpr, kind: tl.constexpr,
):  # fmt: skip
    """C = A B^T by tensor descriptors; tiles in groups of rows."""
    tile = tl.program_id(0)
    tall, wide = tl.cdiv(m, block_m), tl.cdiv(n, block_n)
    first = tile // (group * wide) * group
    height = min(tall - first, group)
    row = (first + tile % (group * wide) % height) * block_m
    column = tile % (group * wide) // height * block_n
    acc = tl.zeros((block_m, block_n), tl.float32)
    for at in range(0, k, block_k):
        acc = tl.dot(a.load([row, at]), b.load([column, at]).T, acc)
    c.store([row, column], acc.to(kind))


def gemm_by_descriptors(a: Any, b: Any) -> Any:
    """A call that returns A B^T of two 16-bit matrices, both stored along K."""
    import torch
    from triton.tools.tensor_descriptor import TensorDescriptor

    (m, k), n = a.shape, b.shape[0]
    c = torch.empty(m, n, device=a.device, dtype=a.dtype)
    described = [TensorDescriptor.from_tensor(x, [1, 1]) for x in (a, b, c)]
    kind = tl.float16 if a.dtype == torch.float16 else tl.bfloat16

    def call() -> Any:
        grid = lambda meta: (triton.cdiv(m, meta["block_m"]) * triton.cdiv(n, meta["block_n"]),)
        gemm_tiles[grid](*described, m, n, k, group=8, kind=kind)
        return c

    return call


@triton.jit
def gemm_bias_relu(
    a, b, bias, c, m, n, k, block_m: tl.constexpr, block_n: tl.constexpr, block_k: tl.constexpr, salt: tl.constexpr
):
    """C = relu(A @ B + bias) of float16 matrices whose sizes are multiples of the blocks. `salt` changes nothing."""
    rows = tl.program_id(1) * block_m + tl.arange(0, block_m)
    columns = tl.program_id(0) * block_n + tl.arange(0, block_n)
    inner = tl.arange(0, block_k)
    left = a + rows[:, None] * k + inner[None, :]
    right = b + inner[:, None] * n + columns[None, :]
    acc = tl.zeros((block_m, block_n), tl.float32)
    for _ in range(0, tl.cdiv(k, block_k)):
        acc = tl.dot(tl.load(left), tl.load(right), acc)
        left += block_k
        right += block_k * n
    acc = tl.maximum(acc + tl.load(bias + columns)[None, :], 0.0)
    tl.store(c + rows[:, None] * n + columns[None, :], acc.to(tl.float16))


@triton.jit
def attention(
    q, k, v, o, scale, length, heads,
    block_m: tl.constexpr, block_n: tl.constexpr, width: tl.constexpr, salt: tl.constexpr,
):  # fmt: skip
    """Full attention, forward, of (length, heads, width) float16 tensors; lengths are multiples of the blocks.

    `scale` is that of exp2: log2(e) / sqrt(width).
    """
    row = heads * width
    shift = tl.program_id(1) * width
    at = tl.arange(0, width)
    queries = tl.program_id(0) * block_m + tl.arange(0, block_m)
    keys = tl.arange(0, block_n)
    x = tl.load(q + shift + queries[:, None] * row + at[None, :])
    left = k + shift + at[:, None] + keys[None, :] * row
    right = v + shift + keys[:, None] * row + at[None, :]
    acc = tl.zeros((block_m, width), tl.float32)
    largest = tl.full((block_m,), float("-inf"), tl.float32)
    total = tl.zeros((block_m,), tl.float32)
    for _ in range(0, tl.cdiv(length, block_n)):
        scores = tl.dot(x, tl.load(left)) * scale
        grown = tl.maximum(largest, tl.max(scores, 1))
        weights = tl.exp2(scores - grown[:, None])
        shrink = tl.exp2(largest - grown)
        total = total * shrink + tl.sum(weights, 1)
        acc = tl.dot(weights.to(tl.float16), tl.load(right), acc * shrink[:, None])
        largest = grown
        left += block_n * row
        right += block_n * row
    tl.store(o + shift + queries[:, None] * row + at[None, :], (acc / total[:, None]).to(tl.float16))


SOURCES: dict[str, tuple[Any, dict[str, str], dict[str, int]]] = {
    "gemm": (
        gemm_bias_relu,
        {**dict.fromkeys(("a", "b", "bias", "c"), "*fp16"), **dict.fromkeys(("m", "n", "k"), "i32")},
        {"block_m": 128, "block_n": 128, "block_k": 32},
    ),
    "attention": (
        attention,
        {**dict.fromkeys(("q", "k", "v", "o"), "*fp16"), "scale": "fp32", "length": "i32", "heads": "i32"},
        {"block_m": 128, "block_n": 64, "width": 128},
    ),
}


def check() -> None:
    """Run the kernels on the current CUDA device against torch. Raises AssertionError when one is wrong."""
    import torch
    from harness import relative_error, require

    m, n, k, length, heads, width = 256, 384, 192, 256, 2, 128
    a, b, bias, c = (torch.randn(s, device="cuda").half() for s in ((m, k), (k, n), (n,), (m, n)))
    gemm_bias_relu[(n // 128, m // 128)](a, b, bias, c, m, n, k, **SOURCES["gemm"][2], salt=0)
    require("triton gemm", relative_error(c, (a.double() @ b.double() + bias).relu()), 2e-3)
    q, key, v, o = (torch.randn(length, heads, width, device="cuda").half() for _ in range(4))
    scale = 1.4426950408889634 * width**-0.5
    attention[(length // 128, heads)](q, key, v, o, scale, length, heads, **SOURCES["attention"][2], salt=0)
    x, y, z = (t.double().transpose(0, 1) for t in (q, key, v))
    want = (x @ y.transpose(1, 2) * width**-0.5).softmax(-1) @ z
    require("triton attention", relative_error(o.transpose(0, 1), want), 2e-3)


def compile_times(name: str, capability: int, repeats: int) -> list[float]:
    """Milliseconds of cold compilations to machine code, in this process, after one that is not counted.

    Every compilation has another `salt`, and the cache is an empty folder.
    """
    function, signature, constants = SOURCES[name]
    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        before = os.environ.get("TRITON_CACHE_DIR")
        os.environ["TRITON_CACHE_DIR"] = folder
        try:
            for salt in range(repeats + 1):
                values = {**constants, "salt": salt}
                kinds = {**signature, **dict.fromkeys(values, "constexpr")}
                source = ASTSource(function, kinds, values, _aligned(signature))
                started = time.perf_counter()
                built = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_stages": 3})
                times.append((time.perf_counter() - started) * 1e3)
                assert built.asm["cubin"], "no machine code"
        finally:
            os.environ.pop("TRITON_CACHE_DIR")
            if before is not None:
                os.environ["TRITON_CACHE_DIR"] = before
    return times[1:]


def _aligned(signature: dict[str, str]) -> dict[tuple[int, ...], Any]:
    """Pointers and integers are multiples of 16, as Triton finds for such arguments in a launch."""
    return {(index,): [["tt.divisibility", 16]] for index, kind in enumerate(signature.values()) if kind != "fp32"}
