"""Registers that nothing writes do not reach ptxas."""

from __future__ import annotations

import re
from collections import Counter

import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.compiler.undefined_halves import define_halves


@pytest.mark.parametrize(("pack", "spelled"), [
    ("{%rs1, %rs2}", "cvt.u32.u16 \t%r3, %rs1;"), ("{%rs2, %rs1}", "mov.b32 \t%r3, {%rs1, %rs1};"),
    ("{%rs1, %rs4}", "mov.b32 \t%r3, {%rs1, %rs4};"),
])  # fmt: skip
def test_the_half_that_nothing_writes(pack: str, spelled: str) -> None:
    """Registers belong to a function: another one may write %rs2."""
    other = ".visible .entry other()\n{\n\tmov.b16 \t%rs2, 0;\n}\n"
    body = "\tcvt.rn.satfinite.e4m3x2.f32 \t%rs1, %r1, %r2;\n\tmov.b16 \t%rs4, 1;\n"
    text = f"{other}.visible .entry main()\n{{\n{body}\tmov.b32 \t%r3, {pack};\n}}\n"
    assert define_halves(text) == text.replace(f"mov.b32 \t%r3, {pack};", spelled)


@pytest.mark.parametrize("arch", ["sm_89", "sm_90a"])
def test_narrow_floats_that_are_stored_and_read_again(arch: str) -> None:
    @T.prim_func
    def main(A: T.Tensor((128, 16), "float8_e4m3fn"), S: T.Tensor((16,), "float8_e4m3fn"),
             M: T.Tensor((1,), "float8_e4m3fn")):  # fmt: skip
        with T.Kernel(1, threads=64):
            a, s = T.alloc_fragment((128, 16), "float8_e4m3fn"), T.alloc_fragment((16,), "float8_e4m3fn")
            m = T.alloc_fragment((1,), "float8_e4m3fn")
            T.copy(A, a)
            T.reduce_sum(a, s, dim=0)
            T.reduce_max(s, m, dim=0)
            T.copy(s, S)
            T.copy(m, M)

    ptx = tilelang.compile(main, target=f"cuda:{arch}").get_kernel_source()
    uses = Counter(re.findall(r"%rs\d+\b", ptx))
    assert "cvt.rn.satfinite.e4m3x2" in ptx and not [name for name, count in uses.items() if count == 1]
