"""Negations inside nested integer extrema survive ptxas."""

from __future__ import annotations

import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.compiler.negated_extrema import keep_negations

_PTX = """	neg.s32 	%r4, %r1;
	max.s32 	%r5, %r2, %r4;
	max.s32 	%r9, %r5, %r3;
"""


def test_the_negation_is_spelled_as_twos_complement() -> None:
    text = keep_negations(_PTX)
    assert "neg.s32" not in text
    assert text.splitlines()[:2] == ["\tnot.b32 \t%r4, %r1;", "\tadd.s32 \t%r4, %r4, 1;"]


@pytest.mark.parametrize("use", ["add.s32 \t%r5, %r2, %r4;", "max.u32 \t%r5, %r2, %r4;", "max.s32 \t%r5, %r2, %r40;"])
def test_other_negations_stay(use: str) -> None:
    text = f"\tneg.s32 \t%r4, %r1;\n\t{use}\n"
    assert keep_negations(text) == text


@tilelang.jit
def largest(swap):
    @T.prim_func
    def main(A: T.Tensor((128,), "int32"), B: T.Tensor((128,), "int32"), C: T.Tensor((128,), "int32")):
        with T.Kernel(1, threads=128):
            for i in T.Parallel(128):
                if swap:
                    C[i] = T.min(T.min(B[i], -A[i]), A[i] * B[i])
                else:
                    C[i] = T.max(T.max(B[i], -A[i]), A[i] * B[i])

    return main


@pytest.mark.parametrize("swap", [False, True])
def test_ptx_of_a_kernel(swap: bool) -> None:
    ptx = tilelang.compile(largest.get_tir(swap), target="cuda -arch=sm_90a").ir("ptx")
    assert ("min.s32" if swap else "max.s32") in ptx
    assert "not.b32" in ptx and "neg.s32" not in ptx
