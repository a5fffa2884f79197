"""What the tests of tensor memory share: kernels with every choice open, how they were lowered, their final binary."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hopper_programs import Gemm, check, f64, poisoned, random

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tests.util.operands import copy_operands
from tilelang_mlir.compiler.toolchain.disasm import disassemble

TARGET = "sim:sm_100a"
_SASS = re.compile(r"\b(UTC[A-Z]*MMA|UTCBAR|UTCCP|LDTM|STTM|UTMALDG|UTMASTG|UGETNEXTWORKID|HMMA|QMMA|OMMA|LDL|STL)\b")


def example(name: str) -> Any:
    """A module of examples/blackwell."""
    path = Path(__file__).resolve().parents[2] / "examples" / "blackwell" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"blackwell_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compiled(program: Any, target: str = TARGET, **configs: bool) -> Any:
    """The kernel; `configs` are pass configurations without their `tl.`."""
    return tilelang.compile(program, target=target, pass_configs={f"tl.{key}": value for key, value in configs.items()})


def check_gemm(case: Gemm, **configs: bool) -> Any:
    """Run a product on random inputs; returns the kernel."""
    kernel = compiled(case.program(), **configs)
    shape_a, shape_b, shape_c = case.shapes()
    a, b, c = random(shape_a, case.dtype, 1), random(shape_b, case.dtype, 2), poisoned(shape_c, case.out)
    kernel(a, b, c)
    left, right = f64(a).T if case.transpose_A else f64(a), f64(b).T if case.transpose_B else f64(b)
    check(c, left @ right, case.out)
    return kernel


def form(kernel: Any) -> set[str]:
    """How a kernel was lowered."""
    lowered = kernel.ir("lowered")
    found = {
        "tcgen05": "nvvm.tcgen05.mma" in lowered,
        "mma": "nvvm.mma.sync" in lowered,
        "bulk load": "nvvm.cp.async.bulk.tensor.shared" in lowered,
        "bulk store": "nvvm.cp.async.bulk.tensor.global" in lowered,
        "cp.async": "nvvm.cp.async.shared" in lowered,
    }
    return {name for name, present in found.items() if present}


def instructions(program: Any, arch: str = "sm_100a", **configs: bool) -> Counter[str]:
    """Machine instructions of a kernel's cubin, by name, of those that matter here."""
    kernel = compiled(program, f"cuda:{arch}", **configs)
    return Counter(_SASS.findall(disassemble(kernel.artifact.binary)))


@dataclass(frozen=True)
class TensorGemm(Gemm):
    """The same with the accumulator in tensor memory; `waits` with a barrier of the program, or none."""

    waits: bool = True

    def program(self) -> Any:
        (M, N, K), (bm, bn, bk), dtype, out = self.size, self.tiles, self.dtype, self.out
        shape_a, shape_b, shape_c = self.shapes()
        stages, threads, sums, ta, tb, waits = (
            self.stages, self.threads, self.sums, self.transpose_A, self.transpose_B, self.waits,
        )  # fmt: skip

        @T.prim_func
        def main(A: T.Tensor(shape_a, dtype), B: T.Tensor(shape_b, dtype), C: T.Tensor(shape_c, out)):
            with T.Kernel(T.ceildiv(N, bn), T.ceildiv(M, bm), threads=threads) as (bx, by):
                A_shared = T.alloc_shared((bk, bm) if ta else (bm, bk), dtype)
                B_shared = T.alloc_shared((bn, bk) if tb else (bk, bn), dtype)
                C_tmem = T.alloc_tmem((bm, bn), sums)
                mbar = T.alloc_barrier(1)
                for k in T.Pipelined(T.ceildiv(K, bk), num_stages=stages):
                    copy_operands(A, B, A_shared, B_shared, (by * bm, bx * bn, k * bk), (ta, tb))
                    if waits:
                        T.tcgen05_gemm(A_shared, B_shared, C_tmem, ta, tb, mbar=mbar, clear_accum=k == 0)
                        T.mbarrier_wait_parity(mbar, k % 2)
                    else:
                        T.gemm(A_shared, B_shared, C_tmem, ta, tb, clear_accum=k == 0)
                T.copy(C_tmem, C[by * bm, bx * bn])

        return main
