"""Every example's kernel compiled for every AMD target: what the code objects say, and the table of docs/amd.md.

    python -m tests.util.target_matrix        # bring the table up to date
"""

from __future__ import annotations

import functools
import importlib.util
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from tilelang_mlir.compiler import codegen
from tilelang_mlir.compiler.pipeline import CompileOptions, lower_program
from tilelang_mlir.compiler.resources import Resources
from tilelang_mlir.target import Feature, Target, parse_target

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "amd.md"
TARGETS = ("gfx90a", "gfx942", "gfx950", "gfx1100", "gfx1201")
_PRODUCT = re.compile(r"^\s+(v_(?:s?mfma|wmma)_\w+)", re.MULTILINE)
_MARKS = ("<!-- the table: python -m tests.util.target_matrix -->\n", "<!-- end of the table -->\n")


@dataclass(frozen=True)
class Built:
    """One kernel for one target: the code object, its assembly, what it takes, its matrix instructions by name."""

    code: bytes
    assembly: str
    resources: Resources
    products: Counter[str]


@functools.cache
def example(name: str) -> ModuleType:
    """An example as a module."""
    folder = ROOT / "examples"
    path = next(folder.glob(f"[0-9]*_{name}.py"))
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location(f"matrix_{name}", path)
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
    "gemv": lambda t: example("gemv").gemv.get_tir(N=14336, K=4096),
    "flash_attention": lambda t: example("flash_attention").attention.get_tir(
        4, 4096, 32, 8, 128, True, block_M=_tile(t)[1] // 2, block_N=_tile(t)[1] // 2,
        num_stages=_tile(t)[1] // 64, threads=_tile(t)[1],
    ),  # fmt: skip
    "cumsum": lambda t: example("cumsum").cumsum.get_tir(M=4096, N=8192),
    "gemm_int4": lambda t: example("gemm_int4").gemm_int4.get_tir(4096, 4096, 4096, block_M=_tile(t)[0]),
}
PRODUCTS = ("gemm_bias_relu", "gemm_dynamic_m", "gemm_split_k", "flash_attention", "gemm_int4")


@functools.cache
def build(kernel: str, arch: str) -> Built:
    """Compile a program of the table."""
    target = parse_target(arch)
    program = PROGRAMS[kernel](target)
    _, lowered = lower_program(program.module, target, CompileOptions())
    with lowered.context:
        code = codegen.generate(lowered, arch, emit=("amdgcn", "hsaco"))
    (resources,) = code.resources.values()
    return Built(code.binary, code.assembly, resources, Counter(_PRODUCT.findall(code.assembly)))


def table() -> str:
    """The table as Markdown."""
    lines = ["| kernel | target | vector registers | scalar | LDS bytes | spills | scratch | matrix instructions |"]
    lines.append("|---|---|--:|--:|--:|--:|--:|---|")
    for kernel in PROGRAMS:
        for arch in TARGETS:
            built = build(kernel, arch)
            used = built.resources
            products = ", ".join(f"{count} {name}" for name, count in sorted(built.products.items()))
            numbers = (used.registers, used.scalar_registers, used.shared, used.spills, used.stack)
            lines.append(f"| {kernel} | {arch} | {' | '.join(str(n) for n in numbers)} | {products} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    text = PAGE.read_text()
    start, end = text.index(_MARKS[0]) + len(_MARKS[0]), text.index(_MARKS[1])
    PAGE.write_text(f"{text[:start]}\n{table()}\n{text[end:]}")


if __name__ == "__main__":
    main()
