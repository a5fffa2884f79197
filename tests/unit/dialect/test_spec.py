"""Each level's spec accepts its form and names the first op that may not occur."""

from __future__ import annotations

import pytest
from level1 import expand, kernel

from tilelang_mlir.dialect import spec
from tilelang_mlir.errors import PassError
from tilelang_mlir.mlir import ir

HOST = 'func.func @f(%n: i32) attributes {tl.params = [{kind = "symbol", name = "n"}]} { BODY\n return }'
FRAGMENT = "layout = #tl.fragment<[32], [32, 0, 1], []>"
SMEM = "layout = #tl.smem<[8], [8, 0, 1, 0], [0, 0, 0]>"


def _launch(body: str) -> str:
    return HOST.replace(
        "BODY", f'"tl.launch"(%n) ({{\n^bb0(%b: i32):\n{body}\n}}) {{threads = array<i32: 32, 1, 1>}} : (i32) -> ()'
    )


GOOD = [
    ("tl", _launch('%s = "tl.alloc"() : () -> memref<8xf32, @S>')),
    ("laid_out", _launch(f'%s = "tl.alloc"() {{{SMEM}}} : () -> memref<8xf32, @S>')),
    ("scheduled", _launch(f'%s = "tl.alloc"() {{{SMEM}, tl.offset = 0 : i32}} : () -> memref<8xf32, @S>')),
    ("lowered",
     "gpu.module @kernels { llvm.func @k() attributes {gpu.kernel, nvvm.kernel, nvvm.reqntid = array<i32: 32>, "
                "tl.shared_bytes = 0 : i32} { llvm.return } }"),
]  # fmt: skip
BAD = [
    ("tl", kernel(""), "'func.func' has no attribute 'tl.params'"),
    ("tl", HOST.replace("i32) attr", "i32, %m: i32) attr").replace("BODY", ""), "has 2 arguments but 1 entries"),
    ("tl", HOST.replace('"symbol"', '"shape"').replace("BODY", ""), "a parameter of kind 'shape'"),
    ("tl", _launch("%x = gpu.thread_id x"), "'gpu.thread_id' may not occur at level 'tl'"),
    ("tl", _launch("%c = arith.constant true\n%x = scf.if %c -> i32 { scf.yield %b : i32 } else { scf.yield %n: i32 }"),
     "'scf.if' has 1 results"),
    ("tl", _launch("%i = arith.constant 0 : index\nscf.for %k = %i to %i step %i { }"), "has bounds of type index"),
    ("tl", HOST.replace("BODY", '%t = "tl.thread_id"() {dim = 0 : i32} : () -> i32'), "occurs outside of tl.launch"),
    ("laid_out", GOOD[0][1], "'tl.alloc' has no layout, expected an attribute 'layout' = #tl.smem<...>"),
    ("laid_out", _launch('"tl.parallel"() ({\n^bb0(%i: i32):\n}) {extents = array<i64: 32>} : () -> ()'),
     "'tl.parallel' has no layout"),
    ("scheduled", GOOD[1][1], "'tl.alloc' has no 'tl.offset'"),
    ("scheduled", _launch("scf.for %k = %n to %n step %n : i32 { } {tl.pipeline = {num_stages = 2 : i32}}"),
     "still has 'tl.pipeline'"),
    ("lowered", GOOD[0][1], "'func.func' may not occur at level 'lowered'"),
    ("lowered", "gpu.module @k { llvm.func @f() { %i = arith.constant 0 : index\n llvm.return } }",
     "a result of type index"),
    ("lowered", 'gpu.module @k { llvm.func @f() { llvm.inline_asm "nop", "" : () -> ()\nllvm.return } }',
     "has no 'tl.instr'"),
    ("lowered",
     "gpu.module @k { llvm.func @f() attributes {gpu.kernel, nvvm.kernel, tl.shared_bytes = 0 : i32} { llvm.return } }",
     "lacks the attribute 'nvvm.reqntid'"),
]  # fmt: skip


@pytest.mark.parametrize(("level", "text"), GOOD, ids=[level for level, _ in GOOD])
def test_accepts(ctx: ir.Context, level: str, text: str) -> None:
    spec.check(level, ir.Module.parse(expand(text)))


@pytest.mark.parametrize(("level", "text", "message"), BAD, ids=[f"{level}-{i}" for i, (level, _, _) in enumerate(BAD)])
def test_rejects(ctx: ir.Context, level: str, text: str, message: str) -> None:
    with pytest.raises(PassError) as caught:
        spec.check(level, ir.Module.parse(expand(text)))
    assert message in caught.value.message
    assert caught.value.location is not None


def test_unknown_level(ctx: ir.Context) -> None:
    with pytest.raises(PassError, match="unknown level 'ptx', expected one of tl, laid_out"):
        spec.check("ptx", ir.Module.parse(""))
