"""Every example's kernel for every target: what its machine code says, its results in the simulator, and the table
of docs/kernel_matrix.md.

    python -m tests.util.target_matrix                  # bring the table up to date
    python -m tests.util.target_matrix gemv gfx1100     # some kernels and targets of it
    python -m tests.util.target_matrix --code           # the machine code's part: what the simulator says stays
"""

from __future__ import annotations

import functools
import re
import sys
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from tests.util.matrix_programs import (
    AMD,
    COMPUTED,
    INTEGERS,
    LACKS,
    NVIDIA,
    PLAIN,
    PROGRAMS,
    SMALL,
    example,
    targets_of,
)
from tests.util.nvidia_encoding import executable
from tilelang_mlir import knobs
from tilelang_mlir.compiler import codegen
from tilelang_mlir.compiler.backends import backend_for
from tilelang_mlir.compiler.options import CompileOptions
from tilelang_mlir.compiler.pipeline import lower_program
from tilelang_mlir.compiler.resources import Resources
from tilelang_mlir.compiler.toolchain.ptxas import find_ptxas
from tilelang_mlir.dialect.layout.tensor import COLUMNS
from tilelang_mlir.jit.compile import compile_prim_func
from tilelang_mlir.launch_plan import KernelSpec, ParamSpec
from tilelang_mlir.mlir import ir
from tilelang_mlir.passes.walk import nested
from tilelang_mlir.reference import evaluate
from tilelang_mlir.runtime.binding import evaluate as evaluate_shape
from tilelang_mlir.target import parse_target

__all__ = [
    "AMD", "COMPUTED", "LACKS", "NVIDIA", "PAGE", "PLAIN", "PROGRAMS", "SMALL", "Built", "assembler", "build",
    "difference", "example", "reasons", "row", "simulate", "targets_of",
]  # fmt: skip

PAGE = Path(__file__).resolve().parents[2] / "docs" / "kernel_matrix.md"
_PRODUCT = re.compile(
    r"^\s+(v_(?:s?mfma|wmma)_\w+)|\b(tcgen05\.mma|wgmma\.mma_async|mma\.(?:sp\S*?\.)?sync\.aligned\.m\d+n\d+k\d+)",
    re.MULTILINE,
)
_MARKS = ("<!-- the table: python -m tests.util.target_matrix -->\n", "<!-- end of the table -->\n")
_REASONS = ("<!-- the reasons: python -m tests.util.target_matrix -->\n", "<!-- end of the reasons -->\n")
_TOLERANCE = {"float16": 2e-3, "bfloat16": 1e-2, "float32": 1e-5, "float8_e4m3": 1e-5, "float8_e4m3fnuz": 1e-5}
_NUMPY = {
    "bfloat16": ml_dtypes.bfloat16, "float8_e4m3": ml_dtypes.float8_e4m3fn,
    "float8_e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
}  # fmt: skip
_OFFSETS = [0, 24, 37]  # of sequences or groups, in rows
_PLACES = [0x4, 0x8, 0xC, 0x9, 0xD, 0xE]  # of two of four neighbours, as metadata of sparse products


@dataclass(frozen=True)
class Built:
    """One program for one target: its machine code, its assembly, what its main kernel takes, with the spills and stack
    of all of them, its matrix instructions by name, and how many blocks fit on a multiprocessor."""

    code: bytes
    assembly: str
    resources: Resources
    products: Counter[str]
    blocks: int


@functools.cache
def build(kernel: str, arch: str) -> Built:
    """Compile a program of the table. Passes are checked in full where the same program is simulated, not here."""
    target = parse_target(arch)
    backend = backend_for(arch)
    with knobs.overrides({"TILELANG_VERIFY_SPECS": False}):
        plan, lowered = lower_program(PROGRAMS[kernel](target).module, target, CompileOptions())
        with lowered.context:
            code = codegen.generate(lowered, arch, emit=(backend.text, backend.binary))
    launched = _main(plan.kernels)
    used, every = code.resources[launched.name], [code.resources[k.name] for k in plan.kernels]
    threads = launched.block[0] * launched.block[1] * launched.block[2]
    blocks = used.occupancy(target, threads, 0 if used.shared else launched.shared_bytes)
    if columns := _tensor_columns(lowered):
        blocks = min(blocks, COLUMNS // columns)
    own = replace(
        used, shared=used.shared or launched.shared_bytes, stack=max(k.stack for k in every),
        spill_stores=max(k.spill_stores for k in every), spill_loads=max(k.spill_loads for k in every),
    )  # fmt: skip
    found = (amd or nvidia for amd, nvidia in _PRODUCT.findall(code.assembly))
    products = Counter(re.sub(r"^mma\.(sp\b)?.*sync\.aligned\.", _short, name) for name in found)
    return Built(code.binary, code.assembly, own, products, blocks)


def _short(name: re.Match[str]) -> str:
    return "sp." if name[1] else ""


def _main(kernels: Collection[KernelSpec]) -> KernelSpec:
    """The kernel of a program that does the work: the first of those with the most shared memory."""
    return max(kernels, key=lambda kernel: kernel.shared_bytes)


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
        ranges = INTEGERS.get(kernel, {})
        values = [
            dims[p.name] if p.kind == "symbol" else _value(p, dims, i, ranges.get(p.name.capitalize(), (0, 1 << 15)))
            for i, p in enumerate(params)
        ]
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
            error = difference(np.asarray(got), want)
            assert error < _TOLERANCE[param.dtype], f"{kernel} on {arch}: {param.name} differs by {error:.1e}"
            worst = max(worst, error)  # which keeps the first where the second is no number
    return worst


def difference(got: np.ndarray, want: np.ndarray) -> float:
    """The norm of the difference over that of the right result; not a number where one of the results is none."""
    wide, right = got.astype(np.float64), want.astype(np.float64)
    assert np.isfinite(right).all(), "the evaluator left a part of a result unwritten"
    return float(np.linalg.norm(wide - right) / np.linalg.norm(right))


def _value(param: ParamSpec, dims: dict[str, int], seed: int, integers: tuple[int, int]) -> Any:
    """A random argument, or a poisoned output."""
    shape = tuple(int(n) for n in evaluate_shape(param.shape, dims))
    kind = np.dtype(_NUMPY.get(param.dtype, param.dtype))
    rng = np.random.default_rng(seed)
    if param.output:
        return np.full(shape, np.nan, kind)
    if kind == np.uint32:  # four factors 2^-7 to 2^6
        return rng.integers(120, 134, (*shape, 4)).astype(np.uint8).view(kind)[..., 0]
    if param.name.capitalize() == "Offsets":
        return np.array(_OFFSETS, kind)
    if param.name == "E":
        places = rng.choice(_PLACES, (*shape, 2 * kind.itemsize))
        return (places << (4 * np.arange(2 * kind.itemsize))).sum(-1).astype(np.uint32).view(kind)
    if kind.kind in "ui":
        return rng.integers(*integers, shape).astype(kind)
    return rng.standard_normal(shape).astype(kind)


def code_bytes(code: bytes) -> int:
    """Bytes of machine code: the executable sections of an ELF file."""
    return sum(size for _, size in executable(code))


def row(kernel: str, arch: str) -> str:
    """A line of the table, but for what the simulator says."""
    built = build(kernel, arch)
    used, size = built.resources, code_bytes(built.code)
    products = ", ".join(f"{count} {name}" for name, count in sorted(built.products.items()))
    density = f"{1024 * sum(built.products.values()) / size:.1f}" if built.products else ""
    numbers = (used.registers, used.shared, used.spills, used.stack, built.blocks, size)
    return f"| {kernel} | {arch} | {' | '.join(str(n) for n in numbers)} | {products} | {density} |"


def assembler() -> str:
    """What the page says about the assemblers that its figures of NVIDIA targets come from."""
    releases = sorted({find_ptxas(arch).release for arch in NVIDIA})
    return f"Registers and code of NVIDIA targets are those of ptxas {' and '.join(f'{a}.{b}' for a, b in releases)}"


def table(page: str, chosen: Collection[str] = ()) -> str:
    """The table as Markdown. Lines of the page stay where neither their kernel nor their target is among the chosen,
    and the figures of the simulator with `--code` among them."""
    names = ("kernel", "target", "registers", "shared", "spills", "stack", "blocks", "code", "matrix instructions",
             "per KiB", "simulated")  # fmt: skip
    lines = [f"| {' | '.join(names)} |", "|---|---|--:|--:|--:|--:|--:|--:|---|--:|--:|"]
    code, some = "--code" in chosen, {*chosen} - {"--code"}
    for kernel, arch in [(name, arch) for name in PROGRAMS for arch in targets_of(name)]:
        there = next((line for line in page.splitlines() if line.startswith(f"| {kernel} | {arch} |")), "")
        if some and kernel not in some and arch not in some and there:
            lines.append(there)
            continue
        told = there.split("|")[-2].strip() if code and there else f"{simulate(kernel, arch):.0e}"
        lines.append(f"{row(kernel, arch)} {told} |")
    return "\n".join(lines) + "\n"


def reasons() -> str:
    """Why kernels lack targets, as Markdown."""
    lines = [f"| {name} | {', '.join(lack.targets)} | {lack.why or lack.says} |" for name, lack in LACKS.items()]
    return "\n".join(["| kernel | no row for | because |", "|---|---|---|", *lines]) + "\n"


def _filled(text: str, marks: tuple[str, str], content: str) -> str:
    start, end = text.index(marks[0]) + len(marks[0]), text.index(marks[1])
    return f"{text[:start]}\n{content}\n{text[end:]}"


def main(chosen: Collection[str]) -> None:
    text = re.sub(r"Registers and code of NVIDIA targets are those of [\w. ]*[\w]", assembler(), PAGE.read_text())
    PAGE.write_text(_filled(_filled(text, _MARKS, table(text, chosen)), _REASONS, reasons()))


if __name__ == "__main__":
    main(sys.argv[1:])
