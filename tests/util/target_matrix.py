"""Every example's kernel for every target: what its machine code says, its results in the simulator, and the table
of docs/kernel_matrix.md.

    python -m tests.util.target_matrix                  # bring the table up to date
    python -m tests.util.target_matrix gemv gfx1100     # some kernels and targets of it
"""

from __future__ import annotations

import functools
import importlib.util
import re
import struct
import sys
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import ml_dtypes
import numpy as np

from tilelang_mlir import knobs
from tilelang_mlir.compiler import codegen
from tilelang_mlir.compiler.backends import backend_for
from tilelang_mlir.compiler.options import CompileOptions
from tilelang_mlir.compiler.pipeline import lower_program
from tilelang_mlir.compiler.resources import Resources
from tilelang_mlir.dialect.layout.tensor import COLUMNS
from tilelang_mlir.jit.compile import compile_prim_func
from tilelang_mlir.launch_plan import ParamSpec
from tilelang_mlir.mlir import ir
from tilelang_mlir.ops.attention_backward import gradient_tiles, gradients
from tilelang_mlir.ops.chunk_scan import scan_form
from tilelang_mlir.ops.decode import decoding_stages, flash_decoding
from tilelang_mlir.ops.grouped import grouped_gemm, grouped_tiling
from tilelang_mlir.ops.mla import mla_decoding, mla_page, mla_tiles
from tilelang_mlir.ops.scaled import gemm_fp8, tensor_tiling
from tilelang_mlir.ops.varlen import attention_varlen_forward, varlen_tiles
from tilelang_mlir.passes.walk import nested
from tilelang_mlir.reference import evaluate
from tilelang_mlir.runtime.binding import evaluate as evaluate_shape
from tilelang_mlir.target import Feature, Target, parse_target

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "kernel_matrix.md"
AMD = ("gfx90a", "gfx942", "gfx950", "gfx1100", "gfx1201")
NVIDIA = ("sm_80", "sm_90a", "sm_100a", "sm_103a", "sm_120a")
_PRODUCT = re.compile(
    r"^\s+(v_(?:s?mfma|wmma)_\w+)|\b(tcgen05\.mma|wgmma\.mma_async|mma\.sync\.aligned\.m\d+n\d+k\d+)", re.MULTILINE
)
_MARKS = ("<!-- the table: python -m tests.util.target_matrix -->\n", "<!-- end of the table -->\n")
_TOLERANCE = {"float16": 2e-3, "bfloat16": 1e-2, "float32": 1e-5, "float8_e4m3": 1e-5, "float8_e4m3fnuz": 1e-5}


@dataclass(frozen=True)
class Built:
    """One kernel for one target: its machine code, its assembly, what it takes, its matrix instructions by name, and
    how many blocks fit on a multiprocessor."""

    code: bytes
    assembly: str
    resources: Resources
    products: Counter[str]
    blocks: int


@functools.cache
def example(name: str) -> ModuleType:
    """An example as a module."""
    folder = ROOT / "examples"
    (path,) = [*folder.glob(f"[0-9][0-9]_{name}.py"), *folder.glob(f"{name}.py")]
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location(f"matrix_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(folder))


def _tile(target: Target) -> tuple[int, int]:
    """Rows and columns of a product: fewer where a thread has half the registers, or holds operands twice."""
    rows = 128 if target.supports(Feature.MFMA) else 64
    return rows, 64 if target.supports(Feature.WMMA_REPEATED) else 128


def _gemm_fp8(target: Target, *sizes: int) -> Any:
    """A product of the target's 8-bit floats."""
    kind = "float8_e4m3fnuz" if target.supports(Feature.FP8_FNUZ) else "float8_e4m3"
    return gemm_fp8.get_tir(*sizes, kind, "bfloat16", tensor_tiling(*sizes, target))


def _chunk_scan(target: Target, *sizes: int) -> Any:
    factory, *form = scan_form(sizes, target)
    return factory.get_tir(*sizes, "float16", *form)


def _attention(target: Target) -> dict[str, int]:
    """Queries, keys, stages and threads of attention: two warpgroups on a whole tile of tensor memory."""
    if target.supports(Feature.TCGEN05):
        return {"block_M": 128, "block_N": 64, "num_stages": 2, "threads": 256}
    _, size = _tile(target)
    return {"block_M": size // 2, "block_N": size // 2, "num_stages": size // 64, "threads": size}


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
}
NUMPY = {
    "bfloat16": ml_dtypes.bfloat16, "float8_e4m3": ml_dtypes.float8_e4m3fn,
    "float8_e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
}  # fmt: skip
PRODUCTS = (
    "gemm_bias_relu", "gemm_dynamic_m", "gemm_split_k", "gemm_four_rows", "flash_attention", "gemm_int4",
    "flash_decoding", "attention_backward", "grouped_gemm", "gemm_blockscaled", "attention_varlen", "mla_decode",
    "gemm_fp8", "mamba2_chunk_scan",
)  # fmt: skip
# Where a program makes sense, if that is not everywhere.
_BLACKWELL = ("sm_100a", "sm_103a")
_TARGETS = {
    "gemm_fp8": ("sm_90a", *_BLACKWELL, "sm_120a", "gfx942", "gfx950", "gfx1201"),
    "gemm_four_rows": ("gfx90a", "gfx942", "gfx950"),
    "gemm_by_hand": ("sm_90a",),
    "gemm_blockscaled": (*_BLACKWELL, "sm_120a", "gfx950"),
    "gemm_persistent": _BLACKWELL,
    "gemm_launch_control": _BLACKWELL,
    "gemm_pairs": _BLACKWELL,
    "attention_roles": _BLACKWELL,
}
# Integers that small programs are given, from the first one up to the second: expert numbers, lengths, labels.
_INTEGERS = {"grouped_gemm": (0, 3), "flash_decoding": (1, 91), "cross_entropy": (0, 3001), "mla_decode": (1, 5)}
_OFFSETS = [0, 24, 37]  # of sequences, in tokens
# Programs of roles and barriers say more than the evaluator knows: what they compute, from the inputs in float64.
COMPUTED: dict[str, Callable[..., np.ndarray]] = {
    **dict.fromkeys(("gemm_by_hand", "gemm_persistent", "gemm_launch_control", "gemm_pairs"), lambda a, b: a @ b.T),
    "attention_roles": lambda q, k, v: _weighted_values(q, k, v),
}


def _weighted_values(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Attention over [heads, S, D]."""
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[2])
    weights = np.exp(scores - scores.max(axis=2, keepdims=True))
    return weights / weights.sum(axis=2, keepdims=True) @ v


def targets_of(kernel: str) -> tuple[str, ...]:
    """The targets that a program of the table has a row for."""
    return _TARGETS.get(kernel, (*NVIDIA, *AMD))


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
}


@functools.cache
def build(kernel: str, arch: str) -> Built:
    """Compile a program of the table."""
    target = parse_target(arch)
    program = PROGRAMS[kernel](target)
    plan, lowered = lower_program(program.module, target, CompileOptions())
    backend = backend_for(arch)
    with lowered.context:
        code = codegen.generate(lowered, arch, emit=(backend.text, backend.binary))
    launched = plan.kernels[0]  # the one that does the work
    resources = code.resources[launched.name]
    threads, shared = launched.block[0] * launched.block[1] * launched.block[2], launched.shared_bytes
    own = resources if resources.shared else replace(resources, shared=shared)
    blocks = resources.occupancy(target, threads, 0 if resources.shared else shared)
    if columns := _tensor_columns(lowered):
        blocks = min(blocks, COLUMNS // columns)
    found = (amd or nvidia for amd, nvidia in _PRODUCT.findall(code.assembly))
    products = Counter(name.removeprefix("mma.sync.aligned.") for name in found)
    return Built(code.binary, code.assembly, own, products, blocks)


def _tensor_columns(lowered: ir.Module) -> int:
    """Columns of tensor memory that a block of a lowered program's first kernel with any allocates."""
    for kernel in (op for op in nested(lowered.operation) if op.name == "llvm.func"):
        allocs = [op.operands[1].owner for op in nested(kernel) if op.name == "nvvm.tcgen05.alloc"]
        if allocs:
            return sum(ir.IntegerAttr(op.attributes["value"]).value for op in allocs)
    return 0


def simulate(kernel: str, arch: str) -> float:
    """The largest relative difference between a small program in the simulator, checked, and in the evaluator."""
    program = SMALL[kernel](parse_target(arch))
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        compiled = compile_prim_func(program, target=f"sim:{arch}")
        params = compiled.plan.params
        dims = dict.fromkeys((p.name for p in params if p.kind == "symbol"), 37)
        integers = _INTEGERS.get(kernel, (0, 1 << 15))
        values = [dims[p.name] if p.kind == "symbol" else _value(p, dims, i, integers) for i, p in enumerate(params)]
        expected = [v.copy() if isinstance(v, np.ndarray) else v for v in values]
        given = [(p, v) for p, v in zip(params, values, strict=True) if p.kind != "symbol"]
        made = compiled(*(v for p, v in given if not p.output))
        if kernel in COMPUTED:
            *inputs, _ = values
            expected[-1] = COMPUTED[kernel](*(np.asarray(v, np.float64) for v in inputs))
        else:
            evaluate(program.module, compiled.plan.name, expected)
    outputs = iter(made if isinstance(made, list) else [made])
    worst = 0.0
    for param, value, want in zip(params, values, expected, strict=True):
        got = next(outputs) if param.output else value
        if isinstance(want, np.ndarray) and want.dtype.kind not in "ui":
            wide, right = np.asarray(got).astype(np.float64), want.astype(np.float64)
            assert np.isfinite(right).all(), f"{kernel}: the evaluator left a part of {param.name} unwritten"
            worst = max(worst, float(np.linalg.norm(wide - right) / np.linalg.norm(right)))
            assert worst < _TOLERANCE[param.dtype], f"{kernel} on {arch}: {param.name} differs by {worst:.1e}"
    return worst


def _value(param: ParamSpec, dims: dict[str, int], seed: int, integers: tuple[int, int]) -> Any:
    """A random argument, or a poisoned output."""
    shape = tuple(int(n) for n in evaluate_shape(param.shape, dims))
    kind = np.dtype(NUMPY.get(param.dtype, param.dtype))
    rng = np.random.default_rng(seed)
    if param.output:
        return np.full(shape, np.nan, kind)
    if kind == np.uint32:  # four factors 2^-7 to 2^6
        return rng.integers(120, 134, (*shape, 4)).astype(np.uint8).view(kind)[..., 0]
    if param.name == "Offsets":
        return np.array(_OFFSETS, kind)
    if kind.kind in "ui":
        return rng.integers(*integers, shape).astype(kind)
    return rng.standard_normal(shape).astype(kind)


def code_bytes(code: bytes) -> int:
    """Bytes of machine code: the executable sections of an ELF file."""
    sections, (entry, count) = struct.unpack_from("<Q", code, 40)[0], struct.unpack_from("<HH", code, 58)
    total = 0
    for at in range(sections, sections + entry * count, max(entry, 1)):
        kind, traits = struct.unpack_from("<IQ", code, at + 4)
        total += struct.unpack_from("<Q", code, at + 32)[0] if kind == 1 and traits & 4 else 0
    return total


def row(kernel: str, arch: str) -> str:
    """A line of the table, but for what the simulator says."""
    built = build(kernel, arch)
    used, size = built.resources, code_bytes(built.code)
    products = ", ".join(f"{count} {name}" for name, count in sorted(built.products.items()))
    density = f"{1024 * sum(built.products.values()) / size:.1f}" if built.products else ""
    numbers = (used.registers, used.shared, used.spills, used.stack, built.blocks, size)
    return f"| {kernel} | {arch} | {' | '.join(str(n) for n in numbers)} | {products} | {density} |"


def table(page: str, chosen: Collection[str] = ()) -> str:
    """The table as Markdown. Lines of the page stay where neither their kernel nor their target is among the chosen."""
    names = ("kernel", "target", "registers", "shared", "spills", "stack", "blocks", "code", "matrix instructions",
             "per KiB", "simulated")  # fmt: skip
    lines = [f"| {' | '.join(names)} |", "|---|---|--:|--:|--:|--:|--:|--:|---|--:|--:|"]
    for kernel, arch in [(name, arch) for name in PROGRAMS for arch in targets_of(name)]:
        there = next((line for line in page.splitlines() if line.startswith(f"| {kernel} | {arch} |")), "")
        fresh = not chosen or kernel in chosen or arch in chosen or not there
        lines.append(f"{row(kernel, arch)} {simulate(kernel, arch):.0e} |" if fresh else there)
    return "\n".join(lines) + "\n"


def main(chosen: Collection[str]) -> None:
    text = PAGE.read_text()
    start, end = text.index(_MARKS[0]) + len(_MARKS[0]), text.index(_MARKS[1])
    PAGE.write_text(f"{text[:start]}\n{table(text, chosen)}\n{text[end:]}")


if __name__ == "__main__":
    main(sys.argv[1:])
