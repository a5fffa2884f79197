"""Registers that nothing writes do not reach ptxas."""

from __future__ import annotations

import re
from collections import Counter

import pytest

import tilelang_mlir as tilelang
from tests.util.narrow_sums import sums_and_largest
from tilelang_mlir.compiler.packed_conversions import spell_packs

_CONVERT = "\tcvt.rn.satfinite.e4m3x2.f32 \t%rs1, %r1, %r2;\n\tcvt.rn.satfinite.e5m2x2.f32 \t%rs4, %r1, %r2;\n"


def _prmt(low: str, high: str) -> str:
    widened = f".reg .b32 low, high; cvt.u32.u16 low, {low}; cvt.u32.u16 high, {high};"
    return f"{{ {widened} prmt.b32 %r3, low, high, 0x5410; }}"


@pytest.mark.parametrize(("pack", "spelled"), [
    ("{%rs1, %rs2}", "cvt.u32.u16 \t%r3, %rs1;"), ("{%rs1, %rs1}", _prmt("%rs1", "%rs1")),
    ("{%rs2, %rs1}", ""), ("{%rs1, %rs4}", ""), ("{%rs5, %rs5}", ""),
])  # fmt: skip
def test_packs_that_ptxas_must_not_merge(pack: str, spelled: str) -> None:
    """Registers belong to a function: another one may write %rs2."""
    other = ".visible .entry other()\n{\n\tmov.b16 \t%rs2, 0;\n}\n"
    move = f"mov.b32 \t%r3, {pack};"
    text = f"{other}.visible .entry main()\n{{\n{_CONVERT}\tmov.b16 \t%rs5, 1;\n\t{move}\n}}\n"
    assert spell_packs(text) == text.replace(move, spelled or move)


def test_an_upper_half_that_is_a_lower_half_elsewhere() -> None:
    packs = ["mov.b32 \t%r3, {%rs1, %rs4};", "mov.b32 \t%r4, {%rs4, %rs1};"]
    text = f".entry main()\n{{\n{_CONVERT}\t{packs[0]}\n\t{packs[1]}\n}}\n"
    assert spell_packs(text).count("prmt.b32") == 2 and "mov.b32" not in spell_packs(text)


@pytest.mark.parametrize("arch", ["sm_89", "sm_90a"])
def test_narrow_floats_that_are_stored_and_read_again(arch: str) -> None:
    ptx = tilelang.compile(sums_and_largest(), target=f"cuda:{arch}").get_kernel_source()
    uses = Counter(re.findall(r"%rs\d+\b", ptx))
    assert "cvt.rn.satfinite.e4m3x2" in ptx and not [name for name, count in uses.items() if count == 1]
