"""Contexts of the dialect: each caller gets its own, prepared or not."""

from __future__ import annotations

from tilelang_mlir.dialect import context, prepare_context
from tilelang_mlir.mlir import ir


def test_every_caller_gets_its_own_context() -> None:
    prepare_context()
    prepare_context()
    contexts = [context() for _ in range(3)]
    assert all(ctx.is_dialect_loaded("tl") for ctx in contexts)
    assert len({id(ctx) for ctx in contexts}) == 3
    first, second = (ir.Type.parse("i32", ctx) for ctx in contexts[:2])
    assert first.context != second.context
