"""Work that must not grow with the depth of loops faster than the program does."""

from __future__ import annotations

import functools
from typing import Any

import pytest

import tilelang_mlir.language as T
from tilelang_mlir.compiler.options import CompileOptions
from tilelang_mlir.compiler.pipeline import lower_program
from tilelang_mlir.passes.insert_barriers import _Inserter
from tilelang_mlir.target import parse_target


def _nested(depth: int) -> Any:
    @T.macro
    def loops(levels: int, A: Any, shared: Any, own: Any) -> None:
        for _ in T.serial(4):
            if levels > 1:
                loops(levels - 1, A, shared, own)
            T.copy(A, shared)
            T.copy(shared, own)

    @T.prim_func
    def main(A: T.Tensor((16, 16), "float32"), B: T.Tensor((16, 16), "float32")):
        with T.Kernel(1, threads=32):
            shared = T.alloc_shared((16, 16), "float32")
            own = T.alloc_fragment((16, 16), "float32")
            loops(depth, A, shared, own)
            T.copy(own, B)

    return main


def test_walks_for_barriers_do_not_double_with_every_level(monkeypatch: pytest.MonkeyPatch) -> None:
    visits = 0
    visit = _Inserter._visit

    def counted(self: Any, op: Any, pending: Any) -> None:
        nonlocal visits
        visits += 1
        visit(self, op, pending)

    monkeypatch.setattr(_Inserter, "_visit", counted)
    counts: list[int] = []
    for depth in (3, 6):
        visits = 0
        _, lowered = lower_program(_nested(depth).module, parse_target("sm_80"), CompileOptions())
        assert str(lowered).count("nvvm.barrier") >= 2 * depth
        counts.append(visits)
    assert counts[1] < 5 * counts[0], counts


def test_constants_that_overflow_wrap_around() -> None:
    @T.prim_func
    def main(A: T.Tensor((32,), "int32"), B: T.Tensor((32,), "int32")):
        with T.Kernel(1, threads=32):
            t = T.get_thread_binding()
            B[t] = functools.reduce(lambda x, _: x * 12345 + 678, range(30), A[t])

    _, lowered = lower_program(main.module, parse_target("sm_80"), CompileOptions())
    scale, offset = 1, 0
    for _ in range(30):
        scale, offset = scale * 12345, offset * 12345 + 678
    for number in (scale, offset):
        assert f"{(number + 2**31) % 2**32 - 2**31} : i32" in str(lowered)
