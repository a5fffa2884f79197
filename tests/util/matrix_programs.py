"""The programs of docs/kernel_matrix.md: at sizes of large models, at small odd ones for the simulator, which target
each is for, and why it is not for the others."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tilelang_mlir.ops.attention import attention_forward, attention_tiling
from tilelang_mlir.ops.attention_backward import gradient_tiles, gradients
from tilelang_mlir.ops.attention_gradients import gradient_tiling, gradients_by_registers
from tilelang_mlir.ops.chunk_scan import scan_form
from tilelang_mlir.ops.decode import decoding_rows, decoding_stages, flash_decoding, paged_decoding
from tilelang_mlir.ops.gemm import chosen_program
from tilelang_mlir.ops.grouped import grouped_gemm, grouped_tiling, masked_gemm
from tilelang_mlir.ops.mla import mla_decoding, mla_page, mla_tiles
from tilelang_mlir.ops.packed import packed_gemm
from tilelang_mlir.ops.scaled import gemm_fp8, tensor_tiling
from tilelang_mlir.ops.scaled_blocks import blocks_form
from tilelang_mlir.ops.sparse import gemm_sparse, sparse_tiling
from tilelang_mlir.ops.stream_k import stream_program
from tilelang_mlir.ops.tiling import Tiling
from tilelang_mlir.ops.varlen import attention_varlen_forward, varlen_tiles
from tilelang_mlir.target import Feature, Target

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
AMD = ("gfx90a", "gfx942", "gfx950", "gfx1100", "gfx1201")
NVIDIA = ("sm_80", "sm_90a", "sm_100a", "sm_103a", "sm_120a")
_STREAM = Tiling(128, 64, 64, 2, 256)


@functools.cache
def example(name: str) -> ModuleType:
    """An example as a module."""
    (path,) = [*EXAMPLES.glob(f"[0-9][0-9]_{name}.py"), *EXAMPLES.glob(f"{name}.py")]
    sys.path.insert(0, str(EXAMPLES))
    try:
        spec = importlib.util.spec_from_file_location(f"matrix_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(EXAMPLES))


def _tile(target: Target) -> tuple[int, int]:
    """Rows and columns of a product: fewer where a thread has half the registers, or holds operands twice."""
    rows = 128 if target.supports(Feature.MFMA) else 64
    return rows, 64 if target.supports(Feature.WMMA_REPEATED) else 128


def _fp8(target: Target) -> str:
    return "float8_e4m3fnuz" if target.supports(Feature.FP8_FNUZ) else "float8_e4m3"


def _gemm_fp8(target: Target, *sizes: int) -> Any:
    """A product of the target's 8-bit floats."""
    return gemm_fp8.get_tir(*sizes, _fp8(target), "bfloat16", tensor_tiling(*sizes, target))


def _gemm_fp8_blocks(target: Target, M: int, N: int, K: int) -> Any:
    factory, *form = blocks_form(M, N, target)
    return factory.get_tir(M, N, K, _fp8(target), "bfloat16", *form)


def _gemm_sparse(target: Target, M: int, N: int, K: int) -> Any:
    return gemm_sparse.get_tir(M, N, K, "float16", "float16", sparse_tiling(M, N, "float16", target))


def _chunk_scan(target: Target, *sizes: int) -> Any:
    factory, *form = scan_form(sizes, target)
    return factory.get_tir(*sizes, "float16", *form)


def _attention(target: Target) -> dict[str, int]:
    """Queries, keys, stages and threads of attention: two warpgroups on a whole tile of tensor memory."""
    if target.supports(Feature.TCGEN05):
        return {"block_M": 128, "block_N": 64, "num_stages": 2, "threads": 256}
    _, size = _tile(target)
    return {"block_M": size // 2, "block_N": size // 2, "num_stages": size // 64, "threads": size}


def _attention_forward(target: Target, batch: int, S: int, heads: int, heads_kv: int, D: int) -> Any:
    tiling = attention_tiling(S, heads, D, True, target)
    return attention_forward.get_tir(batch, S, S, heads, heads_kv, D, D, True, D**-0.5, "float16", tiling)


def _gradients(target: Target, batch: int, S: int, heads: int, D: int) -> Any:
    """The kernel around the products of `ops.attention_backward`."""
    tiling = gradient_tiling(D, D) if target.supports(Feature.WGMMA) else None
    if tiling is not None:
        return gradients_by_registers.get_tir(batch, S, heads, heads, D, D, True, D**-0.5, "float16", tiling)
    return gradients.get_tir(batch, S, heads, D, True, D**-0.5, "float16", *gradient_tiles(D, target))


def _paged_decoding(target: Target, batch: int, pages: int, most: int, heads: int, heads_kv: int, D: int) -> Any:
    form = {"num_stages": decoding_stages(D, target), "rows": decoding_rows(heads // heads_kv, D, target)}
    return paged_decoding.get_tir(batch, pages, 64, most, heads, heads_kv, D, 4, **form)


# The program by target, at sizes of large models.
PROGRAMS: dict[str, Callable[[Target], Any]] = {
    "vector_add": lambda t: example("vector_add").vector_add.get_tir(n=1 << 26),
    "fused_elementwise": lambda t: example("fused_elementwise").fused_elementwise.get_tir(8192, 28672),
    "gemm_bias_relu": lambda t: example("gemm_bias_relu").gemm_bias_relu.get_tir(
        4096, 14336, 4096, "float16", *_tile(t)
    ),
    "softmax": lambda t: example("softmax").softmax.get_tir(8192, 4096),
    "rms_norm": lambda t: example("rms_norm").rms_norm.get_tir(M=8192, N=4096),
    "layer_norm": lambda t: example("layer_norm").layer_norm.get_tir(8192, 4096),
    "transpose": lambda t: example("transpose").transpose.get_tir(M=8192, N=4096),
    "gemm_dynamic_m": lambda t: example("gemm_dynamic_m").linear.get_tir(4096, 14336, "bfloat16", *_tile(t)),
    "gemm_split_k": lambda t: example("gemm_split_k").gemm_split_k.get_tir(64, 8192, 28672),
    "gemm_four_rows": lambda t: example("gemm_split_k").gemm_split_k.get_tir(
        4, 8192, 28672, block_M=4, block_N=128, block_K=128
    ),
    "gemv": lambda t: example("gemv").gemv.get_tir(N=14336, K=4096),
    "flash_attention": lambda t: example("flash_attention").attention.get_tir(
        4, 4096, 32, 8, 128, True, **_attention(t)
    ),
    "cumsum": lambda t: example("cumsum").cumsum.get_tir(M=4096, N=8192),
    "gemm_int4": lambda t: example("gemm_int4").gemm_int4.get_tir(4096, 4096, 4096, block_M=_tile(t)[0]),
    "flash_decoding": lambda t: flash_decoding.get_tir(
        8, 8192, 32, 8, 128, 8, num_stages=decoding_stages(128, t)
    ),
    "attention_backward": lambda t: gradients.get_tir(
        4, 4096, 32, 64, True, 0.125, "float16", *gradient_tiles(64, t)
    ),
    "grouped_gemm": lambda t: grouped_gemm.get_tir(8192, 4096, 4096, 8, "bfloat16", grouped_tiling(t)),
    "attention_varlen": lambda t: attention_varlen_forward.get_tir(
        8, 6623, 32, 8, 128, True, "float16", *varlen_tiles(128, 6623, t)
    ),
    "mla_decode": lambda t: mla_decoding.get_tir(
        32, 32 * 4096 // mla_page(t), 4096, 128, 512, 64, 2, "float16", *mla_tiles(576, mla_page(t), t)
    ),
    "cross_entropy": lambda t: example("cross_entropy").cross_entropy.get_tir(4096, 128256),
    "gemm_fp8": lambda t: _gemm_fp8(t, 8192, 8192, 8192),
    "mamba2_chunk_scan": lambda t: _chunk_scan(t, 8, 4096, 256, 80, 1, 64, 128),
    "gemm_by_hand": lambda t: example("gemm_by_hand").gemm_by_hand.get_tir(4096, 4096, 4096),
    "gemm_blockscaled": lambda t: example("blackwell/gemm_blockscaled").gemm_blockscaled(4096, 4096, 4096),
    "gemm_persistent": lambda t: example("blackwell/gemm_persistent").gemm_persistent(4096, 4096, 4096),
    "gemm_launch_control": lambda t: example("blackwell/gemm_launch_control").gemm_launch_control(4096, 4096, 4096),
    "gemm_pairs": lambda t: example("blackwell/gemm_pairs").gemm_pairs(4096, 4096, 4096),
    "attention_roles": lambda t: example("blackwell/attention").attention_roles(4096, 16),
    "attention_tiles": lambda t: example("blackwell/attention").attention(4096, 16),
    "quickstart": lambda t: example("quickstart").gemm_bias_relu.get_tir(4096, 4096, 4096),
    "matmul": lambda t: chosen_program(8192, 8192, 8192, "float16", "float16", machine=t),
    "matmul_few_tiles": lambda t: chosen_program(512, 1024, 8192, "float16", "float16", machine=t),
    "matmul_stream": lambda t: stream_program(
        1408, 1024, 8192, "float16", "float16", _STREAM, 44, 132, 132
    ),
    "attention": lambda t: _attention_forward(t, 4, 4096, 32, 8, 128),
    "attention_backward_128": lambda t: _gradients(t, 4, 4096, 32, 128),
    "attention_backward_256": lambda t: _gradients(t, 4, 4096, 32, 256),
    "masked_gemm": lambda t: masked_gemm.get_tir(512, 4096, 7168, 16, "bfloat16", grouped_tiling(t)),
    "packed_gemm": lambda t: packed_gemm.get_tir(4096, 7168, 16, "bfloat16", grouped_tiling(t)),
    "gemm_fp8_blocks": lambda t: _gemm_fp8_blocks(t, 8192, 8192, 8192),
    "gemm_sparse": lambda t: _gemm_sparse(t, 8192, 8192, 8192),
    "paged_decoding": lambda t: _paged_decoding(t, 8, 1024, 128, 32, 8, 128),
}
# Programs without products of matrices.
PLAIN = (
    "vector_add", "fused_elementwise", "softmax", "rms_norm", "layer_norm", "transpose", "gemv", "cumsum",
    "cross_entropy",
)  # fmt: skip

# Programs whose tiles are not those of products into tensor memory (128 rows, sums of all in one warpgroup's lanes).
WARPS = ("mla_decode", "attention_backward_128", "attention_backward_256", "gemm_sparse")


@dataclass(frozen=True)
class Lack:
    """Why a program has no rows for some targets: what compiling it there says among others, or that it spills; and
    in other words where that is no reason by itself."""

    targets: tuple[str, ...]
    says: str
    why: str = ""


SPILLS = "its tiles spill registers"
_TMEM = Lack(("sm_80", "sm_90a", "sm_120a", *AMD), "T.alloc_tmem needs tcgen05 and tensor memory")
_FP8 = Lack(
    ("sm_80", "gfx90a", "gfx1100"), "a matrix product of f8E4M3FN needs", "no matrix instructions of 8-bit floats"
)
LACKS = {
    "gemm_four_rows": Lack(
        (*NVIDIA, "gfx1100", "gfx1201"), "C of 4x128 is no multiple of 16x", "no instructions of 4 rows"
    ),
    "gemm_fp8": _FP8,
    "gemm_fp8_blocks": _FP8,
    "gemm_by_hand": Lack(
        ("sm_80", "sm_100a", "sm_103a", "sm_120a", *AMD), "T.wgmma_gemm cannot run on warpgroup products here"
    ),
    "gemm_blockscaled": Lack(
        ("sm_80", "sm_90a", "gfx90a", "gfx942", "gfx1100", "gfx1201"),
        "a block-scaled product needs mma.sync with block scales, mfma f8f6f4 with scales or tcgen05",
    ),
    "gemm_persistent": Lack(("sm_120a",), "needs 131072 bytes of shared memory"),
    "gemm_launch_control": _TMEM,
    "gemm_pairs": _TMEM,
    "attention_roles": _TMEM,
    "attention_tiles": _TMEM,
    "matmul_stream": Lack(("sm_80", *AMD), "launch_dependents needs programmatic dependent launch"),
    "quickstart": Lack(("gfx1100", "gfx1201"), SPILLS),
    "gemm_sparse": Lack(AMD, "T.gemm_sp needs sparse matrix instructions"),
}
# Integers that small programs are given, by parameter, from the first one up to the second: expert numbers, lengths.
INTEGERS: dict[str, dict[str, tuple[int, int]]] = {
    "grouped_gemm": {"Experts": (0, 3)},
    "masked_gemm": {"Counts": (1, 38)},
    "flash_decoding": {"Lengths": (65, 91)},
    "paged_decoding": {"Pages": (0, 7), "Lengths": (65, 129)},
    "cross_entropy": {"Labels": (0, 3001)},
    "mla_decode": {"Pages": (0, 5), "Lengths": (33, 91)},
}
# Programs of roles and barriers say more than the evaluator knows: what they compute, from the inputs in float64.
COMPUTED: dict[str, Callable[..., np.ndarray]] = {
    **dict.fromkeys(("gemm_by_hand", "gemm_persistent", "gemm_launch_control", "gemm_pairs"), lambda a, b: a @ b.T),
    **dict.fromkeys(("attention_roles", "attention_tiles"), lambda q, k, v: _weighted_values(q, k, v)),
}


def _weighted_values(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Attention over [heads, S, D]."""
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[2])
    weights = np.exp(scores - scores.max(axis=2, keepdims=True))
    return weights / weights.sum(axis=2, keepdims=True) @ v


def targets_of(kernel: str) -> tuple[str, ...]:
    """The targets that a program of the table has a row for."""
    lacking = LACKS[kernel].targets if kernel in LACKS else ()
    return tuple(arch for arch in (*NVIDIA, *AMD) if arch not in lacking)


# The same programs at small odd sizes, for the simulator.
SMALL: dict[str, Callable[[Target], Any]] = {
    "vector_add": lambda t: example("vector_add").vector_add.get_tir(n=1337),
    "fused_elementwise": lambda t: example("fused_elementwise").fused_elementwise.get_tir(5, 264),
    "gemm_bias_relu": lambda t: example("gemm_bias_relu").gemm_bias_relu.get_tir(37, 72, 104, "float16", *_tile(t)),
    "softmax": lambda t: example("softmax").softmax.get_tir(3, 200),
    "rms_norm": lambda t: example("rms_norm").rms_norm.get_tir(M=3, N=200),
    "layer_norm": lambda t: example("layer_norm").layer_norm.get_tir(3, 200),
    "transpose": lambda t: example("transpose").transpose.get_tir(M=70, N=37),
    "gemm_dynamic_m": lambda t: example("gemm_dynamic_m").linear.get_tir(104, 72, "bfloat16", *_tile(t)),
    "gemm_split_k": lambda t: example("gemm_split_k").gemm_split_k.get_tir(40, 72, 520),
    "gemm_four_rows": lambda t: example("gemm_split_k").gemm_split_k.get_tir(
        3, 200, 1032, block_M=4, block_N=128, block_K=128
    ),
    "gemv": lambda t: example("gemv").gemv.get_tir(N=13, K=1100),
    "flash_attention": lambda t: example("flash_attention").attention.get_tir(
        1, 70, 2, 1, 64, True, **_attention(t)
    ),
    "cumsum": lambda t: example("cumsum").cumsum.get_tir(M=2, N=150, block_N=64),
    "gemm_int4": lambda t: example("gemm_int4").gemm_int4.get_tir(37, 72, 256, block_M=_tile(t)[0]),
    "flash_decoding": lambda t: flash_decoding.get_tir(1, 90, 6, 2, 64, 2),
    "attention_backward": lambda t: gradients.get_tir(1, 70, 1, 64, True, 0.125, "float16", *gradient_tiles(64, t)),
    "grouped_gemm": lambda t: grouped_gemm.get_tir(256, 72, 104, 3, "bfloat16", grouped_tiling(t)),
    "attention_varlen": lambda t: attention_varlen_forward.get_tir(
        2, 37, 2, 1, 64, True, "float16", *varlen_tiles(64, 37, t)
    ),
    "mla_decode": lambda t: mla_decoding.get_tir(2, 5, 90, 16, 64, 64, 2, "float16", *mla_tiles(128, 32, t)),
    "cross_entropy": lambda t: example("cross_entropy").cross_entropy.get_tir(5, 3001, "bfloat16", 128, 16),
    "gemm_fp8": lambda t: _gemm_fp8(t, 37, 72, 208),
    "mamba2_chunk_scan": lambda t: _chunk_scan(t, 1, 144, 72, 1, 1, 64, 64),
    "gemm_by_hand": lambda t: example("gemm_by_hand").gemm_by_hand.get_tir(
        136, 200, 136, "float16", 128, 128, 64, 2, 2, 2
    ),
    "gemm_blockscaled": lambda t: example("blackwell/gemm_blockscaled").gemm_blockscaled(70, 72, 256),
    "gemm_persistent": lambda t: example("blackwell/gemm_persistent").gemm_persistent(264, 136, 200, blocks=2),
    "gemm_launch_control": lambda t: example("blackwell/gemm_launch_control").gemm_launch_control(264, 136, 136),
    "gemm_pairs": lambda t: example("blackwell/gemm_pairs").gemm_pairs(256, 136, 136),
    "attention_roles": lambda t: example("blackwell/attention").attention_roles(200, 1),
    "attention_tiles": lambda t: example("blackwell/attention").attention(200, 1),
    "quickstart": lambda t: example("quickstart").gemm_bias_relu.get_tir(37, 72, 104),
    "matmul": lambda t: chosen_program(70, 72, 104, "float16", "float16", machine=t),
    "matmul_few_tiles": lambda t: chosen_program(40, 72, 1100, "float16", "float16", machine=t),
    "matmul_stream": lambda t: stream_program(130, 72, 136, "float16", "float32", _STREAM, 2, 4, 5),
    "attention": lambda t: _attention_forward(t, 1, 70, 2, 1, 64),
    "attention_backward_128": lambda t: _gradients(t, 1, 70, 1, 128),
    "attention_backward_256": lambda t: _gradients(t, 1, 37, 1, 256),
    "masked_gemm": lambda t: masked_gemm.get_tir(37, 72, 104, 3, "bfloat16", grouped_tiling(t)),
    "packed_gemm": lambda t: packed_gemm.get_tir(72, 104, 2, "bfloat16", grouped_tiling(t)),
    "gemm_fp8_blocks": lambda t: _gemm_fp8_blocks(t, 37, 72, 208),
    "gemm_sparse": lambda t: _gemm_sparse(t, 37, 72, 160),
    "paged_decoding": lambda t: _paged_decoding(t, 2, 7, 2, 6, 2, 64),
}
