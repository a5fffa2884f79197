"""What ops read and write, through views and regions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from level1 import expand

from tilelang_mlir.dialect.effects import Effect, conflict, effects, reads, region_effects, root, writes
from tilelang_mlir.mlir import ir

TEXT = expand("""
func.func @f(%g: memref<8x8xf32, @G>, %x: f32, %i: i32, %k: index, %c: i1) {
  %s = "tl.alloc"() : () -> memref<8x8xf32, @S>
  %f = "tl.alloc"() : () -> memref<8x8xf32, @F>
  %t = "tl.slice"(%s, %i, %i) {sizes = array<i64: 8, 8>} : (memref<8x8xf32, @S>, i32, i32) -> memref<8x8xf32, strided<[8, 1], offset: ?>, @S>
  %v = "tl.reshape"(%s) : (memref<8x8xf32, @S>) -> memref<64xf32, @S>
  OP
  return
}""")  # noqa: E501
TILE = "memref<8x8xf32, strided<[8, 1], offset: ?>, @S>"
G, S, F = "memref<8x8xf32, @G>", "memref<8x8xf32, @S>", "memref<8x8xf32, @F>"
GEMM = 'policy = "square", transpose_a = false, transpose_b = false'
_MODULES: list[ir.Module] = []


def _op(text: str, position: int = 4) -> tuple[ir.Operation, dict[ir.Value, str]]:
    """The op under test and the names of the function's buffers."""
    module = ir.Module.parse(TEXT.replace("OP", expand(text)))
    block = module.body.operations[0].regions[0].blocks[0]
    names = {block.arguments[0]: "g", block.operations[0].results[0]: "s", block.operations[1].results[0]: "f"}
    # An op does not keep its module alive.
    _MODULES.append(module)
    return block.operations[position].operation, names


def _spell(found: list[Effect], names: dict[ir.Value, str]) -> str:
    return " ".join(f"{e.kind[0]}{names[e.value]}" for e in found)


@pytest.fixture(autouse=True)
def _modules() -> Iterator[None]:
    yield
    _MODULES.clear()


@pytest.mark.parametrize(("text", "expected"), [
    (f'"tl.copy"(%g, %t) : ({G}, {TILE}) -> ()', "rg ws"),
    (f'"tl.fill"(%s, %x) : ({S}, f32) -> ()', "ws"),
    (f'"tl.gemm"(%s, %s, %f) {{clear = false, {GEMM}}} : ({S}, {S}, {F}) -> ()', "rs rs rf wf"),
    (f'"tl.gemm"(%s, %s, %f) {{clear = true, {GEMM}}} : ({S}, {S}, {F}) -> ()', "rs rs wf"),
    (f'"tl.gemm"(%s, %s, %f, %c) {{{GEMM}}} : ({S}, {S}, {F}, i1) -> ()', "rs rs rf wf"),
    (f'"tl.scan"(%s, %f) {{dim = 0 : i32, kind = "sum", reverse = false}} : ({S}, {F}) -> ()', "rs wf"),
    (f'"tl.atomic"(%s, %x, %k, %k) {{kind = "add", order = "relaxed"}} : ({S}, f32, index, index) -> ()', "rs ws"),
    (f'"tl.atomic"(%s, %x, %k, %k) {{kind = "store", order = "relaxed"}} : ({S}, f32, index, index) -> ()', "ws"),
    (f'%y = "tl.atomic"(%s, %x, %k, %k) {{kind = "load", order = "relaxed"}} : ({S}, f32, index, index) -> f32', "rs"),
    (f'"tl.print"(%s, %s) {{message = ""}} : ({S}, {S}) -> ()', "rs rs"),
    ('"tl.print"(%x) {message = ""} : (f32) -> ()', ""),
    ("%y = memref.load %v[%k] : memref<64xf32, @S>", "rs"),
    (f"memref.store %x, %f[%k, %k] : {F}", "wf"),
    ('"tl.sync_threads"() : () -> ()', ""),
])  # fmt: skip
def test_effects(ctx: ir.Context, text: str, expected: str) -> None:
    op, names = _op(text)
    assert _spell(effects(op), names) == expected


def test_regions_in_program_order(ctx: ir.Context) -> None:
    text = f"""scf.if %c {{
      %y = memref.load %s[%k, %k] : {S}
      scf.if %c {{
        memref.store %y, %f[%k, %k] : {F}
      }}
    }}"""
    op, names = _op(text)
    assert effects(op) == []
    assert _spell(region_effects(op), names) == "rs wf"
    assert [names[v] for v in reads(op)] == ["s"] and [names[v] for v in writes(op)] == ["f"]


def test_asynchronous_copies_say_so(ctx: ir.Context) -> None:
    op, _ = _op(f'"tl.copy"(%g, %s) {{async}} : ({G}, {S}) -> ()')
    assert [e.asynchronous for e in effects(op)] == [True, True]


def test_conflicts(ctx: ir.Context) -> None:
    op, _ = _op(f'"tl.copy"(%s, %s) : ({S}, {S}) -> ()')
    read, write = effects(op)
    assert conflict(read, write) and conflict(write, write) and not conflict(read, read)


def test_root_of_views(ctx: ir.Context) -> None:
    op, names = _op(f'"tl.copy"(%g, %t) : ({G}, {TILE}) -> ()')
    source, tile = op.operands
    assert (names[root(source)], names[root(tile)]) == ("g", "s")


def test_reduce_reads_its_target_unless_clear(ctx: ir.Context) -> None:
    text = """%r = "tl.alloc"() : () -> memref<8xf32, @F>
    "tl.reduce"(%f, %r) {clear = CLEAR, dim = 1 : i32, kind = "sum"} : (memref<8x8xf32, @F>, memref<8xf32, @F>) -> ()"""
    for clear, kinds in (("true", ["read", "write"]), ("false", ["read", "read", "write"])):
        op, _ = _op(text.replace("CLEAR", clear), 5)
        assert [e.kind for e in effects(op)] == kinds
