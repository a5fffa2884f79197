"""Contexts of the dialect: those of the caller's own, and the one that programs of a thread share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tilelang_mlir.compiler.pipeline import copy_module
from tilelang_mlir.dialect import belongs_elsewhere, context, prepare_context, shared_context
from tilelang_mlir.mlir import ir


def test_every_caller_gets_its_own_context() -> None:
    contexts = [context() for _ in range(3)]
    assert all(ctx.is_dialect_loaded("tl") for ctx in contexts)
    assert len({id(ctx) for ctx in contexts}) == 3
    first, second = (ir.Type.parse("i32", ctx) for ctx in contexts[:2])
    assert first.context != second.context


def test_programs_of_a_thread_share_a_context_for_a_while() -> None:
    def shared() -> list[ir.Context]:
        prepare_context()
        return [shared_context() for _ in range(65)]

    mine = shared()
    with ThreadPoolExecutor(1) as other:
        theirs = other.submit(shared).result()
        assert theirs[0] is theirs[63] is not theirs[64]
        assert len({id(ctx) for ctx in mine}) == 2
        assert not {id(ctx) for ctx in mine} & {id(ctx) for ctx in theirs}
        assert belongs_elsewhere(theirs[0]) and not other.submit(belongs_elsewhere, theirs[0]).result()
    assert not belongs_elsewhere(mine[0]) and not belongs_elsewhere(context())


def test_a_module_is_changed_in_a_context_of_the_thread_that_changes_it() -> None:
    module = ir.Module.parse('module attributes {tl.kept} { func.func private @f() loc("f.py":3:1) }', shared_context())
    with ThreadPoolExecutor(1) as other:
        copy = other.submit(copy_module, module).result()
    assert copy_module(module).context is module.context is not copy.context
    assert copy.operation.get_asm(enable_debug_info=True) == module.operation.get_asm(enable_debug_info=True)
