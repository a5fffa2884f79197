"""The readable text of tile programs."""

from __future__ import annotations

from level1 import expand, kernel, tensor

from tilelang_mlir.dialect.printer import print_module
from tilelang_mlir.mlir import ir


def _text(body: str, **options: bool) -> str:
    host = tensor("%A", "%a", (8, 8), "f32")
    return print_module(ir.Module.parse(kernel(expand(body), "%a: !llvm.ptr<1>", host)), **options)


def test_statements_and_expressions(ctx: ir.Context) -> None:
    text = _text("""
    %s = "tl.alloc"() : () -> memref<4x4xf32, @S> loc("tile"("k.py":3:1))
    %four = arith.constant 4 : i32
    %m = arith.muli %bx, %four : i32
    %n = arith.addi %m, %one : i32
    %t = "tl.slice"(%A, %n, %zero) {sizes = array<i64: 4, 4>} : (memref<8x8xf32, @G>, i32, i32) -> memref<4x4xf32, strided<[8, 1], offset: ?>, @G>
    "tl.copy"(%t, %s) {async} : (memref<4x4xf32, strided<[8, 1], offset: ?>, @G>, memref<4x4xf32, @S>) -> ()
    "tl.parallel"() ({
    ^bb0(%i: i32, %j: i32):
      %ii = arith.index_cast %i : i32 to index
      %jj = arith.index_cast %j : i32 to index
      %x = memref.load %s[%ii, %jj] : memref<4x4xf32, @S>
      %two = arith.constant 2.0 : f32
      %y = arith.addf %x, %two : f32
      %z = arith.mulf %y, %two : f32
      memref.store %z, %s[%jj, %ii] : memref<4x4xf32, @S>
    }) {extents = array<i64: 4, 4>} : () -> ()""")  # noqa: E501
    assert "tile = alloc shared [4x4xf32]" in text
    assert ":4x4]".replace(":", " : ") + " -> tile {async}" in text
    assert "*4 + 1, 0 : 4x4]" in text
    body = text[text.index("parallel") :]
    assert "in 4 x 4:" in body
    assert "] = (tile[" in body and "] + 2.0)*2.0" in body


def test_a_load_before_a_store_keeps_its_place(ctx: ir.Context) -> None:
    text = _text("""
    %s = "tl.alloc"() : () -> memref<4xf32, @S> loc("s"("k.py":3:1))
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %x = memref.load %s[%c0] : memref<4xf32, @S> loc("x"("k.py":4:1))
    %z = arith.constant 0.0 : f32
    memref.store %z, %s[%c0] : memref<4xf32, @S>
    memref.store %x, %s[%c1] : memref<4xf32, @S>""")
    lines = [line.strip() for line in text.splitlines()]
    assert lines[-3:] == ["x = s[0]", "s[0] = 0.0", "s[1] = x"]


def test_python_lines(ctx: ir.Context) -> None:
    text = _text('%s = "tl.alloc"() : () -> memref<4xf32, @S> loc("s"("dir/k.py":3:1))', lines=True)
    assert "s = alloc shared [4xf32]  # k.py:3" in text


def test_shared_expressions_do_not_grow_without_bound(ctx: ir.Context) -> None:
    chain = "\n".join(f"%x{i + 1} = arith.addi %x{i}, %x{i} : i32" for i in range(60))
    text = _text(f'%x0 = arith.addi %bx, %one : i32\n{chain}\n"tl.print"(%x60) {{message = ""}} : (i32) -> ()')
    assert len(text) < 5000


def test_ops_without_a_form_of_their_own(ctx: ir.Context) -> None:
    text = print_module(ir.Module.parse("gpu.module @k { llvm.func @f(%p: !llvm.ptr) { %0 = llvm.load %p : !llvm.ptr -> i32\n llvm.return } }"))  # noqa: E501
    assert "llvm.load(" in text and "gpu.module" in text


def test_roles_and_layouts(ctx: ir.Context) -> None:
    text = _text("""
    %b = "tl.alloc_barrier"() {counts = array<i64: 1>} : () -> !tl.barrier<1 : i64> loc("full"("k.py":2:1))
    %s = "tl.alloc"() {layout = #tl.smem<array<i64: 4>, array<i64: 4, 0, 1, 1>, array<i64: 0, 0, 0>>}
      : () -> memref<4xf32, @S> loc("s"("k.py":3:1))
    "tl.specialize"() ({
      "tl.mbarrier_arrive"(%b, %zero) {expect = 16 : i32} : (!tl.barrier<1 : i64>, i32) -> ()
    }, {
      "tl.mbarrier_wait"(%b, %zero, %zero) : (!tl.barrier<1 : i64>, i32, i32) -> ()
    }) {consumers = 128 : i32, registers = array<i32: 24, 232>} : () -> ()""")
    lines = [line.strip() for line in text.splitlines()]
    assert "s = alloc shared [4xf32] {shared [4] (4@0/1*1)}" in lines
    start = lines.index("producer, 24 registers per thread:")
    assert lines[start + 1 : start + 4] == [
        "arrive full[0] {expect=16}", "consumers, 128 threads, 232 registers per thread:", "wait full[0] parity 0"
    ]  # fmt: skip
