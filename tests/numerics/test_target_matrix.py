"""Every row of docs/kernel_matrix.md: simulator against evaluator, the machine code of NVIDIA targets (`test_amd` has
that of AMD), that every example and ready kernel has rows, and why some have none for a target."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.util import target_matrix
from tests.util.matrix_programs import EXAMPLES, SPILLS, WARPS
from tests.util.nvidia_encoding import instructions
from tests.util.target_matrix import AMD, LACKS, NVIDIA, PLAIN, PROGRAMS, SMALL
from tilelang_mlir import ops
from tilelang_mlir.compiler.toolchain.disasm import disassemble
from tilelang_mlir.errors import TileError
from tilelang_mlir.jit.decorator import JITImpl
from tilelang_mlir.target import parse_target

PAGE = target_matrix.PAGE.read_text()
# What the products of a target have to be, in its assembly and in its machine code.
WANTED = {
    "sm_80": (r"m16n8k\d+|sp\.m16n8k\d+", {"HMMA"}), "sm_90a": (r"wgmma\.mma_async", {"HGMMA", "QGMMA"}),
    "sm_100a": (r"tcgen05\.mma", {"UTCMMA"}), "sm_103a": (r"tcgen05\.mma", {"UTCMMA"}),
    "sm_120a": (r"m16n8k\d+|sp\.m16n8k\d+", {"HMMA", "QMMA"}),
}  # fmt: skip
# Kernels around one with rows: without products of matrices, or the wait for its parts.
PARTS = {"row_products", "scaled", "row_facts", "rows_of_sums"}


# -- simulator ---------------------------------------------------------------------------------------------------------
def simulated(kernel: str) -> Iterator[str]:
    """But for sm_103a, whose programs are those of sm_100a (below), and what examples' own tests simulate:
    `test_examples`, `test_blackwell_examples` and `test_tensor_pairs`."""
    examples = importlib.import_module("tests.numerics.test_examples")
    elsewhere = examples.TARGETS if any(name[3:] == kernel for name in examples.EXAMPLES) else ()
    if kernel in target_matrix.COMPUTED:
        elsewhere = ("sm_90a",) if kernel == "gemm_by_hand" else ("sm_100a",)
    return (arch for arch in target_matrix.targets_of(kernel) if arch != "sm_103a" and arch not in elsewhere)


@pytest.mark.parametrize("kernel", [name for name in SMALL if [*simulated(name)]])
def test_simulated_on_every_target(kernel: str) -> None:
    for arch in simulated(kernel):
        assert target_matrix.simulate(kernel, arch) < 1e-2


def test_what_is_not_a_number_is_no_result() -> None:
    want = np.arange(1.0, 5.0)
    assert target_matrix.difference(want, want) == 0
    assert not target_matrix.difference(np.where(want == 3, np.nan, want), want) < 1e9
    with pytest.raises(AssertionError, match="left a part of a result unwritten"):
        target_matrix.difference(want, np.where(want == 3, np.nan, want))


# -- machine code ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kernel", PROGRAMS)
def test_machine_code(kernel: str) -> None:
    """Nothing in local memory, the products that the target is there for, and the figures of the page."""
    for arch in (arch for arch in target_matrix.targets_of(kernel) if arch in NVIDIA):
        built, (names, codes) = target_matrix.build(kernel, arch), WANTED[arch]
        found = instructions(built.code)
        assert built.code[:4] == b"\x7fELF" and built.blocks >= 1
        assert (built.resources.spills, built.resources.stack) == (0, 0), f"{kernel} for {arch}: {built.resources}"
        assert not found["LDL"] + found["STL"], f"{kernel} for {arch} uses local memory: {found}"
        if kernel in WARPS and arch in ("sm_100a", "sm_103a"):
            names, codes = WANTED["sm_80"]
        assert bool(built.products) == (kernel not in PLAIN)
        assert not built.products or any(re.fullmatch(names, name) for name in built.products), built.products
        assert not built.products or codes & {*found}, f"{kernel} for {arch}: {found}"
        assert sum(found.values()) == sum(built.products.values()), f"{kernel} for {arch}: {found}, {built.products}"
        line = target_matrix.row(kernel, arch)
        if target_matrix.assembler() not in PAGE:  # another ptxas: what does not depend on it
            line, there = (re.sub(r"\d[\d.]* \|", "", text) for text in (line, _line(kernel, arch)))
            assert there.startswith(line.rstrip())
        else:
            assert line in PAGE, f"run python -m tests.util.target_matrix {kernel}"


def _line(kernel: str, arch: str) -> str:
    return next(line for line in PAGE.splitlines() if line.startswith(f"| {kernel} | {arch} |"))


@pytest.mark.parametrize("kernel", [name for name in PROGRAMS if "sm_103a" in target_matrix.targets_of(name)])
def test_programs_of_sm_103a_are_those_of_sm_100a(kernel: str) -> None:
    ours, theirs = (target_matrix.build(kernel, arch).assembly for arch in ("sm_103a", "sm_100a"))
    assert ours.replace("sm_103a", "sm_100a") == theirs


@pytest.mark.parametrize("arch", [arch for arch in NVIDIA if arch != "sm_103a"])  # which the disassembler does not know
def test_encodings_are_those_of_the_disassembler(arch: str) -> None:
    code = target_matrix.build("gemm_bias_relu", arch).code
    listed = re.findall(r"^\s+/\*\w+\*/\s+(?:@\S+\s+)?(UTC\wMMA|HGMMA|HMMA|LDL|STL)\b", disassemble(code), re.MULTILINE)
    counted = instructions(code)
    assert {re.sub(r"^UTC\w", "UTC", name) for name in listed} == {*counted} and len(listed) == counted.total() > 0


# -- which rows there are ----------------------------------------------------------------------------------------------
def test_the_page_has_the_rows_and_no_others() -> None:
    rows = re.findall(r"^\| (\w+) \| ((?:sm_|gfx)\w+) \| \d", PAGE, re.MULTILINE)
    assert rows == [(name, arch) for name in PROGRAMS for arch in target_matrix.targets_of(name)]
    assert [*PROGRAMS] == [*SMALL] and target_matrix.reasons() in PAGE


@pytest.mark.parametrize("kernel", LACKS)
def test_why_a_target_has_no_row(kernel: str) -> None:
    """A reason that no longer holds is a row that is missing."""
    lack = LACKS[kernel]
    assert {*lack.targets} < {*NVIDIA, *AMD}
    for arch in lack.targets:
        if lack.says == SPILLS:
            assert target_matrix.build(kernel, arch).resources.spills, f"{kernel} for {arch} does not spill any more"
        else:
            with pytest.raises(TileError, match=re.escape(lack.says)):
                target_matrix.build(kernel, arch)


def test_every_example_has_rows() -> None:
    """By its name without the number; those of several programs have a row for each."""
    several = {"attention": ("attention_roles", "attention_tiles")}
    for path in sorted([*EXAMPLES.glob("*.py"), *(EXAMPLES / "blackwell").glob("*.py")]):
        name = re.sub(r"^\d+_", "", path.stem)
        programs = several[name] if path.parent.name == "blackwell" and name in several else (name,)
        assert name == "support" or {*programs} <= {*PROGRAMS}, f"{path} has no rows"


def test_every_ready_kernel_has_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    modules = [importlib.import_module(f"{ops.__name__}.{found.name}") for found in pkgutil.iter_modules(ops.__path__)]
    values = [value for module in modules for value in vars(module).values()]
    factories = {value.func.__name__: value for value in values if isinstance(value, JITImpl)}
    used, traced, whole = set[str](), set[str](), JITImpl.get_tir

    def noted(factory: JITImpl, *args: Any, **named: Any) -> Any:
        used.add(factory.func.__name__)
        return whole(factory, *args, **named)

    monkeypatch.setattr(JITImpl, "get_tir", noted)
    for kernel, program in PROGRAMS.items():
        for arch in target_matrix.targets_of(kernel):
            traced.add(program(parse_target(arch)).name)
    assert {*factories} - used == PARTS
    for name in PARTS:
        assert "T.gemm" not in inspect.getsource(factories[name].func), f"{name} has products: it wants rows"
    assert {"matmul", "matmul_split", "matmul_stream", "matmul_fused"} <= traced
